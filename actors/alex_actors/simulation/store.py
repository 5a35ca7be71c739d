"""The real store on a temporary file, emptied for each run, whose transactions and reads can fail."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from alex_actors.simulation.steps import STORE, StepLog
from alex_actors.store.database import open_readers, open_writer
from alex_actors.store.reader import StoreReader
from alex_actors.store.schema import events, sessions, tasks
from alex_actors.store.writer import Batch, StoreWriter, Transaction
from alex_actors.values import LOCAL_OWNER, Owner

if TYPE_CHECKING:
    from types import TracebackType

    from alex_actors.events import RecordedEvent
    from alex_actors.replies import SessionDetail, Sessions, Tasks
    from alex_actors.session_protocol import EndedTask
    from alex_actors.simulation.world import Simulation
    from alex_actors.store.erasing import Erasure
    from alex_actors.tasks import Status, Task
    from alex_actors.values import SessionId, SessionName, TaskId, Timestamp

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a temporary directory is made in it
"""Where Linux has a file system in memory."""

EMPTIED = ("idempotency_keys", "events", "tasks", "messages", "sessions", "sqlite_sequence")
"""The tables that a run fills, those that refer to others first."""


class SimulatedStore:
    """A database file for any number of runs, one after the other.

    Opening one costs 6 ms, more than most runs; emptying it 0.04 ms. Nothing is synced to a disk: a process
    that is killed loses nothing by that, and no run simulates a power cut. Use it as a context manager.
    """

    def __init__(self) -> None:
        parent = IN_MEMORY if IN_MEMORY.is_dir() else None
        with contextlib.ExitStack() as stops:
            directory = stops.enter_context(tempfile.TemporaryDirectory(prefix="alex-simulation-", dir=parent))
            path = Path(directory) / "alex.sqlite3"
            self._engine = open_writer(path, synchronous="OFF")
            stops.callback(self._engine.dispose)
            self._readers = open_readers(path, connections=16)
            stops.callback(self._readers.dispose)
            self.raw = stops.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None)))
            """A connection for looking at what is recorded, past all faults."""
            self._stops = stops.pop_all()
        self._writer = SimulatedWriter(engine=self._engine)  # its statements cost more to compile than most runs
        self._reader = SimulatedReader(engine=self._readers)

    def __enter__(self) -> SimulatedStore:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file and remove it."""
        self._stops.close()

    def empty(self) -> None:
        """Forget everything, also which ids were given."""
        self.raw.execute("BEGIN IMMEDIATE")
        for table in EMPTIED:
            self.raw.execute(f"DELETE FROM {table}")  # noqa: S608 - one of the names above
        self.raw.execute("COMMIT")

    def writer(self, simulation: Simulation) -> SimulatedWriter:
        """Return what the store actor of a run writes with."""
        self._writer.begin_run(simulation.scheduler.steps)
        return self._writer

    def reader(self, simulation: Simulation) -> SimulatedReader:
        """Return what everybody in a run reads with."""
        self._reader.begin_run(simulation.scheduler.steps)
        return self._reader


_events_of_session = (
    select(events.c.event_id, tasks.c.task_id)
    .join_from(events, tasks, tasks.c.place == events.c.place)
    .join(sessions, sessions.c.session_key == events.c.session_key)
    .where(sessions.c.owner == bindparam("owner"), sessions.c.session_id == bindparam("session_id"))
    .order_by(events.c.event_id)
)
_columns = tasks.columns.keys()
_place_of, _task_id_of = itemgetter(_columns.index("place")), itemgetter(_columns.index("task_id"))
_event_id_of = itemgetter(events.columns.keys().index("event_id"))


def task_resource(task_id: str) -> str:
    """Return the resource that a task's record is."""
    return f"{STORE}:{task_id}"


def event_resource(event_id: object) -> str:
    """Return the resource that an event's record is."""
    return f"{STORE}:event {event_id}"


class SimulatedTransaction(Transaction):
    """A transaction that keeps what is written in it."""

    def __init__(self, inner: Transaction) -> None:
        super().__init__(inner._connection, inner._statements)  # noqa: SLF001 - of the class that it extends
        self.batches: list[Batch] = []
        self.erasures: list[tuple[Erasure, tuple[tuple[int, str], ...]]] = []

    def write(self, batch: Batch) -> None:
        """Write the changes."""
        super().write(batch)
        self.batches.append(batch)

    def erase(self, session: SessionName, *, trace_id: str) -> Erasure | None:
        """Delete a session."""
        owner, session_id = session
        rows = self._connection.execute(_events_of_session, {"owner": owner, "session_id": session_id})
        erased = tuple((row[0], row[1]) for row in rows)
        erasure = super().erase(session, trace_id=trace_id)
        if erasure is not None:
            self.erasures.append((erasure, erased))
        return erasure


