"""Actors of agents that each lack one thing that the protocol needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from alex_actors.agent_actor import AgentActor, Interruption
from alex_actors.agent_protocol import AgentMessage, Announce, RecordsMissing
from alex_actors.core import Core
from alex_actors.events import AnyEvent
from alex_actors.messages import tell
from alex_actors.ports import Executor, Run, Yielded
from alex_actors.session_protocol import TurnEnded
from alex_actors.simulation.faults import InjectedCrash
from alex_actors.tasks import Task


class RunsAgain(AgentActor):
    """Starts its agent at each grant."""

    def _take_turn(self) -> None:
        self._run = None
        super()._take_turn()


class EndsTwice(AgentActor):
    """Decides the end as often as there is a reason for one."""

    @property
    def _end_decided(self) -> bool:
        return self._refused


class NeverInterrupts(AgentActor):
    """Records the end of a cancelled task, and lets its agent go on."""

    def _interrupt(self, interruption: Interruption) -> None:
        if self._interruption is None:
            self._interruption = interruption
            self._end_as_interrupted()


class NeverTimesOut(AgentActor):
    """Takes no notice of its deadline."""

    def _interrupt(self, interruption: Interruption) -> None:
        if interruption != "timeout":
            super()._interrupt(interruption)


class FillsNoGaps(AgentActor):
    """Sends again what is missing only when that is due."""

    def on_receive(self, message: AgentMessage) -> None:
        if isinstance(message, RecordsMissing):
            self._recorded(message.count)
        else:
            super().on_receive(message)


class TellsBeforeItNotes(AgentActor):
    """Notes that nothing of it runs any more when it stops, after it has told so."""

    def _tell_turn_ended(self) -> None:
        tell(self._session, TurnEnded(context=self._context, task_id=self._task.task_id))
        if self.actor_stopped.is_set():
            self._note_stopped()

    def on_stop(self) -> None:
        self._note_stopped()


class CrashesWhenAsked(AgentActor):
    """Crashes when it is to announce itself. By itself this does no harm but to its task."""

    def on_receive(self, message: AgentMessage) -> None:
        if isinstance(message, Announce):
            raise InjectedCrash
        super().on_receive(message)


class NeverSendsAgain(AgentActor):
    """Takes what it sent to the store as recorded some time."""

    def _resend_unanswered(self) -> None:
        self._resend = None


class LeavesEarly(AgentActor):
    """Passes the turn on as soon as the end is recorded, though the agent still runs."""

    def _recorded(self, count: int) -> None:
        super()._recorded(count)
        if self._progress.ended and not self._unanswered and not self._run_stopped:
            self._leave()


class CrashesAway(AgentActor):
    """Crashes without stopping its agent."""

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel_timers()
        self._tell_turn_ended()


class CrashesSilently(AgentActor):
    """Crashes without having the turn passed on."""

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel_timers()
        if self._run is not None:
            self._run.cancel()


class StaysBehind(AgentActor):
    """Does not stop when all is done."""

    def _leave(self) -> None:
        self._cancel_timers()
        self._tell_turn_ended()


class LeavesTimers(AgentActor):
    """Stops with timers that are still to come."""

    def _cancel_timers(self) -> None:
        pass


class ForgetsTheTurn(AgentActor):
    """Stops without a word to who waits for its turn."""

    def _tell_turn_ended(self) -> None:
        self._note_stopped()


class SaysSoTooEarly(AgentActor):
    """Says that its turn is over, and only then has its end recorded."""

    def _end_as_interrupted(self) -> None:
        tell(self._session, TurnEnded(context=self._context, task_id=self._task.task_id))
        super()._end_as_interrupted()


class OneTooFew:
    """An executor that does not count `task_started`: what it takes as committed is one event too many."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def start(
        self, task: Task, *, history: Sequence[AnyEvent], uncommitted: int, report: Callable[[Yielded], None]
    ) -> Run:
        return self._executor.start(task, history=history, uncommitted=uncommitted - 1, report=report)


class RunsAhead(Core):
    """A core whose agents go on before what they said is committed."""

    def __init__(self, *, executor: Executor, **rest: Any) -> None:  # Any: as Core has them
        super().__init__(executor=OneTooFew(executor), **rest)
