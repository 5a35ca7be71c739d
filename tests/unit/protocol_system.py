"""The actors of the protocol over a real store, composed as the server composes them, but stepped by a test."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeAlias, cast

import pykka
import structlog
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from structlog.testing import LogCapture
from structlog.typing import EventDict, FilteringBoundLogger

from alex_actors.actor import PooledActor
from alex_actors.agent_actor import AgentActor
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import Publish
from alex_actors.core import Core
from alex_actors.dispatchers import Observer, Spawner
from alex_actors.events import RecordedEvent
from alex_actors.mailbox import mailbox_of
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import SessionMessage
from alex_actors.store.database import open_readers, open_writer
from alex_actors.store.reader import StoreReader
from alex_actors.store.schema import events, tasks
from alex_actors.store.writer import Batch, StoreWriter, Transaction
from alex_actors.supervision import RestartPolicy
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import InterruptUnfinished, TaskStoreMessage
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
        self.after_commit: Callable[[], None] = lambda: None
        """Called after each commit; may raise, for a crash."""

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
        self.after_commit()

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

    def __init__(self, events: list[RecordedEvent], on_event: Callable[[RecordedEvent], None]) -> None:
        super().__init__()
        self._on_event = on_event
        self.events = events

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


After: TypeAlias = Callable[[PooledActor, object], None]
"""Told of each message after it is handled, and before it is answered; may raise, for a crash."""


class WatchedSession(SessionActor):
    """A session actor that tells of each message that it has handled."""

    after: After

    def on_receive(self, message: SessionMessage) -> object:
        """Handle a message, and tell of it."""
        answer = super().on_receive(message)
        self.after(self, message)
        return answer


class WatchedStore(TaskStoreActor):
    """A store actor that tells of each message that it has handled."""

    after: After

    def on_receive(self, message: TaskStoreMessage) -> object:
        """Handle a message, and tell of it."""
        answer = super().on_receive(message)
        self.after(self, message)
        return answer


class SteppedCore(Core):
    """The server's wiring, with the broadcaster replaced, and the other two watched."""

    session_class = WatchedSession
    store_class = WatchedStore
    dispatcher: SteppingDispatcher
    publish: Callable[[], Published]
    after: After

    def make_broadcaster(self) -> BroadcasterActor:
        """Make the stand-in."""
        return cast("BroadcasterActor", self.publish())  # cast: nobody but the store actor knows it

    def make_store(self) -> TaskStoreActor:
        """Make a store actor that is watched."""
        actor = super().make_store()
        assert isinstance(actor, WatchedStore)
        actor.after = self.after
        return actor

    def make_session(self) -> SessionActor:
        """Make a session actor that is watched."""
        actor = super().make_session()
        assert isinstance(actor, WatchedSession)
        actor.after = self.after
        return actor

    def recover(self) -> None:
        """Have the store look, with the steps done here: there are no workers yet."""
        future = self.dispatcher.post(self.store, InterruptUnfinished(context=CONTEXT))
        self.dispatcher.drive(future, timeout=1.0)
        ask_result(future)


class ProtocolSystem:
    """The three actors of the protocol, what they need, and what the HTTP layer calls."""

    def __init__(
        self,
        store: Store,
        *,
        random: Random | None = None,
        observer: Observer | None = None,
        after: After = lambda _actor, _message: None,
        wait: Callable[[SteppingFuture, float | None], None] | None = None,
        on_start: Callable[[Task], None] = lambda _task: None,
        on_event: Callable[[RecordedEvent], None] = lambda _event: None,
        max_unfinished: int = 100,
        max_running: int = 100,
        max_restarts: int = 3,
        broadcaster_restarted: Callable[[pykka.ActorRef[BroadcasterActor]], None] = lambda _ref: None,
    ) -> None:
        self.store = store
        self.clock = FakeClock()
        self.timers = FakeTimers(clock=self.clock)
        self.log = CapturedLog()
        self.ids = CountingIds()
        self.executor = FakeExecutor(clock=self.clock, on_start=on_start)
        self.dispatcher = SteppingDispatcher(
            clock=self.clock, timers=self.timers, random=random, observer=observer, wait=wait
        )
        self.events: list[RecordedEvent] = []
        """All that was published, in order."""
        self.failures: list[BaseException] = []
        """Of what actors crashed more often than they are restarted."""
        spawner: Spawner = self.dispatcher
        self.core = core = SteppedCore(
            broadcasting=spawner, storing=spawner, acting=spawner, writer=store.writer,
            reader=store.actors_reader, executor=self.executor, timers=self.timers, clock=self.clock,
            ids=self.ids, log=self.log.logger, max_unfinished=max_unfinished, max_running=max_running,
            ask_timeout=ASK_TIMEOUT, cancel_grace=GRACE, failed=self.failures.append,
            broadcaster_restarted=broadcaster_restarted,
        )  # fmt: skip
        core.dispatcher, core.after = self.dispatcher, after
        core.publish = lambda: Published(self.events, on_event)
        for name in core.restarts:
            core.restarts[name] = RestartPolicy(clock=self.clock, limit=max_restarts)
        core.start()
        self.condition = core.condition
        self.store_ref, self.session_ref, self.launcher = core.store, core.session, core.launcher
        self.runtime = self.runtime_with(store.reader)

    def runtime_with(self, reader: StoreReader) -> ActorRuntime:
        """Return a runtime over these actors that reads elsewhere."""
        return ActorRuntime(
            session=self.session_ref, store=self.store_ref, reader=reader, launch_agent=self.launcher.launch,
            ids=self.ids, log=self.log.logger, ask_timeout=ASK_TIMEOUT, cancel_grace=GRACE, health=dict,
            ready=lambda: True,
        )  # fmt: skip

    @property
    def session(self) -> SessionActor:
        """The session actor that there is now."""
        actor = mailbox_of(self.session_ref).actor
        assert isinstance(actor, SessionActor)
        return actor

    @property
    def task_store(self) -> TaskStoreActor:
        """The store actor that there is now."""
        actor = mailbox_of(self.store_ref).actor
        assert isinstance(actor, TaskStoreActor)
        return actor

    def leftovers(self) -> dict[str, object]:
        """Return what is still in memory of any task, by where it is; empty when all has ended."""
        session, store = self.session, self.task_store
        kept: dict[str, object] = {
            "places": session._lines.places,
            "lines": session._lines.by_session,
            "unfinished": session._lines.unfinished,
            "agents not heard of": session._unheard,
            "what waits for the stock": session._kept,
            "launched agents": self.launcher.launched(),
            "ready": session._ready,
            "running": session._running,
            "live tasks": store._live,
            "pending changes": store._pending,
            "promises": session._promises | store._promises,
            "timers": self.timers.pending,
            "runs": self.executor.live(),
            "actors": [actor for actor in self.dispatcher.actors if isinstance(actor, AgentActor)],
        }
        return {where: what for where, what in kept.items() if what}


def ask_result(future: SteppingFuture) -> Any:  # Any: whatever was asked for
    """Return the answer that is there already."""
    assert future.done, "not answered yet"
    return future.get(timeout=0)
