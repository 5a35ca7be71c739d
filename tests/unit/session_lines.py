"""A session actor, with everybody whom it knows played by the test."""

from __future__ import annotations

import msgspec
import pykka

from alex_actors.agent_launcher import AgentLauncher, LaunchedAgent
from alex_actors.messages import tell
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import (
    AdmitSession,
    AgentPresent,
    Cancel,
    ChildReply,
    Confirm,
    ConfirmChild,
    Confirmed,
    ConfirmReply,
    DeleteSession,
    EndedTask,
    RequestTurn,
    SessionErased,
    Settle,
    Settled,
    Stock,
    TaskEnded,
    TurnEnded,
    UnfinishedTask,
)
from alex_actors.simulation.mailboxes import SimulatedFuture
from alex_actors.simulation.names import ReadableIds
from alex_actors.task_store_protocol import EraseSession
from alex_actors.tasks import Status, Strategy, Task
from alex_actors.values import SessionId, TaskId
from tests.unit.actor_fakes import CapturedLog
from tests.unit.protocol_system import CONTEXT, a_task, ask_result
from tests.unit.stepping import StandIn, SteppedDispatcher

HOME = SessionId("home")


class FakeLauncher(AgentLauncher):
    """Remembers which agents it was to launch; the test says which there are."""

    def __init__(self, launched: tuple[LaunchedAgent, ...]) -> None:
        self.tasks: list[Task] = []
        self.recorded: dict[TaskId, int] = {}
        """How many events each of them has."""
        self._launched = {one.task.task_id: one for one in launched}

    def launch(self, task: Task, session: pykka.ActorRef[SessionActor], *, recorded: int = 1) -> None:
        """Take notice."""
        self.tasks.append(task)
        self.recorded[task.task_id] = recorded


