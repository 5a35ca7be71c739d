"""A TaskStoreActor over a real file, and the messages and answers that its tests are about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from alex_actors.actor import PooledActor
from alex_actors.agent_protocol import Recorded, RecordsMissing
from alex_actors.broadcaster_protocol import Publish, PublishDeleted
from alex_actors.events import AnyEvent, TaskCompleted, stamp
from alex_actors.messages import tell
from alex_actors.ports import Clock, Meter, NotMetered
from alex_actors.simulation.mailboxes import SimulatedFuture
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.store.condition import StoreCondition
from alex_actors.store.retention import Retention
from alex_actors.supervision import RestartPolicy
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import (
    Create,
    EraseSession,
    MakeSession,
    Record,
    RecordCrash,
    Recover,
    RecoveredStore,
    Revoke,
    TakeStock,
)
from alex_actors.values import SessionId, TaskId, Timestamp, timestamp
from tests.unit.actor_fakes import CapturedLog
from tests.unit.protocol_system import CONTEXT, DiscardedWorkspaces, Store, ask_result, new_task
from tests.unit.stepping import StandIn, SteppedDispatcher

HOME = SessionId("home")
NOW = timestamp(EPOCH)
COMPLETED = TaskCompleted(
    final_answer="4", stop_reason="final_answer", total_iterations=0, total_tokens=0, duration=0.0
)


class ItBroke(Exception):
    """What the store actor crashes of."""


class StoreUnderTest:
    """A store actor over a real file, and stand-ins for everybody whom it answers."""

    def __init__(
        self,
        path: Path,
        *,
        restarted: bool = False,
        store_class: type[TaskStoreActor] = TaskStoreActor,
        keep_ended: timedelta | None = None,
        meter: Callable[[Clock], Meter] = lambda _: NotMetered(),
    ) -> None:
        """``restarted``: after a crash, as in the server. Without, a crash is the test's."""
        self._store_class = store_class
        self.path = path
        self.store = Store(path)
        self.log = CapturedLog()
        self.condition = StoreCondition()
        self.superseded: list[BaseException] = []
        """Why nothing may run on here any more."""
        self._crashes = 0
        self.dispatcher = SteppedDispatcher()
        self.dispatcher.observers.append(self._before)
        self.clock, self.timers = self.dispatcher.clock, self.dispatcher.timers
        self._meter = meter(self.clock)
        self.workspaces = DiscardedWorkspaces()
        self.broadcaster = StandIn(self.dispatcher)
        self.agent = StandIn(self.dispatcher)
        self.session = StandIn(self.dispatcher)
        self.retention = Retention(
            keep=keep_ended, writer=self.store.writer, reader=self.store.actors_reader,
            broadcaster=self.broadcaster.ref, workspaces=self.workspaces, clock=self.clock, timers=self.timers,
            log=self.log.logger,
        )  # fmt: skip
        policy = RestartPolicy(clock=self.clock) if restarted else None
        self.ref = self.dispatcher.spawn(self._make, restart=policy)
        self.places = 0

    def _make(self) -> TaskStoreActor:
        self.actor = self._store_class(
            writer=self.store.writer,
            reader=self.store.actors_reader,
            broadcaster=self.broadcaster.ref,
            clock=self.clock,
            timers=self.timers,
            workspaces=self.workspaces,
            log=self.log.logger,
            condition=self.condition,
            retention=self.retention,
            superseded=self.superseded.append,
            meter=self._meter,
        )
        return self.actor

    def _before(self, actor: PooledActor, _message: object) -> None:
        if actor is self.actor and self.store.writer.committed != self._perhaps_crash:
            self._perhaps_crash()

    # Messages, put into the mailbox: nothing is handled before ``run``.

    def create(
        self,
        task_id: str,
        *,
        session_id: str = HOME,
        at: Timestamp = NOW,
        text: str = "What is 2 + 2?",
        incarnation: int = 0,
    ) -> SimulatedFuture:
        self.places += 1
        session = SessionId(session_id)
        create = Create(
            context=CONTEXT.about(TaskId(task_id), session),
            task_id=TaskId(task_id),
            session_id=session,
            place=self.places,
            confirmed_at=at,
            incarnation=incarnation,
            new=new_task(session_id, text=text),
        )
        return self.dispatcher.post(self.ref, create)

    def record(self, task_id: str, first: int, *events: AnyEvent, at: Timestamp = NOW) -> None:
        stamped = tuple(stamp(at, event) for event in events)
        record = Record(
            context=CONTEXT, task_id=TaskId(task_id), first=first, events=stamped, agent=self.agent.ref
        )
        tell(self.ref, record)

    def record_crash(self, task_id: str) -> None:
        crash = RecordCrash(context=CONTEXT, task_id=TaskId(task_id), error="It broke.", session=self.session.ref)
        tell(self.ref, crash)

    def revoke(self, task_id: str) -> None:
        tell(self.ref, Revoke(context=CONTEXT, task_id=TaskId(task_id), session=self.session.ref))

    def erase(self, session_id: str = HOME, *, deletion: int = 1) -> None:
        """Have the session actor tell it to delete a session."""
        session = SessionId(session_id)
        erase = EraseSession(
            context=CONTEXT.about(TaskId(""), session),
            session_id=session,
            deletion=deletion,
            session=self.session.ref,
        )
        tell(self.ref, erase)

    def take_stock(self, incarnation: int) -> None:
        tell(self.ref, TakeStock(context=CONTEXT, incarnation=incarnation, session=self.session.ref))

    def crash(self) -> None:
        """Have the actor crash on its next message, once."""
        self._crashes = 1
        self.run()

    def crash_after_commit(self) -> None:
        """Have the actor crash after its next commit, before anybody hears of it."""
        self._crashes = 1
        self.store.writer.committed = self._perhaps_crash
        self.run()

    def _perhaps_crash(self) -> None:
        if self._crashes:
            self._crashes -= 1
            raise ItBroke

    def make_session(self, session_id: str, metadata: dict[str, str] | None = None) -> SimulatedFuture:
        make = MakeSession(
            context=CONTEXT.about(TaskId(""), SessionId(session_id)),
            session_id=SessionId(session_id),
            metadata=metadata or {},
        )
        return self.dispatcher.post(self.ref, make)

    def recover(self, *, resume: bool = False) -> RecoveredStore:
        future = self.dispatcher.post(self.ref, Recover(context=CONTEXT, resume=resume))
        self.run()
        recovered: RecoveredStore = ask_result(future)
        return recovered

    def run(self) -> None:
        self.dispatcher.run()

    def created(self, *task_ids: str) -> None:
        """Have tasks recorded, and forget what was said of them."""
        for task_id in task_ids:
            self.create(task_id)
        self.run()
        self.broadcaster.take()
        self.store.writer.commits = 0

    # What came of it.

    @property
    def transactions(self) -> int:
        """How many transactions wrote something."""
        return self.store.writer.commits

    def published(self) -> list[str]:
        """Return the types of the published events."""
        return [
            event.event_type
            for message in self.broadcaster.received
            if isinstance(message, Publish)
            for event in message.events
        ]

    def deleted(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the sessions that were published as deleted, each with its tasks."""
        return [
            (message.session_id, message.task_ids)
            for message in self.broadcaster.received
            if isinstance(message, PublishDeleted)
        ]

    def counts(self) -> list[int]:
        """Return the counts that the agent was answered with."""
        return [message.count for message in self.agent.received if isinstance(message, Recorded)]

    def missing(self) -> list[int]:
        """Return the counts with which the agent was told that events before its own are missing."""
        return [message.count for message in self.agent.received if isinstance(message, RecordsMissing)]

    def close(self) -> None:
        self.store.close()
