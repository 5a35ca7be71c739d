"""The way from each version of the database to the next, written out: the tables of a version never change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import Connection

Migration: TypeAlias = Callable[[Connection], None]

_TASK_COLUMNS = """
    place INTEGER NOT NULL PRIMARY KEY,
    owner VARCHAR NOT NULL,
    task_id VARCHAR NOT NULL,
    session_key INTEGER NOT NULL REFERENCES sessions (session_key),
    status VARCHAR NOT NULL,
    task TEXT NOT NULL,
    agent_preset VARCHAR NOT NULL,
    tool_preset VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    parent_task_id VARCHAR,
    created_at VARCHAR NOT NULL,
    started_at VARCHAR,
    completed_at VARCHAR,
    current_iteration INTEGER NOT NULL,
    total_iterations INTEGER NOT NULL,
    tokens_used INTEGER NOT NULL,
    total_tokens INTEGER NOT NULL,
    cost_usd FLOAT NOT NULL,
    error TEXT,
    termination_reason VARCHAR,
    answer TEXT,
    stop_reason VARCHAR,
    strategy VARCHAR NOT NULL,
    timeout_seconds FLOAT,
    max_iterations INTEGER NOT NULL,
    metadata JSON NOT NULL,
    trace_id VARCHAR NOT NULL"""

_VERSION_1 = (
    """CREATE TABLE sessions (
    session_key INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    updated_at VARCHAR NOT NULL,
    forked_from VARCHAR,
    metadata JSON NOT NULL,
    UNIQUE (owner, session_id)
)""",
    "CREATE INDEX sessions_by_use ON sessions (owner, updated_at, session_key)",
    f"CREATE TABLE tasks ({_TASK_COLUMNS},\n    UNIQUE (task_id)\n)",
    "CREATE INDEX tasks_by_session ON tasks (session_key, place)",
    "CREATE INDEX tasks_by_status ON tasks (owner, status, place)",
    """CREATE TABLE events (
    event_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    place INTEGER NOT NULL REFERENCES tasks (place),
    session_key INTEGER NOT NULL,
    event_type VARCHAR NOT NULL,
    timestamp VARCHAR NOT NULL,
    body BLOB NOT NULL
)""",
    "CREATE INDEX events_by_task ON events (place, event_id)",
    "CREATE INDEX events_by_session ON events (session_key, event_id)",
)

_VERSION_2 = (
    # SQLite cannot drop a constraint: the table is made anew (https://sqlite.org/lang_altertable.html, section 7).
    f"CREATE TABLE new_tasks ({_TASK_COLUMNS},\n    UNIQUE (owner, task_id)\n)",
    "INSERT INTO new_tasks SELECT * FROM tasks",
    "DROP TABLE tasks",
    "ALTER TABLE new_tasks RENAME TO tasks",
    "CREATE INDEX tasks_by_session ON tasks (session_key, place)",
    "CREATE INDEX tasks_by_status ON tasks (owner, status, place)",
    "CREATE INDEX tasks_by_end ON tasks (completed_at) WHERE completed_at IS NOT NULL",
    """CREATE TABLE messages (
    session_key INTEGER NOT NULL REFERENCES sessions (session_key),
    position INTEGER NOT NULL,
    role VARCHAR NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (session_key, position)
) WITHOUT ROWID""",
    """CREATE TABLE idempotency_keys (
    owner VARCHAR NOT NULL,
    idempotency_key VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    place INTEGER NOT NULL REFERENCES tasks (place),
    created_at VARCHAR NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
) WITHOUT ROWID""",
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)",
    "CREATE INDEX idempotency_keys_by_task ON idempotency_keys (place)",
    "CREATE TABLE fence (epoch INTEGER NOT NULL)",
    "INSERT INTO fence VALUES (0)",
)

_VERSION_3 = (
    """CREATE INDEX approvals_by_task ON events (place, event_type, event_id)
    WHERE event_type = 'approval_requested' OR event_type = 'approval_resolved'""",
)


def _running(statements: tuple[str, ...]) -> Migration:
    def migrate(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return migrate


MIGRATIONS: tuple[Migration, ...] = (
    _running(_VERSION_1),
    _running(_VERSION_2),
    _running(_VERSION_3),
)
"""Step n (from 0) brings a database of version n to version n + 1, without foreign keys being looked at. Steps are
added, never changed."""
