"""The actors of the protocol over a real store, composed as the server composes them, but stepped by a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from alex_actors.actor import PooledActor
from alex_actors.broadcaster_protocol import Publish
from alex_actors.core import Core
from alex_actors.dispatchers import Spawner
from alex_actors.events import RecordedEvent
from alex_actors.mailbox import mailbox_of
from alex_actors.runtime import ActorRuntime
from alex_actors.simulation.dispatcher import Observer
from alex_actors.simulation.leftovers import sizes_of
from alex_actors.simulation.mailboxes import SimulatedFuture
from alex_actors.simulation.names import ReadableIds
from alex_actors.simulation.steps import StepLog
from alex_actors.simulation.store import (
    SimulatedReader,
    SimulatedTransaction,
    SimulatedWriter,
    disk_error,
    row_error,
)
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.store.database import open_readers, open_writer
from alex_actors.store.reader import StoreReader
from alex_actors.store.schema import events, tasks
from alex_actors.store.writer import Batch, Transaction
from alex_actors.tasks import NewTask, Strategy, Task
from alex_actors.values import Context, SessionId, TaskId, timestamp
from tests.unit.actor_fakes import CapturedLog
from tests.unit.scripted_agents import FakeExecutor
from tests.unit.stepping import SteppedDispatcher

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


class FailingWriter(SimulatedWriter):
    """A simulation's writer, whose transactions fail when the test says so, and are counted."""

    def __init__(self, *, engine: Engine) -> None:
        super().__init__(engine=engine)
        self.begin_run(StepLog(on=False))
        self.commits = 0
        """How many transactions wrote something and were committed."""
        self.failed = 0
        self._batches: list[Batch] = []

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction."""
        with super().transaction() as transaction:
            assert isinstance(transaction, SimulatedTransaction)
            self._batches = transaction.batches
            yield transaction
        self.commits += bool(transaction.batches)

    def fail_if(
        self, unwanted: Callable[[list[Batch]], bool], *, error: Callable[[], SQLAlchemyError] = disk_error
    ) -> None:
        """Have every transaction fail of which that is true, by what is written in it."""

        def failure() -> SQLAlchemyError | None:
            if not unwanted(self._batches):
                return None
            self.failed += 1
            return error()

        self.fails = failure

    def fail_next(self, *failures: bool, error: Callable[[], SQLAlchemyError] = disk_error) -> None:
        """Say of the next transactions whether they fail; those after do not."""
        outcomes = iter(failures)
        self.fail_if(lambda _batches: next(outcomes, False), error=error)

    def refuse_rows_of(self, *task_ids: str) -> None:
        """Have every transaction fail that creates one of these tasks."""
        unwanted = set(task_ids)

        def creates(batches: list[Batch]) -> bool:
            return any(not unwanted.isdisjoint(row) for batch in batches for row in batch.new_tasks)

        self.fail_if(creates, error=row_error)


def failing(*failures: bool) -> Callable[[], SQLAlchemyError | None]:
    """Return how the next looks of a reader end: whether they fail; those after do not."""
    outcomes = iter(failures)
    return lambda: disk_error() if next(outcomes, False) else None


class Store:
    """A store on a real file, and what a test reads from it."""

    def __init__(self, path: Path) -> None:
        self._engine = open_writer(path, synchronous="OFF")
        self._readers = open_readers(path, connections=4)
        self.writer = FailingWriter(engine=self._engine)
        self.reader = StoreReader(engine=self._readers)
        self.actors_reader = SimulatedReader(engine=self._readers)
        self.actors_reader.begin_run(StepLog(on=False))

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


class DiscardedWorkspaces:
    """Notes which workspaces are to be removed."""

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.copies: list[tuple[int, int, Callable[[Exception | None], None]]] = []

    def discard(self, session_key: int) -> None:
        """Note it."""
        self.keys.append(session_key)

    def copy(self, session_key: int, new_key: int, done: Callable[[Exception | None], None]) -> None:
        """Note it, for the test to say what came of it."""
        self.copies.append((session_key, new_key, done))


class ProtocolSystem:
    """The actors of the protocol, what they need, and what the HTTP layer calls."""

    def __init__(
        self,
        store: Store,
        *,
        observer: Observer | None = None,
        max_unfinished: int = 100,
        resume: bool = True,
    ) -> None:
        """The observer is told of each message before it is handled; if it raises, the actor crashes on it."""
        self.store = store
        self.dispatcher = dispatcher = SteppedDispatcher()
        self.clock, self.timers = dispatcher.clock, dispatcher.timers
        self.log = CapturedLog()
        self.ids = ReadableIds(speaker=lambda: "client")
        self.executor = FakeExecutor(clock=self.clock)
        self.events: list[RecordedEvent] = []
        """All that was published, in order."""
        self.workspaces = DiscardedWorkspaces()
        self.failures: list[BaseException] = []
        """Of what actors crashed more often than they are restarted."""
        dispatcher.observers += [observer, self._observe] if observer else [self._observe]
        spawner: Spawner = dispatcher
        self.core = core = Core(
            broadcasting=spawner, storing=spawner, acting=spawner, writer=store.writer,
            reader=store.actors_reader, executor=self.executor, timers=self.timers,
            workspaces=self.workspaces, clock=self.clock,
            ids=self.ids, log=self.log.logger, max_unfinished=max_unfinished, max_running=100,
            ask_timeout=ASK_TIMEOUT, cancel_grace=GRACE, resume=resume, failed=self.failures.append,
        )  # fmt: skip
        core.start()
        self.condition = core.condition
        self.store_ref, self.session_ref, self.launcher = core.store, core.session, core.launcher
        self.runtime = self.runtime_with(store.reader)
        self._begun_with = sizes_of(self._singletons())

    def runtime_with(self, reader: StoreReader) -> ActorRuntime:
        """Return a runtime over these actors that reads elsewhere."""
        return ActorRuntime(
            session=self.session_ref, store=self.store_ref, reader=reader, followings=self.core.followings,
            launch_agent=self.launcher.launch,
            agent_of=self.launcher.agent_of,
            ids=self.ids, clock=self.clock, log=self.log.logger, ask_timeout=ASK_TIMEOUT, cancel_grace=GRACE,
            health=dict, ready=lambda: True,
        )  # fmt: skip

    def leftovers(self) -> dict[str, object]:
        """Return what is still in memory of any task, by where it is; empty when all has ended."""
        kept: dict[str, object] = {
            "actors": [label for label in self.dispatcher.alive() if label.startswith("AgentActor")],
            "launched agents": self.launcher.launched(),
            "timers": self.timers.pending,
            "runs": self.executor.live(),
        }
        sizes = sizes_of(self._singletons()).items()
        kept |= {name: size for name, size in sizes if size > self._begun_with.get(name, 0)}
        return {where: what for where, what in kept.items() if what}

    def _singletons(self) -> dict[str, object]:
        actors = (mailbox_of(ref).actor for ref in (self.store_ref, self.session_ref))
        return {actor.label: actor for actor in actors if actor is not None}

    def _observe(self, _actor: PooledActor, message: object) -> None:
        if isinstance(message, Publish):
            self.events += message.events


def ask_result(future: SimulatedFuture) -> Any:  # Any: whatever was asked for
    """Return the answer that is there already."""
    assert future.done, "not answered yet"
    return future.get(timeout=0)
