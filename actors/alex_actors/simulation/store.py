"""The real store on a temporary file, emptied for each run, whose transactions and reads can fail."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from alex_actors.simulation.steps import STORE, StepLog
from alex_actors.store.database import open_readers, open_writer
from alex_actors.store.reader import StoreReader
from alex_actors.store.writer import StoreWriter, Transaction

if TYPE_CHECKING:
    from types import TracebackType

    from alex_actors.events import RecordedEvent
    from alex_actors.simulation.world import Simulation
    from alex_actors.tasks import Task
    from alex_actors.values import SessionId, TaskId

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a temporary directory is made in it
"""Where Linux has a file system in memory."""

EMPTIED = ("events", "tasks", "sessions", "sqlite_sequence")
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
        event.listen(self._readers, "begin", lambda _connection: self._reader.touch())
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


class SimulatedWriter(StoreWriter):
    """A writer whose transactions fail when the simulation wants it: at their end, with all rolled back."""

    _steps: StepLog
    fails: Callable[[], SQLAlchemyError | None]
    """Asked at the end of each transaction; what it returns is raised."""
    committed: Callable[[], None]
    """Called after each commit, before anybody knows of it."""

    def begin_run(self, steps: StepLog) -> None:
        """Let nothing fail, until the run wants it."""
        self._steps = steps
        self.fails = lambda: None
        self.committed = lambda: None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction."""
        self._steps.touch(STORE, write=True)
        with super().transaction() as transaction:
            yield transaction
            error = self.fails()
            if error is not None:
                raise error
        self.committed()


class SimulatedReader(StoreReader):
    """A reader whose looks at tasks fail when the simulation wants it."""

    _steps: StepLog
    fails: Callable[[], SQLAlchemyError | None]
    """Asked at each look at a task; what it returns is raised."""

    looked: Callable[[], None]
    """Called after each look at events, before anybody knows of what was seen."""

    def begin_run(self, steps: StepLog) -> None:
        """Let nothing fail, until the run wants it."""
        self._steps = steps
        self.fails = lambda: None
        self.looked = lambda: None

    def touch(self) -> None:
        """Say that the step reads."""
        self._steps.touch(STORE, write=False)

    def task(self, task_id: TaskId) -> Task | None:
        """Return one task, or None."""
        error = self.fails()
        if error is not None:
            raise error
        return super().task(task_id)

    def events(self, task_id: TaskId, *, after: int, limit: int) -> tuple[RecordedEvent, ...] | None:
        """Return a page of a task's events, or None."""
        events = super().events(task_id, after=after, limit=limit)
        self.looked()
        return events

    def session_events(self, session_id: SessionId, *, after: int, limit: int) -> tuple[RecordedEvent, ...] | None:
        """Return a page of a session's events, or None."""
        events = super().session_events(session_id, after=after, limit=limit)
        self.looked()
        return events


def disk_error() -> OperationalError:
    """Return what SQLAlchemy raises when the disk fails."""
    return OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))


def row_error() -> IntegrityError:
    """Return what SQLAlchemy raises when the database refuses a row."""
    return IntegrityError("INSERT", {}, sqlite3.IntegrityError("NOT NULL constraint failed"))
