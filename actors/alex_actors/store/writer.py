"""Writes a batch of changes in one transaction. One writer; used by one thread."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, text, update

from alex_actors.projection import Progress
from alex_actors.store.reader import WHOLE_TASK
from alex_actors.store.rows import row_of_task, task_of_row
from alex_actors.store.schema import LOCAL_OWNER, events, sessions, tasks
from alex_actors.tasks import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Engine

    from alex_actors.tasks import Task
    from alex_actors.values import SessionId, TaskId, Timestamp

_insert_sessions = insert(sessions)
_insert_tasks = insert(tasks)
_insert_events = insert(events)
_touch_sessions = (
    update(sessions).where(sessions.c.session_key == bindparam("key")).values(updated_at=bindparam("at"))
)
_update_tasks = (
    update(tasks)
    .where(tasks.c.place == bindparam("key"))
    .values({field: bindparam(field) for field in Progress.__struct_fields__})
)
_find_sessions = select(sessions.c.session_id, sessions.c.session_key).where(
    sessions.c.owner == LOCAL_OWNER, sessions.c.session_id.in_(bindparam("ids", expanding=True))
)


class Batch:
    """The changes of one transaction, in the order in which they are to be made."""

    def __init__(self) -> None:
        self.new_sessions: list[dict[str, Any]] = []  # Any: column values
        self.touched: dict[int, Timestamp] = {}
        self.new_tasks: list[Task] = []
        self.progress: dict[int, Progress] = {}
        self.events: list[dict[str, Any]] = []  # Any: column values

    def add_session(
        self, key: int, session_id: SessionId, at: Timestamp, metadata: dict[str, str] | None = None
    ) -> None:
        """Add a session."""
        self.new_sessions.append(
            {
                "session_key": key,
                "owner": LOCAL_OWNER,
                "session_id": session_id,
                "created_at": at,
                "updated_at": at,
                "forked_from": None,
                "metadata": metadata or {},
            }
        )

    def add_event(
        self, *, event_id: int, place: int, session_key: int, event_type: str, at: Timestamp, body: bytes
    ) -> None:
        """Add an event; its session is used at this moment."""
        self.events.append(
            {
                "event_id": event_id,
                "place": place,
                "session_key": session_key,
                "event_type": event_type,
                "timestamp": at,
                "body": body,
            }
        )


class Transaction:
    """What can be done within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, batch: Batch) -> None:
        """Write the changes: rows that others refer to first."""
        execute = self._connection.execute
        if batch.new_sessions:
            execute(_insert_sessions, batch.new_sessions)
        if batch.touched:
            execute(_touch_sessions, [{"key": key, "at": at} for key, at in batch.touched.items()])
        if batch.new_tasks:
            execute(_insert_tasks, [row_of_task(task, owner=LOCAL_OWNER) for task in batch.new_tasks])
        if batch.progress:
            rows = [msgspec.structs.asdict(state) | {"key": place} for place, state in batch.progress.items()]
            execute(_update_tasks, rows)
        if batch.events:
            execute(_insert_events, batch.events)

    def session_keys(self, session_ids: Collection[SessionId]) -> dict[SessionId, int]:
        """Return the keys of those of the sessions that exist."""
        if not session_ids:
            return {}
        return {row[0]: row[1] for row in self._connection.execute(_find_sessions, {"ids": list(session_ids)})}

    def task(self, task_id: TaskId) -> Task | None:
        """Return a task, or None."""
        row = self._connection.execute(WHOLE_TASK.where(tasks.c.task_id == task_id)).one_or_none()
        return None if row is None else task_of_row(row)

    def unfinished(self) -> list[tuple[Task, int]]:
        """Return the tasks without an end, in their order, each with the number of its events."""
        wanted = tasks.c.status.in_(UNFINISHED)
        count = select(func.count()).select_from(events).where(events.c.place == tasks.c.place).scalar_subquery()
        counts = {row[0]: row[1] for row in self._connection.execute(select(tasks.c.place, count).where(wanted))}
        rows = self._connection.execute(WHOLE_TASK.where(wanted).order_by(tasks.c.place))
        return [(task, counts[task.place]) for task in map(task_of_row, rows)]

    def last_place(self) -> int:
        """Return the last place that was given, 0 if none was."""
        last: int | None = self._connection.execute(select(func.max(tasks.c.place))).scalar_one()
        return last or 0

    def last_keys(self) -> tuple[int, int]:
        """Return the last session key and the last event id ever used, also by rows that are gone."""
        used = {row[0]: row[1] for row in self._connection.execute(text("SELECT name, seq FROM sqlite_sequence"))}
        return used.get("sessions", 0), used.get("events", 0)


class StoreWriter:
    """The one connection that writes."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction that is committed at the end of the block, or rolled back if it raises.

        Raises sqlalchemy.exc.SQLAlchemyError, at any point, if the database cannot be read or written.
        """
        with self._engine.begin() as connection:
            yield Transaction(connection)
