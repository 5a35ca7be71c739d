"""What is recorded, read on connections of its own: never waits for the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select

from alex_actors.copies import MOST_MESSAGES, Message
from alex_actors.events import RecordedEvent
from alex_actors.replies import ExportedSession, SessionDetail, Sessions, SessionTooLarge, Tasks, WaitingCalls
from alex_actors.store import queries
from alex_actors.store.rows import session_of_row, task_of_row
from alex_actors.store.waiting import page_of_waiting, waiting_requests
from alex_actors.tasks import Status
from alex_actors.values import LOCAL_OWNER, Owner, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from alex_actors.session_protocol import EndedTask
    from alex_actors.tasks import Task
    from alex_actors.values import SessionId, TaskId, Timestamp

    _Parameters = Mapping[str, str | int | None]


class EarlierTask(Value, frozen=True):
    """A task that has ended, as a conversation has it."""

    task: str
    status: Status
    answer: str | None
    error: str | None

    @property
    def size(self) -> int:
        """Return the bytes of its text."""
        return sum(len(text.encode()) for text in (self.task, self.answer, self.error) if text is not None)


class StoreReader:
    """Reads tasks, sessions and events as last committed. Any number of threads, up to the engine's pool."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def task(self, task_id: TaskId, *, owner: Owner = LOCAL_OWNER) -> Task | None:
        """Return one task, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(queries.ONE_TASK, {"task_id": task_id, "owner": owner}).one_or_none()
        return None if row is None else task_of_row(row)

    def unfinished(self) -> list[tuple[Task, int]]:
        """Return the tasks without an end, in their order, each with the number of its events."""
        with self._engine.connect() as connection:
            counts = {row[0]: row[1] for row in connection.execute(queries.EVENT_COUNTS)}
            rows = connection.execute(queries.UNFINISHED_TASKS).all()
        return [(task, counts[task.place]) for task in map(task_of_row, rows)]

    def ended(self, task_ids: Collection[TaskId], *, owner: Owner = LOCAL_OWNER) -> tuple[EndedTask, ...]:
        """Return those of the tasks that have ended, with their owner and status."""
        with self._engine.connect() as connection:
            rows = connection.execute(queries.ENDED, {"task_ids": list(task_ids), "owner": owner})
            return tuple((row[0], row[1], row[2]) for row in rows)

    def last_ended(self, limit: int) -> tuple[EndedTask, ...]:
        """Return the tasks that ended last, with their owner and status."""
        with self._engine.connect() as connection:
            rows = connection.execute(queries.LAST_ENDED, {"limit": limit})
            return tuple((row[0], row[1], row[2]) for row in rows)

    def tasks(
        self,
        *,
        limit: int,
        offset: int,
        session_id: SessionId | None,
        status: Status | None,
        owner: Owner = LOCAL_OWNER,
    ) -> Tasks:
        """Return a page of tasks, the last confirmed first."""
        page, count = queries.TASKS[session_id is not None, status is not None]
        wanted = {
            "session_id": session_id, "status": status, "limit": limit, "offset": offset, "owner": owner
        }  # fmt: skip
        rows, total = self._page(page, count, wanted)
        return Tasks(tuple(task_of_row(row) for row in rows), total)

    def waiting_calls(
        self,
        *,
        limit: int,
        after: int,
        session_id: SessionId | None,
        most_bytes: int,
        owner: Owner = LOCAL_OWNER,
    ) -> WaitingCalls:
        """Return the tool calls that wait for a person's word, in the order of their requests.

        Those of requests with an id above ``after``; of one session, if it is given. At most ``limit``, and no
        more once their bodies have ``most_bytes``.
        """
        wanted: _Parameters = {"owner": owner, "session_id": session_id}
        with self._engine.connect() as connection:
            found = [one for one in waiting_requests(connection, wanted) if one > after]
            return page_of_waiting(connection, found, limit=limit, most_bytes=most_bytes)

    def events(
        self,
        task_id: TaskId,
        *,
        after: int,
        limit: int,
        most_bytes: int | None = None,
        owner: Owner = LOCAL_OWNER,
    ) -> tuple[RecordedEvent, ...] | None:
        """Return a task's events with an id above ``after``, in order; None if there is no such task.

        At most ``limit``, and no more once their bodies have ``most_bytes``.
        """
        wanted = {"after": after, "limit": limit}
        return self._events(
            queries.PLACE_OF_TASK,
            {"task_id": task_id, "owner": owner},
            queries.EVENTS_OF_TASK,
            wanted,
            most_bytes=most_bytes,
        )

    def session_events(
        self,
        session_id: SessionId,
        *,
        after: int,
        limit: int,
        most_bytes: int | None = None,
        key: int | None = None,
        owner: Owner = LOCAL_OWNER,
    ) -> tuple[RecordedEvent, ...] | None:
        """Return the events of all tasks of a session, as ``events`` does; None if there is no such session.

        With a ``key`` it has to be the session of that key, and not one that was made anew under its ID.
        """
        return self._events(
            queries.KEY_OF_SESSION,
            {"session_id": session_id, "owner": owner},
            queries.EVENTS_OF_SESSION,
            {"after": after, "limit": limit},
            most_bytes=most_bytes,
            wanted_key=key,
        )

    def session_key(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> int | None:
        """Return the key of a session, None if there is none of that ID."""
        with self._engine.connect() as connection:
            key: int | None = connection.execute(
                queries.KEY_OF_SESSION, {"session_id": session_id, "owner": owner}
            ).scalar_one_or_none()
        return key

    def session_key_of_event(self, event_id: int) -> int | None:
        """Return the key of an event's session, None if the event is not there any more."""
        with self._engine.connect() as connection:
            key: int | None = connection.execute(queries.KEY_OF_EVENT, {"event_id": event_id}).scalar_one_or_none()
        return key

    def session_keys(self) -> set[int]:
        """Return the keys of all sessions."""
        with self._engine.connect() as connection:
            return set(connection.execute(queries.SESSION_KEYS).scalars())

    def events_after(self, event_id: int) -> list[RecordedEvent]:
        """Return all events with an id above ``event_id``, in order."""
        with self._engine.connect() as connection:
            rows = connection.execute(queries.EVENTS_AFTER, {"after": event_id})
            return [RecordedEvent(*row) for row in rows]

    def submitted_with(self, key: str, *, owner: Owner, since: Timestamp) -> tuple[str, Task] | None:
        """Return the fingerprint that an idempotency key came with, and its task; None if not used since."""
        with self._engine.connect() as connection:
            wanted = {"key": key, "owner": owner, "since": since}
            row = connection.execute(queries.SUBMITTED_WITH, wanted).one_or_none()
            if row is None:
                return None
            task = connection.execute(queries.ONE_TASK, {"task_id": row.task_id, "owner": owner}).one()
        return row.fingerprint, task_of_row(task)

    def last_place(self) -> int:
        """Return the last place that was given, 0 if none was."""
        with self._engine.connect() as connection:
            last: int | None = connection.execute(queries.LAST_PLACE).scalar_one()
        return last or 0

    def last_keys(self) -> tuple[int, int]:
        """Return the last session key and the last event id ever used, also by rows that are gone."""
        with self._engine.connect() as connection:
            used = {row[0]: row[1] for row in connection.execute(queries.LAST_KEYS)}
        return used.get("sessions", 0), used.get("events", 0)

    def _events(
        self,
        owner: Select[int],
        named: _Parameters,
        page: Select[Any],  # Any: the columns of an event
        wanted: _Parameters,
        *,
        most_bytes: int | None,
        wanted_key: int | None = None,
    ) -> tuple[RecordedEvent, ...] | None:
        with self._engine.connect() as connection:
            key = connection.execute(owner, named).scalar_one_or_none()
            if key is None or wanted_key not in (None, key):
                return None
            rows = connection.execute(page, {"key": key, **wanted})
            if most_bytes is None:
                return tuple(RecordedEvent(*row) for row in rows.all())
            events: list[RecordedEvent] = []
            left = most_bytes
            while left > 0 and (row := rows.fetchone()) is not None:  # SQLite reads what is fetched
                event = RecordedEvent(*row)
                events.append(event)
                left -= len(event.body)
            rows.close()
        return tuple(events)

    def session(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> SessionDetail | None:
        """Return one session with its tasks in the order of their confirmation, or None."""
        with self._engine.connect() as connection:
            wanted = {"session_id": session_id, "owner": owner}
            row = connection.execute(queries.ONE_SESSION, wanted).one_or_none()
            if row is None:
                return None
            return self._detail(connection, row, wanted)

    def _detail(self, connection: Connection, row: Row[*tuple[Any, ...]], wanted: _Parameters) -> SessionDetail:
        rows = connection.execute(queries.TASKS_OF_SESSION, wanted).all()
        inherited = connection.execute(queries.MESSAGES_OF_SESSION, wanted)
        return SessionDetail(
            session_of_row(row),
            tuple(task_of_row(task) for task in rows),
            tuple(Message(message.role, message.content) for message in inherited),
        )

    def said_before(
        self, *, session_key: int, place: int, ended_by: Timestamp | None, most_bytes: int
    ) -> tuple[list[Message], list[EarlierTask]]:
        """Return what a session was forked with, and its tasks of smaller places that had ended, both in order.

        Tasks of sub-agents are left out. With ``ended_by``, so are those that ended after that moment. No more
        than ``most_bytes`` of text, the newest: nothing before the first that is too much.
        """
        inherited: list[Message] = []
        tasks: list[EarlierTask] = []
        left = most_bytes
        with self._engine.connect() as connection:
            wanted = {"key": session_key, "place": place, "ended_by": ended_by}
            rows = connection.execute(queries.EARLIER_TASKS, wanted)
            while (row := rows.fetchone()) is not None and left >= 0:  # SQLite reads what is fetched
                tasks.append(EarlierTask(*row))
                left -= tasks[-1].size
            if left < 0:
                tasks.pop()
            rows.close()
            rows = connection.execute(queries.LAST_MESSAGES_OF_SESSION, {"key": session_key})
            while left >= 0 and (row := rows.fetchone()) is not None:
                inherited.append(Message(row.role, row.content))
                left -= len(inherited[-1].content.encode())
            if left < 0 and inherited:
                inherited.pop()
            rows.close()
        return inherited[::-1], tasks[::-1]

    def whole_session(
        self, session_id: SessionId, *, owner: Owner, most_bytes: int
    ) -> ExportedSession | SessionTooLarge | None:
        """Return a session with all events of its tasks, or None; nothing of it if there is too much.

        That is ``most_bytes``, or MOST_MESSAGES. It is measured before anything is loaded.

        All of it as of one moment: a connection reads within one transaction.
        """
        with self._engine.connect() as connection:
            wanted: _Parameters = {"session_id": session_id, "owner": owner}
            row = connection.execute(queries.ONE_SESSION, wanted).one_or_none()
            if row is None:
                return None
            count, size = connection.execute(queries.SIZE_OF_MESSAGES, wanted).one()
            size += connection.execute(queries.SIZE_OF_SESSION, wanted).scalar_one()
            if size > most_bytes or count > MOST_MESSAGES:
                return SessionTooLarge(most_bytes)
            detail = self._detail(connection, row, wanted)
            found = connection.execute(queries.ALL_EVENTS_OF_SESSION, {**wanted, "after": 0})
            return ExportedSession(detail, tuple(RecordedEvent(*event) for event in found))

    def sessions(self, *, limit: int, offset: int, owner: Owner = LOCAL_OWNER) -> Sessions:
        """Return a page of sessions, the last used first."""
        wanted: _Parameters = {"limit": limit, "offset": offset, "owner": owner}
        rows, total = self._page(queries.SESSIONS, queries.SESSION_COUNT, wanted)
        return Sessions(tuple(session_of_row(row) for row in rows), total)

    def _page(
        self, page: Select[Any], count: Select[int], wanted: _Parameters
    ) -> tuple[Sequence[Row[*tuple[Any, ...]]], int]:  # Any: rows of any table
        with self._engine.connect() as connection:
            return connection.execute(page, wanted).all(), connection.execute(count, wanted).scalar_one()
