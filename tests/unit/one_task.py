"""One task's AgentActor, with the session, the store and the agent played by the test."""

from __future__ import annotations

from typing import Any

import msgspec

from alex_actors.agent_launcher import AgentLauncher
from alex_actors.agent_protocol import CancelTask, History, Recorded, TurnGranted
from alex_actors.events import AnyEvent, Stamped, TaskAnalysis, TaskCancelled, TaskCompleted, TaskFailed
from alex_actors.messages import Tell, tell
from alex_actors.projection import Progress, advance
from alex_actors.session_protocol import RequestTurn
from alex_actors.task_store_protocol import Record
from tests.unit.actor_fakes import CapturedLog
from tests.unit.protocol_system import CONTEXT, a_task
from tests.unit.scripted_agents import FakeExecutor, ScriptedRun
from tests.unit.stepping import StandIn, SteppedDispatcher

GRACE = 3.0
ANALYSIS = TaskAnalysis(action_name="calculate", goal="4")


class OneTask:
    """An agent's actor, and stand-ins for everybody whom it knows."""

    def __init__(self, *, timeout_seconds: float | None = None, history: tuple[Stamped, ...] = ()) -> None:
        """With a history it goes on from where it was when the server went down."""
        self.log = CapturedLog()
        self.dispatcher = SteppedDispatcher()
        self.clock, self.timers = self.dispatcher.clock, self.dispatcher.timers
        self.session = StandIn(self.dispatcher)
        self.store = StandIn(self.dispatcher)
        self.executor = FakeExecutor(clock=self.clock)
        self.history = history
        progress = Progress()
        for one in history:
            progress = advance(progress, one.at, one.event)
        self.task = msgspec.structs.replace(
            a_task("a"),
            timeout_seconds=timeout_seconds,
            status=progress.status,
            started_at=progress.started_at,
            current_iteration=progress.current_iteration,
            tokens_used=progress.tokens_used,
            cost_usd=progress.cost_usd,
        )
        launcher = AgentLauncher(
            spawner=self.dispatcher, store=self.store.ref, executor=self.executor, timers=self.timers,
            clock=self.clock, log=self.log.logger, cancel_grace=GRACE,
        )  # fmt: skip
        launcher.launch(self.task, self.session.ref, recorded=max(1, len(history)))
        self.dispatcher.run()
        (request,) = self.session.take()
        assert isinstance(request, RequestTurn)
        self.agent = request.agent
        self.answered = 0

    @property
    def run(self) -> ScriptedRun:
        return self.executor.runs[self.task.task_id]

    def tell(self, message: Tell[Any]) -> None:  # Any: of any actor's protocol
        tell(self.agent, message)
        self.dispatcher.run()

    def grant(self) -> None:
        self.tell(TurnGranted(context=CONTEXT))

    def remind(self) -> None:
        """Answer as the store does that is asked for the history."""
        self.tell(History(context=CONTEXT, bodies=tuple(one.body for one in self.history)))

    def cancel(self) -> None:
        self.tell(CancelTask(context=CONTEXT))

    def does(self, *events: Any) -> None:  # Any: events that an agent may yield
        self.run.yields(*events)
        self.dispatcher.run()

    def finishes(self, answer: str = "4") -> None:
        self.run.finishes(answer)
        self.dispatcher.run()

    def stops(self) -> None:
        self.run.stops()
        self.dispatcher.run()

    def commit(self) -> None:
        """Answer as the store does when all that it was sent is committed."""
        count = max(record.first + len(record.events) for record in self.records())
        self.tell(Recorded(context=CONTEXT, count=count))

    def recorded(self) -> list[AnyEvent]:
        """Return the events that were sent to the store, each once, after checking their numbers."""
        events: list[AnyEvent] = []
        begun = max(1, len(self.history))
        for record in self.records():
            assert record.first <= begun + len(events), "events are missing"
            events += [stamped.event for stamped in record.events[begun + len(events) - record.first :]]
        return events

    def records(self) -> list[Record]:
        """Return what the store was told to record."""
        return [message for message in self.store.received if isinstance(message, Record)]

    def session_was_told(self) -> list[str]:
        return [type(message).__name__ for message in self.session.received]

    def end(self) -> TaskCompleted | TaskFailed | TaskCancelled:
        """Return the one end that was sent to the store, as the last event."""
        *before, last = self.recorded()
        assert isinstance(last, TaskCompleted | TaskFailed | TaskCancelled)
        assert not [event for event in before if isinstance(event, TaskCompleted | TaskFailed | TaskCancelled)]
        return last

    def is_gone(self) -> bool:
        """Whether nothing of it is left: no actor, no timer."""
        return not self.agent.is_alive() and not self.timers.pending