class SimulatedWriter(StoreWriter):
    """A writer whose transactions fail when the simulation wants it: at their end, with all rolled back."""

    _steps: StepLog
    fails: Callable[[], SQLAlchemyError | None]
    """Asked at the end of each transaction; what it returns is raised."""
    committed: Callable[[], None]
    """Called after each commit, before anybody knows of it."""
    written: Callable[[list[str]], None]
    """Called before that, with the IDs of the tasks whose state was written."""
    erased: Callable[[Erasure, tuple[tuple[int, str], ...]], None]
    """Called before that, with each session that was deleted and its events, each with its task."""

    def begin_run(self, steps: StepLog) -> None:
        """Let nothing fail, until the run wants it."""
        self._steps = steps
        self.fails = lambda: None
        self.committed = lambda: None
        self.written = lambda _task_ids: None
        self.erased = lambda _erasure, _events: None
        self._places: dict[object, str] = {}

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction."""
        self._steps.touch(STORE, write=True)
        with super().transaction() as inner:
            transaction = SimulatedTransaction(inner)
            yield transaction
            error = self.fails()
            if error is not None:
                raise error
        for batch in transaction.batches:
            self._note(batch)
        for erasure, erased in transaction.erasures:
            for task_id in erasure.task_ids:
                self._steps.touch(task_resource(task_id), write=True)
            for event_id, _ in erased:
                self._steps.touch(event_resource(event_id), write=True)
            self.erased(erasure, erased)
        self.committed()

    def _note(self, batch: Batch) -> None:
        """Say which tasks and events are written."""
        self._places |= {_place_of(row): _task_id_of(row) for row in batch.new_tasks}
        places = {*batch.progress, *(_place_of(row) for row in batch.new_tasks)}
        written = [self._places[place] for place in sorted(places) if place in self._places]
        for task_id in written:
            self._steps.touch(task_resource(task_id), write=True)
        for row in batch.events:
            self._steps.touch(event_resource(_event_id_of(row)), write=True)
        self.written(written)


class SimulatedReader(StoreReader):
    """A reader whose looks fail when the simulation wants it."""

    _steps: StepLog
    fails: Callable[[], SQLAlchemyError | None]
    """Asked at each look; what it returns is raised."""

    looked: Callable[[], None]
    """Called after each look at events, before anybody knows of what was seen."""

    def begin_run(self, steps: StepLog) -> None:
        """Let nothing fail, until the run wants it."""
        self._steps = steps
        self.fails = lambda: None
        self.looked = lambda: None

    def task(self, task_id: TaskId, *, owner: Owner = LOCAL_OWNER) -> Task | None:
        """Return one task, or None."""
        self._look_at(task_resource(task_id))
        return super().task(task_id, owner=owner)

    def events(
        self,
        task_id: TaskId,
        *,
        after: int,
        limit: int,
        most_bytes: int | None = None,
        owner: Owner = LOCAL_OWNER,
    ) -> tuple[RecordedEvent, ...] | None:
        """Return a page of a task's events, or None."""
        self._look_at(task_resource(task_id))
        events = super().events(task_id, after=after, limit=limit, most_bytes=most_bytes, owner=owner)
        self.looked()
        return events

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
        """Return a page of a session's events, or None."""
        self._look_at(STORE)
        events = super().session_events(
            session_id, after=after, limit=limit, most_bytes=most_bytes, key=key, owner=owner
        )
        self.looked()
        return events

    def session_key_of_event(self, event_id: int) -> int | None:
        """Return the key of an event's session, or None."""
        self._look_at(STORE)
        return super().session_key_of_event(event_id)

    def session_key(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> int | None:
        """Return the key of a session, or None."""
        self._look_at(STORE)
        return super().session_key(session_id, owner=owner)

    def ended(self, task_ids: Collection[TaskId], *, owner: Owner = LOCAL_OWNER) -> tuple[EndedTask, ...]:
        """Return those of the tasks that have ended."""
        self._look_at(*map(task_resource, task_ids))
        return super().ended(task_ids, owner=owner)

    def last_ended(self, limit: int) -> tuple[EndedTask, ...]:
        """Return the tasks that ended last."""
        self._look_at(STORE)
        return super().last_ended(limit)

    def tasks(
        self,
        *,
        limit: int,
        offset: int,
        session_id: SessionId | None,
        status: Status | None,
        owner: Owner = LOCAL_OWNER,
    ) -> Tasks:
        """Return a page of tasks."""
        self._look_at(STORE)
        return super().tasks(limit=limit, offset=offset, session_id=session_id, status=status, owner=owner)

    def session(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> SessionDetail | None:
        """Return one session with its tasks, or None."""
        self._look_at(STORE)
        return super().session(session_id, owner=owner)

    def sessions(self, *, limit: int, offset: int, owner: Owner = LOCAL_OWNER) -> Sessions:
        """Return a page of sessions."""
        self._look_at(STORE)
        return super().sessions(limit=limit, offset=offset, owner=owner)

    def submitted_with(self, key: str, *, owner: Owner, since: Timestamp) -> tuple[str, Task] | None:
        """Return what an idempotency key came with, and the task; or None."""
        self._look_at(STORE)
        return super().submitted_with(key, owner=owner, since=since)

    def _look_at(self, *resources: str) -> None:
        """Say what is looked at, and fail if it is to."""
        for resource in resources:
            self._steps.touch(resource, write=False)
        error = self.fails()
        if error is not None:
            raise error


def disk_error() -> OperationalError:
    """Return what SQLAlchemy raises when the disk fails."""
    return OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))


def row_error() -> IntegrityError:
    """Return what SQLAlchemy raises when the database refuses a row."""
    return IntegrityError("INSERT", {}, sqlite3.IntegrityError("NOT NULL constraint failed"))
