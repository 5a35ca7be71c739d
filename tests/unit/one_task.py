"""One task's AgentActor, with the session, the store and the agent played by the test."""

from __future__ import annotations

from typing import Any

import msgspec

from alex_actors.agent_launcher import AgentLauncher
from alex_actors.agent_protocol import CancelTask, Recorded, TurnGranted
from alex_actors.events import AnyEvent, TaskAnalysis, TaskCancelled, TaskCompleted, TaskFailed
from alex_actors.messages import Tell, tell
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

    def __init__(self, *, timeout_seconds: float | None = None) -> None:
        self.log = CapturedLog()
        self.dispatcher = SteppedDispatcher()
        self.clock, self.timers = self.dispatcher.clock, self.dispatcher.timers
        self.session = StandIn(self.dispatcher)
        self.store = StandIn(self.dispatcher)
        self.executor = FakeExecutor(clock=self.clock)
        self.task = msgspec.structs.replace(a_task("a"), timeout_seconds=timeout_seconds)
        launcher = AgentLauncher(
            spawner=self.dispatcher, store=self.store.ref, executor=self.executor, timers=self.timers,
            clock=self.clock, log=self.log.logger, cancel_grace=GRACE,
        )  # fmt: skip
        launcher.launch(self.task, self.session.ref)
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
        records = [message for message in self.store.received if isinstance(message, Record)]
        count = max(record.first + len(record.events) for record in records)
        self.tell(Recorded(context=CONTEXT, count=count))

    def recorded(self) -> list[AnyEvent]:
        """Return the events that were sent to the store, each once, after checking their numbers."""
        events: list[AnyEvent] = []
        for record in self.store.received:
            assert record.first <= 1 + len(events), "events are missing"
            events += [stamped.event for stamped in record.events[1 + len(events) - record.first :]]
        return events

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
