"""What is recorded, read on connections of its own: never waits for the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, Select, func, select

from alex_actors.events import EVENT_TYPES, TERMINAL, RecordedEvent
from alex_actors.replies import SessionDetail, Sessions, Tasks
from alex_actors.store.rows import session_of_row, task_of_row
from alex_actors.store.schema import LOCAL_OWNER, events, sessions, tasks
from alex_actors.tasks import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Engine

    from alex_actors.tasks import Status, Task
    from alex_actors.values import SessionId, TaskId

TERMINAL_TYPES = [EVENT_TYPES[event] for event in TERMINAL]

WHOLE_TASK = select(tasks, sessions.c.session_id).join(sessions)

_last_task = (
    select(tasks.c.task)
    .where(tasks.c.session_key == sessions.c.session_key)
    .order_by(tasks.c.place.desc())
    .limit(1)
    .scalar_subquery()
)
_task_count = (
    select(func.count()).select_from(tasks).where(tasks.c.session_key == sessions.c.session_key).scalar_subquery()
)
WHOLE_SESSION = select(
    sessions.c.session_id,
    sessions.c.created_at,
    sessions.c.updated_at,
    _task_count.label("task_count"),
    _last_task.label("last_task"),
    sessions.c.forked_from,
    sessions.c.metadata,
)


class StoreReader:
    """Reads tasks, sessions and events as last committed. Any number of threads, up to the engine's pool."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def task(self, task_id: TaskId) -> Task | None:
        """Return one task, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(
                WHOLE_TASK.where(tasks.c.task_id == task_id, tasks.c.owner == LOCAL_OWNER)
            ).one_or_none()
        return None if row is None else task_of_row(row)

    def ended(self, task_ids: Collection[TaskId]) -> tuple[tuple[TaskId, Status], ...]:
        """Return those of the tasks that have ended, with their status."""
        query = select(tasks.c.task_id, tasks.c.status).where(
            tasks.c.task_id.in_(task_ids), tasks.c.status.not_in(UNFINISHED)
        )
        with self._engine.connect() as connection:
            return tuple((row[0], row[1]) for row in connection.execute(query))

    def last_ended(self, limit: int) -> tuple[tuple[TaskId, Status], ...]:
        """Return the tasks that ended last, with their status."""
        last = (
            select(events.c.place)
            .where(events.c.event_type.in_(TERMINAL_TYPES))
            .order_by(events.c.event_id.desc())
            .limit(limit)
        )
        query = select(tasks.c.task_id, tasks.c.status).where(tasks.c.place.in_(last))
        with self._engine.connect() as connection:
            return tuple((row[0], row[1]) for row in connection.execute(query))

    def tasks(self, *, limit: int, offset: int, session_id: SessionId | None, status: Status | None) -> Tasks:
        """Return a page of tasks, the last confirmed first."""
        wanted: list[ColumnElement[bool]] = [tasks.c.owner == LOCAL_OWNER]
        if session_id is not None:
            # By key, so that the index of a session's tasks gives the order as well.
            key = select(sessions.c.session_key).where(
                sessions.c.owner == LOCAL_OWNER, sessions.c.session_id == session_id
            )
            wanted.append(tasks.c.session_key == key.scalar_subquery())
        if status is not None:
            wanted.append(tasks.c.status == status)
        page = WHOLE_TASK.where(*wanted).order_by(tasks.c.place.desc()).limit(limit).offset(offset)
        rows, total = self._page(page, select(func.count()).select_from(tasks).where(*wanted))
        return Tasks(tuple(task_of_row(row) for row in rows), total)

    def events(self, task_id: TaskId, *, after: int, limit: int) -> tuple[RecordedEvent, ...] | None:
        """Return a task's events with an id above ``after``, in order; None if there is no such task."""
        with self._engine.connect() as connection:
            found = connection.execute(
                select(tasks.c.place, tasks.c.parent_task_id, sessions.c.session_id)
                .join(sessions)
                .where(tasks.c.task_id == task_id, tasks.c.owner == LOCAL_OWNER)
            ).one_or_none()
            if found is None:
                return None
            rows = connection.execute(
                select(events.c.event_id, events.c.event_type, events.c.timestamp, events.c.body)
                .where(events.c.place == found.place, events.c.event_id > after)
                .order_by(events.c.event_id)
                .limit(limit)
            ).all()
        return tuple(
            RecordedEvent(
                event_id=row.event_id,
                event_type=row.event_type,
                task_id=task_id,
                session_id=found.session_id,
                parent_task_id=found.parent_task_id,
                timestamp=row.timestamp,
                body=row.body,
            )
            for row in rows
        )

    def session(self, session_id: SessionId) -> SessionDetail | None:
        """Return one session with its tasks in the order of their confirmation, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(
                WHOLE_SESSION.where(sessions.c.owner == LOCAL_OWNER, sessions.c.session_id == session_id)
            ).one_or_none()
            if row is None:
                return None
            rows = connection.execute(
                WHOLE_TASK.where(sessions.c.owner == LOCAL_OWNER, sessions.c.session_id == session_id).order_by(
                    tasks.c.place
                )
            ).all()
        return SessionDetail(session_of_row(row), tuple(task_of_row(task) for task in rows))

    def sessions(self, *, limit: int, offset: int) -> Sessions:
        """Return a page of sessions, the last used first."""
        mine = sessions.c.owner == LOCAL_OWNER
        page = (
            WHOLE_SESSION.where(mine)
            .order_by(sessions.c.updated_at.desc(), sessions.c.session_key.desc())
            .limit(limit)
            .offset(offset)
        )
        rows, total = self._page(page, select(func.count()).select_from(sessions).where(mine))
        return Sessions(tuple(session_of_row(row) for row in rows), total)

    def _page(
        self, page: Select[Any], count: Select[int]
    ) -> tuple[Sequence[Row[*tuple[Any, ...]]], int]:  # Any: rows of any table
        with self._engine.connect() as connection:
            return connection.execute(page).all(), connection.execute(count).scalar_one()
