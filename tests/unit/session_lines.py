"""A session actor, with everybody whom it knows played by the test."""

from __future__ import annotations

import pykka

from alex_actors.messages import tell
from alex_actors.replies import SessionBusy, TooManyTasks
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import (
    Cancel,
    Confirm,
    Confirmed,
    RequestTurn,
    Settle,
    Settled,
    TaskEnded,
    TurnEnded,
)
from alex_actors.tasks import Status, Strategy, Task
from alex_actors.values import SessionId, TaskId
from tests.unit.protocol_system import CONTEXT, CapturedLog, ask_result
from tests.unit.stepping import CountingIds, FakeClock, FakeTimers, StandIn, SteppingDispatcher, SteppingFuture

HOME = SessionId("home")


class Lines:
    """A session actor, and stand-ins for everybody whom it knows."""

    def __init__(self, *, max_unfinished: int = 100, max_running: int = 100) -> None:
        clock = FakeClock()
        self.log = CapturedLog()
        self.dispatcher = SteppingDispatcher(clock=clock, timers=FakeTimers(clock=clock))
        self.store = StandIn(self.dispatcher)
        self.launched: list[Task] = []
        self.agents: dict[str, StandIn] = {}
        self.actor = SessionActor(
            store=self.store.ref,
            launch_agent=lambda task, _session: self.launched.append(task),
            ids=CountingIds(),
            clock=clock,
            log=self.log.logger,
            next_place=7,
            max_unfinished=max_unfinished,
            max_running=max_running,
        )
        self.ref: pykka.ActorRef[SessionActor] = self.dispatcher.spawn(lambda: self.actor)

    def confirm(
        self,
        task: str,
        strategy: Strategy = "enqueue",
        *,
        session_id: SessionId | None = HOME,
        known_ended: tuple[tuple[TaskId, Status], ...] = (),
    ) -> Confirmed | SessionBusy | TooManyTasks:
        confirm = Confirm(
            context=CONTEXT,
            task_id=TaskId(task),
            session_id=session_id,
            strategy=strategy,
            known_ended=known_ended,
        )
        future = self.dispatcher.post(self.ref, confirm)
        self.dispatcher.run()
        answer: Confirmed | SessionBusy | TooManyTasks = ask_result(future)
        return answer

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

    def cancel(self, task: str) -> SteppingFuture:
        future = self.dispatcher.post(self.ref, Cancel(context=CONTEXT, task_id=TaskId(task)))
        self.dispatcher.run()
        return future

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
        return not (actor._places or actor._lines or actor._ready or actor._running or actor._promises)
