"""The tables, as they are now. How a database comes to have them is in ``migrations``.

Every row has an owner (``local`` is who works without a token), and what a client names is unique per owner.
Rows refer to each other by integer keys: an index entry is a fifth of one over the public IDs.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

APPLICATION_ID = 0x416C6578
"""``Alex`` in ASCII: how SQLite files of this program are told from others (PRAGMA application_id)."""

metadata = MetaData()

sessions = Table(
    "sessions",
    metadata,
    Column("session_key", Integer, primary_key=True),
    Column("owner", String, nullable=False),
    Column("session_id", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("forked_from", String),
    Column("metadata", JSON, nullable=False),
    UniqueConstraint("owner", "session_id"),
    Index("sessions_by_use", "owner", "updated_at", "session_key"),
    sqlite_autoincrement=True,  # a key names a workspace: the next session must not find the last one's files
)

tasks = Table(
    "tasks",
    metadata,
    Column("place", Integer, primary_key=True),  # in the order of all confirmations
    Column("owner", String, nullable=False),
    Column("task_id", String, nullable=False),
    Column("session_key", Integer, ForeignKey("sessions.session_key"), nullable=False),
    Column("status", String, nullable=False),
    Column("task", Text, nullable=False),
    Column("agent_preset", String, nullable=False),
    Column("tool_preset", String, nullable=False),
    Column("model", String, nullable=False),
    Column("parent_task_id", String),
    Column("created_at", String, nullable=False),
    Column("started_at", String),
    Column("completed_at", String),
    Column("current_iteration", Integer, nullable=False),
    Column("total_iterations", Integer, nullable=False),
    Column("tokens_used", Integer, nullable=False),
    Column("total_tokens", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("error", Text),
    Column("termination_reason", String),
    Column("answer", Text),
    Column("stop_reason", String),
    Column("strategy", String, nullable=False),
    Column("timeout_seconds", Float),
    Column("max_iterations", Integer, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("trace_id", String, nullable=False),
    UniqueConstraint("owner", "task_id"),  # a session that is imported brings the IDs of its tasks with it
    Index("tasks_by_session", "session_key", "place"),
    Index("tasks_by_status", "owner", "status", "place"),
    Index("tasks_by_end", "completed_at", sqlite_where=text("completed_at IS NOT NULL")),
)

events = Table(
    "events",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("place", Integer, ForeignKey("tasks.place"), nullable=False),
    Column("session_key", Integer, nullable=False),
    Column("event_type", String, nullable=False),
    Column("timestamp", String, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the event's JSON without the header that others share
    Index("events_by_task", "place", "event_id"),
    Index("events_by_session", "session_key", "event_id"),
    Index(
        "approvals_by_task",
        "place",
        "event_type",
        "event_id",
        # As SQLite sees it in a query that asks for one of the two, or for both in these words.
        sqlite_where=text("event_type = 'approval_requested' OR event_type = 'approval_resolved'"),
    ),
    sqlite_autoincrement=True,  # an id is a position in every stream: never used again, also not after a delete
)

messages = Table(
    "messages",  # what a session has from the one that it was forked from, before its own tasks
    metadata,
    Column("session_key", Integer, ForeignKey("sessions.session_key"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("role", String, nullable=False),
    Column("content", Text, nullable=False),
    sqlite_with_rowid=False,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String, primary_key=True),
    Column("idempotency_key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),  # of the body that came with it
    Column("place", Integer, ForeignKey("tasks.place"), nullable=False),
    Column("created_at", String, nullable=False),
    Index("idempotency_keys_by_age", "created_at"),
    Index("idempotency_keys_by_task", "place"),
    sqlite_with_rowid=False,
)

fence = Table(
    "fence",  # one row: which server writes here. Each that starts counts it up, and shuts out those before it
    metadata,
    Column("epoch", Integer, nullable=False),
)
