"""The actors of the protocol over a real store, composed as the server composes them, but stepped by a test."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pykka
import structlog
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from structlog.testing import LogCapture
from structlog.typing import EventDict, FilteringBoundLogger

from alex_actors.actor import PooledActor
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.broadcaster_protocol import Publish
from alex_actors.dispatchers import Observer
from alex_actors.events import RecordedEvent
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import SessionActor
from alex_actors.store.database import open_readers, open_writer
from alex_actors.store.reader import StoreReader
from alex_actors.store.schema import events, tasks
from alex_actors.store.writer import Batch, StoreWriter, Transaction
from alex_actors.task_store_actor import StoreCondition, TaskStoreActor
from alex_actors.task_store_protocol import InterruptUnfinished, RecoveredStore
from alex_actors.tasks import NewTask, Strategy, Task
from alex_actors.values import Context, SessionId, TaskId, timestamp
from tests.unit.scripted_agents import FakeExecutor
from tests.unit.stepping import EPOCH, CountingIds, FakeClock, FakeTimers, SteppingDispatcher, SteppingFuture

CONTEXT = Context("trace-of-the-test", sender="test")
GRACE = 5.0
ASK_TIMEOUT = 10.0


def new_task(
    session_id: str | None = None,
    *,
    strategy: Strategy = "enqueue",
    timeout_seconds: float | None = None,
    text: str = "What is 2 + 2?",
    metadata: dict[str, str] | None = None,
) -> NewTask:
    """Return what a client asks for."""
    return NewTask(
        task=text,
        session_id=None if session_id is None else SessionId(session_id),
        agent_preset="default",
        tool_preset="safe",
        model="offline",
        strategy=strategy,
        timeout_seconds=timeout_seconds,
        max_iterations=50,
        metadata=metadata or {},
    )


def a_task(task_id: str) -> Task:
    """Return a task that was just recorded."""
    at = timestamp(EPOCH)
    return Task(
        task_id=TaskId(task_id), session_id=SessionId("home"), session_key=1, place=1,
        task="2 + 2",
        agent_preset="default", tool_preset="safe", model="offline", created_at=at, strategy="enqueue",
        timeout_seconds=None, max_iterations=50, metadata={}, trace_id="trace",
    )  # fmt: skip


class CapturedLog:
    """A logger, and what was logged."""

    def __init__(self) -> None:
        self._capture = LogCapture()
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            None, processors=[self._capture], wrapper_class=structlog.make_filtering_bound_logger(0)
        )

    @property
    def lines(self) -> list[EventDict]:
        """Every line, in order."""
        return list(self._capture.entries)

    def events(self) -> list[str]:
        """Return what happened, by name."""
        return [line["event"] for line in self._capture.entries]


def disk_error() -> OperationalError:
    """Return what SQLAlchemy raises when the disk fails."""
    return OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))


def row_error() -> IntegrityError:
    """Return what SQLAlchemy raises when the database refuses a row."""
    return IntegrityError("INSERT", {}, sqlite3.IntegrityError("NOT NULL constraint failed"))


class CountedTransaction(Transaction):
    """A transaction that keeps what was written in it."""

    def __init__(self, inner: Transaction) -> None:
        super().__init__(inner._connection, inner._statements)
        self.batches: list[Batch] = []

    def write(self, batch: Batch) -> None:
        """Write the changes."""
        super().write(batch)
        self.batches.append(batch)


class FailingWriter(StoreWriter):
    """A writer whose transactions fail when the test says so: at their end, with everything rolled back."""

    def __init__(self, *, engine: Engine) -> None:
        super().__init__(engine=engine)
        self.fails: Callable[[list[Batch]], bool] = lambda _batches: False
        """Asked at the end of each transaction, with what was written in it."""
        self.committed: list[Batch] = []
        """What was written by each transaction that wrote anything and was committed."""
        self.failed = 0
        self.error: Callable[[], SQLAlchemyError] = disk_error
        """Makes what a failing transaction raises."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction."""
        with super().transaction() as inner:
            transaction = CountedTransaction(inner)
            yield transaction
            if self.fails(transaction.batches):
                self.failed += 1
                raise self.error()
        self.committed += transaction.batches

    def fail_next(self, *failures: bool, error: Callable[[], SQLAlchemyError] = disk_error) -> None:
        """Say of the next transactions whether they fail; those after do not."""
        outcomes = iter(failures)
        self.error = error
        self.fails = lambda _batches: next(outcomes, False)

    def refuse_rows_of(self, *task_ids: str) -> None:
        """Have every transaction fail that creates one of these tasks."""
        unwanted = set(task_ids)
        self.error = row_error
        self.fails = lambda batches: any(
            not unwanted.isdisjoint(row) for batch in batches for row in batch.new_tasks
        )


class FailingReader(StoreReader):
    """The store actor's reader, which fails when the test says so."""

    def __init__(self, *, engine: Engine) -> None:
        super().__init__(engine=engine)
        self.fails: Callable[[], bool] = lambda: False
        """Asked at each look at a task."""

    def task(self, task_id: TaskId) -> Task | None:
        """Return one task, or None."""
        if self.fails():
            raise disk_error()
        return super().task(task_id)

    def fail_next(self, *failures: bool) -> None:
        """Say of the next looks whether they fail; those after do not."""
        outcomes = iter(failures)
        self.fails = lambda: next(outcomes, False)