class Lines:
    """A session actor, and stand-ins for everybody whom it knows."""

    def __init__(
        self,
        *,
        max_unfinished: int = 100,
        max_running: int = 100,
        incarnation: int = 1,
        launched: tuple[LaunchedAgent, ...] = (),
    ) -> None:
        """The first session actor gets its stock at once; each later one when the test says so."""
        self.log = CapturedLog()
        self.dispatcher = SteppedDispatcher()
        self.store = StandIn(self.dispatcher)
        self.launcher = FakeLauncher(launched)
        self.incarnation = incarnation
        self.launched = self.launcher.tasks
        self.agents: dict[str, StandIn] = {}
        self.actor = SessionActor(
            store=self.store.ref,
            launcher=self.launcher,
            ids=ReadableIds(speaker=lambda: "test"),
            clock=self.dispatcher.clock,
            log=self.log.logger,
            incarnation=incarnation,
            max_unfinished=max_unfinished,
            max_running=max_running,
        )
        self.ref: pykka.ActorRef[SessionActor] = self.dispatcher.spawn(lambda: self.actor)
        if incarnation == 1:
            self.stock()
        self.dispatcher.run()
        self.store.take()

    def stock(self, *unfinished: Task, incarnation: int | None = None, started: bool = False) -> None:
        """Have the store say what is unfinished."""
        stock = Stock(
            context=CONTEXT,
            incarnation=self.incarnation if incarnation is None else incarnation,
            unfinished=tuple(UnfinishedTask(task, 2 if started else 1) for task in unfinished),
            last_place=6,
        )
        tell(self.ref, stock)
        self.dispatcher.run()

    def confirm(
        self,
        task: str,
        strategy: Strategy = "enqueue",
        *,
        session_id: SessionId | None = HOME,
        known_ended: tuple[EndedTask, ...] = (),
    ) -> ConfirmReply:
        confirm = Confirm(
            context=CONTEXT,
            task_id=TaskId(task),
            session_id=session_id,
            strategy=strategy,
            known_ended=known_ended,
        )
        future = self.dispatcher.post(self.ref, confirm)
        self.dispatcher.run()
        answer: ConfirmReply = ask_result(future)
        return answer

    def confirm_child(self, task: str, parent: str) -> ChildReply:
        """Have a sub-agent's task be confirmed."""
        confirm = ConfirmChild(context=CONTEXT, task_id=TaskId(task), parent_task_id=TaskId(parent))
        future = self.dispatcher.post(self.ref, confirm)
        self.dispatcher.run()
        answer: ChildReply = ask_result(future)
        return answer

    def enter_child(self, task: str, parent: str) -> None:
        """Confirm a sub-agent's task, and have its agent ask for its turn."""
        assert isinstance(self.confirm_child(task, parent), Confirmed)
        self.request_turn(task)

    def request_turn(self, task: str) -> None:
        """Have the task's agent appear, and ask for its turn."""
        self.agents[task] = StandIn(self.dispatcher)
        request = RequestTurn(context=CONTEXT, task_id=TaskId(task), agent=self.agents[task].ref)
        tell(self.ref, request)
        self.dispatcher.run()

    def enter(self, task: str, strategy: Strategy = "enqueue", *, session_id: SessionId = HOME) -> None:
        """Confirm a task, and have its agent ask for its turn."""
        assert isinstance(self.confirm(task, strategy, session_id=session_id), Confirmed)
        self.request_turn(task)

    def end_is_recorded(self, task: str, status: Status = "completed") -> None:
        tell(self.ref, TaskEnded(context=CONTEXT, task_id=TaskId(task), status=status))
        self.dispatcher.run()

    def agent_stops(self, task: str) -> None:
        tell(self.ref, TurnEnded(context=CONTEXT, task_id=TaskId(task)))
        self.dispatcher.run()

    def end(self, task: str, status: Status = "completed") -> None:
        self.end_is_recorded(task, status)
        self.agent_stops(task)

    def cancel(self, task: str) -> SimulatedFuture:
        future = self.dispatcher.post(self.ref, Cancel(context=CONTEXT, task_id=TaskId(task)))
        self.dispatcher.run()
        return future

    def delete(self, session_id: SessionId = HOME) -> SimulatedFuture:
        """Have a client ask for the deletion of a session."""
        context = CONTEXT.about(TaskId(""), session_id)
        future = self.dispatcher.post(self.ref, DeleteSession(context=context, session_id=session_id))
        self.dispatcher.run()
        return future

    def admit(self, session_id: SessionId | None = HOME, *, places: int = 0) -> SimulatedFuture:
        """Have a client ask to make a session without a task that is to run."""
        admit = AdmitSession(context=CONTEXT, session_id=session_id, places=places)
        future = self.dispatcher.post(self.ref, admit)
        self.dispatcher.run()
        return future

    def erasures(self) -> list[EraseSession]:
        """Return what the store was told to delete, so far."""
        return [message for message in self.store.received if isinstance(message, EraseSession)]

    def erased(self, message: EraseSession) -> None:
        """Have the store answer that it is done."""
        tell(
            self.ref,
            SessionErased(context=message.context, session_id=message.session_id, deletion=message.deletion),
        )
        self.dispatcher.run()

    def settle(self, task: str) -> None:
        tell(self.ref, Settle(context=CONTEXT, task_id=TaskId(task)))
        self.dispatcher.run()

    def settled(self, task: str, recorded: Task | None) -> None:
        tell(self.ref, Settled(context=CONTEXT, task_id=TaskId(task), task=recorded))
        self.dispatcher.run()

    def told(self, task: str) -> list[str]:
        """Return what the task's agent was told, by name."""
        return [type(message).__name__ for message in self.agents[task].received]

    def granted(self) -> list[str]:
        """Return the tasks that were given their turn."""
        return [task for task in self.agents if "TurnGranted" in self.told(task)]

    def nothing_is_left(self) -> bool:
        actor = self.actor
        lines = actor._lines
        room, deletions = actor._room, actor._deletions._by_session
        return not (
            lines.places or lines.by_session or room.waiting or room.running or deletions or actor._promises
        )


def task(task_id: str, place: int, strategy: Strategy = "enqueue", *, parent: str | None = None) -> Task:
    parent_id = None if parent is None else TaskId(parent)
    return msgspec.structs.replace(a_task(task_id), place=place, strategy=strategy, parent_task_id=parent_id)


class Restarted(Lines):
    """The second session actor, which has not got its stock yet."""

    def __init__(self, *launched: LaunchedAgent, max_running: int = 100) -> None:
        super().__init__(incarnation=2, launched=launched, max_running=max_running)

    def live(self, *tasks: Task) -> None:
        """Have agents be there, launched before the crash."""
        for one in tasks:
            launched = LaunchedAgent(one)
            self.agents[one.task_id] = StandIn(self.dispatcher)
            launched.agent = self.agents[one.task_id].ref
            self.launcher._launched[one.task_id] = launched

    def present(self, task_id: str, *, granted: bool = False, status: Status | None = None) -> None:
        """Have an agent announce itself."""
        agent = self.agents[task_id].ref
        message = AgentPresent(
            context=CONTEXT, task_id=TaskId(task_id), agent=agent, granted=granted, status=status
        )
        tell(self.ref, message)
        self.dispatcher.run()

    def ask_confirm(self, task_id: str) -> SimulatedFuture:
        confirm = Confirm(context=CONTEXT, task_id=TaskId(task_id), session_id=HOME, strategy="enqueue")
        future = self.dispatcher.post(self.ref, confirm)
        self.dispatcher.run()
        return future

    def store_was_told(self) -> list[tuple[str, str]]:
        return [(type(message).__name__, message.task_id) for message in self.store.received]
