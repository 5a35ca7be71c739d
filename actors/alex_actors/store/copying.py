"""What a transaction does with whole sessions: forks one, records one that was exported elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import bindparam, insert, select, text, tuple_

from alex_actors.store.rows import row_of_session
from alex_actors.store.schema import messages, sessions, tasks
from alex_actors.values import SessionName, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from alex_actors.copies import BroughtSession, BroughtTask
    from alex_actors.store.staging import Keys
    from alex_actors.store.writer import Batch
    from alex_actors.values import Owner, TaskId, Timestamp

_encode = msgspec.json.Encoder().encode
_task_columns = tasks.columns.keys()

_reserve = text("UPDATE sqlite_sequence SET seq = :key WHERE name = 'sessions' AND seq < :key")
_metadata = select(sessions.c.metadata).where(sessions.c.session_key == bindparam("key"))

_copy_messages = text(
    "INSERT INTO messages (session_key, position, role, content)"
    " SELECT :new_key, position, role, content FROM messages WHERE session_key = :key"
)
_copy_conversation = text(
    """
    INSERT INTO messages (session_key, position, role, content)
    SELECT :new_key, :inherited + row_number() OVER (ORDER BY place, turn) - 1, role, content FROM (
        SELECT place, 0 AS turn, 'user' AS role, task AS content FROM tasks
        WHERE session_key = :key AND parent_task_id IS NULL
        UNION ALL
        SELECT place, 1, 'assistant', answer FROM tasks
        WHERE session_key = :key AND parent_task_id IS NULL AND status = 'completed'
    )"""
)
_count_messages = text("SELECT count(*) FROM messages WHERE session_key = :key")


def reserve(connection: Connection, session_key: int) -> None:
    """Have a session key never given again, though no session has it yet: a workspace has it for a name."""
    connection.execute(_reserve, {"key": session_key})


class Fork(Value, frozen=True, kw_only=True):
    """A session that is to be made from another one of its owner."""

    source: SessionName
    source_key: int
    new: SessionName
    new_key: int
    metadata: dict[str, str] | None
    """None: that of the source."""


def fork(connection: Connection, fork: Fork, at: Timestamp) -> None:
    """Record a session with the conversation of another one so far: what that one inherited, and its own tasks.

    What sub-agents said among themselves is no part of it.
    """
    keys = {"key": fork.source_key, "new_key": fork.new_key}
    metadata = fork.metadata
    if metadata is None:
        metadata = connection.execute(_metadata, keys).scalar_one()
    row = row_of_session(
        session_key=fork.new_key, session=fork.new, at=at, metadata=metadata, forked_from=fork.source[1]
    )
    connection.exec_driver_sql("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute(_copy_messages, keys)
    inherited = connection.execute(_count_messages, keys).scalar_one()
    connection.execute(_copy_conversation, {**keys, "inherited": inherited})


def existing_task(connection: Connection, owner: Owner, task_ids: Sequence[TaskId]) -> TaskId | None:
    """Return one of these tasks that exists; None if none does."""
    for start in range(0, len(task_ids), 1000):  # SQLite takes 32,766 parameters
        wanted = [(owner, task_id) for task_id in task_ids[start : start + 1000]]
        found = select(tasks.c.task_id).where(tuple_(tasks.c.owner, tasks.c.task_id).in_(wanted)).limit(1)
        task_id: TaskId | None = connection.execute(found).scalar()
        if task_id is not None:
            return task_id
    return None


def add_brought(
    batch: Batch, brought: BroughtSession, owner: Owner, *, first_place: int, keys: Keys, trace_id: str
) -> list[dict[str, object]]:
    """Add a session with its tasks and events under new keys. Returns the rows of its messages, by column."""
    session, key = brought.session, keys.session()
    batch.new_sessions.append(
        (
            key, owner, session.session_id, session.created_at, session.updated_at, session.forked_from,
            _encode(session.metadata).decode(),
        )
    )  # fmt: skip
    for number, one in enumerate(brought.tasks):
        batch.new_tasks.append(
            _row_of_task(one, owner=owner, session_key=key, place=first_place + number, trace_id=trace_id)
        )
    for event in brought.events:
        stamped, place = event.stamped, first_place + event.task
        batch.events.append((keys.event(), place, key, stamped.event_type, stamped.at, stamped.body))
    return [
        {"session_key": key, "position": position, "role": one.role, "content": one.content}
        for position, one in enumerate(brought.messages)
    ]


def add_messages(connection: Connection, rows: list[dict[str, object]]) -> None:
    """Record inherited messages."""
    if rows:
        connection.execute(insert(messages), rows)


def _row_of_task(
    brought: BroughtTask, *, owner: Owner, session_key: int, place: int, trace_id: str
) -> tuple[object, ...]:
    values = msgspec.structs.asdict(brought.task) | msgspec.structs.asdict(brought.progress)
    values.update(owner=owner, session_key=session_key, place=place, trace_id=trace_id)
    values["metadata"] = _encode(brought.task.metadata).decode()
    return tuple([values[column] for column in _task_columns])