class Published(PooledActor):
    """Stands in for the broadcaster, and keeps what is published."""

    def __init__(self, on_event: Callable[[RecordedEvent], None]) -> None:
        super().__init__()
        self._on_event = on_event
        self.events: list[RecordedEvent] = []

    def on_receive(self, message: Publish) -> None:
        """Keep what is published."""
        for event in message.events:
            self.events.append(event)
            self._on_event(event)


class Store:
    """A store on a real file, and what a test reads from it."""

    def __init__(self, path: Path, *, template: Path | None = None) -> None:
        if template is not None and not path.exists():
            shutil.copyfile(template, path)  # making the tables costs more than all the rest
        self._engine = open_writer(path, synchronous="OFF")
        self._readers = open_readers(path, connections=4)
        self.writer = FailingWriter(engine=self._engine)
        self.reader = StoreReader(engine=self._readers)
        self.actors_reader = FailingReader(engine=self._readers)

    def task_ids(self) -> list[TaskId]:
        """Return all recorded tasks, in the order of their confirmation."""
        with self._readers.connect() as connection:
            return [row[0] for row in connection.execute(select(tasks.c.task_id).order_by(tasks.c.place))]

    def task(self, task_id: TaskId) -> Task:
        """Return a task, which must be recorded."""
        task = self.reader.task(task_id)
        assert task is not None
        return task

    def events(self, task_id: TaskId) -> list[RecordedEvent]:
        """Return the recorded events of a task."""
        return list(self.reader.events(task_id, after=0, limit=1000) or ())

    def event_types(self, task_id: TaskId) -> list[str]:
        """Return the types of the recorded events of a task."""
        return [event.event_type for event in self.events(task_id)]

    def event_ids(self) -> list[int]:
        """Return the ids of all recorded events, in order."""
        with self._readers.connect() as connection:
            return [row[0] for row in connection.execute(select(events.c.event_id).order_by(events.c.event_id))]

    def close(self) -> None:
        """Close the file."""
        self._readers.dispose()
        self._engine.dispose()


class ProtocolSystem:
    """The three actors of the protocol, what they need, and what the HTTP layer calls."""

    def __init__(
        self,
        store: Store,
        *,
        random: Random | None = None,
        observer: Observer | None = None,
        wait: Callable[[SteppingFuture, float | None], None] | None = None,
        on_start: Callable[[Task], None] = lambda _task: None,
        on_event: Callable[[RecordedEvent], None] = lambda _event: None,
        max_unfinished: int = 100,
        max_running: int = 100,
    ) -> None:
        self.store = store
        self.clock = FakeClock()
        self.timers = FakeTimers(clock=self.clock)
        self.log = CapturedLog()
        self.ids = CountingIds()
        self.condition = StoreCondition()
        self.executor = FakeExecutor(clock=self.clock, on_start=on_start)
        self.dispatcher = SteppingDispatcher(
            clock=self.clock, timers=self.timers, random=random, observer=observer, wait=wait
        )
        self.published = Published(on_event)
        broadcaster: pykka.ActorRef[Any] = self.dispatcher.spawn(lambda: self.published)  # Any: a stand-in
        self.task_store = TaskStoreActor(
            writer=store.writer, reader=store.actors_reader, broadcaster=broadcaster, clock=self.clock,
            timers=self.timers, log=self.log.logger, condition=self.condition,
        )  # fmt: skip
        self.store_ref = self.dispatcher.spawn(lambda: self.task_store)
        self.recovered = self._recover()
        self.launcher = AgentLauncher(
            spawner=self.dispatcher, store=self.store_ref, executor=self.executor, timers=self.timers,
            clock=self.clock, log=self.log.logger, cancel_grace=GRACE,
        )  # fmt: skip
        self.session = SessionActor(
            store=self.store_ref, launch_agent=self.launcher.launch, ids=self.ids, clock=self.clock,
            log=self.log.logger, next_place=self.recovered.last_place + 1, max_unfinished=max_unfinished,
            max_running=max_running,
        )  # fmt: skip
        self.session_ref = self.dispatcher.spawn(lambda: self.session)
        self.runtime = ActorRuntime(
            session=self.session_ref, store=self.store_ref, reader=store.reader,
            launch_agent=self.launcher.launch, ids=self.ids, log=self.log.logger, ask_timeout=ASK_TIMEOUT,
            cancel_grace=GRACE, health=dict, ready=lambda: True,
        )  # fmt: skip

    def _recover(self) -> RecoveredStore:
        future = self.dispatcher.post(self.store_ref, InterruptUnfinished(context=CONTEXT))
        self.dispatcher.drive(future, timeout=1.0)
        recovered: RecoveredStore = ask_result(future)
        return recovered

    def leftovers(self) -> dict[str, object]:
        """Return what is still in memory of any task, by where it is; empty when all has ended."""
        session, store = self.session, self.task_store
        lasting = (self.published, self.task_store, self.session)
        kept: dict[str, object] = {
            "places": session._places,
            "lines": session._lines,
            "ready": session._ready,
            "running": session._running,
            "live tasks": store._live,
            "pending changes": store._pending,
            "promises": session._promises | store._promises,
            "timers": self.timers.pending,
            "runs": self.executor.live(),
            "actors": [actor for actor in self.dispatcher.actors.values() if actor not in lasting],
        }
        return {where: what for where, what in kept.items() if what}


def ask_result(future: SteppingFuture) -> Any:  # Any: whatever was asked for
    """Return the answer that is there already."""
    assert future.done, "not answered yet"
    return future.get(timeout=0)
