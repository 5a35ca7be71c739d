"""Ways to have a person's word that each lack one thing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec

from alex_actors.agent_actor import AgentActor
from alex_actors.agent_protocol import Decide
from alex_actors.approvals import Approvals, Decisions, _Call
from alex_actors.core import Core
from alex_actors.events import AnyEvent, ApprovalRequested
from alex_actors.messages import Promise
from alex_actors.ports import AwaitApprovals, Run
from alex_actors.redact import NO_SECRETS
from alex_actors.replies import DecideReply, DecisionRecorded
from alex_actors.simulation.server_parts import AgentLoops, WatchedRun
from alex_actors.values import timestamp
from tests.simulation.mutation import server


def approving(approvals: type[Approvals]) -> type[Core]:
    """Return a core whose agents' actors have this in place of Approvals."""

    class Broken(AgentActor):
        def __init__(self, **given: Any) -> None:  # Any: as AgentActor has them
            super().__init__(**given)
            goes_on = given["recorded"] > 1
            self._approvals = approvals(clock=given["clock"], lapse_in=self._lapse_in, goes_on=goes_on)

    return server(agent=Broken)


def running(run: type[WatchedRun]) -> type[Core]:
    """Return a core whose agents are run by this."""

    class Broken(Core):
        def __init__(self, *, executor: AgentLoops, **rest: Any) -> None:  # Any: as Core has them
            executor.run_class = run
            super().__init__(executor=executor, **rest)

    return Broken


# What a task's actor keeps.


class EveryWordCounts(Approvals):
    """Tells everybody that his word is recorded, though the first one is."""

    def _decide(self, message: Decide, promise: Promise[DecideReply]) -> None:
        call = self._calls.get(message.call_id)
        if call is None or not call.decided:
            super()._decide(message, promise)
        elif call.committed:
            promise.fulfil(DecisionRecorded())
        else:
            call.askers.append((promise, DecisionRecorded()))


class AnswersAtOnce(Approvals):
    """Tells who has decided that his word is recorded before it is."""

    def _decide(self, message: Decide, promise: Promise[DecideReply]) -> None:
        call = self._calls.get(message.call_id)
        if call is None or call.decided:
            super()._decide(message, promise)
        else:
            promise.fulfil(DecisionRecorded())
            self._tell_run(message.call_id, call, message.decision)


class ForgetsRequests(Approvals):
    """Knows nothing of what waited before a restart."""

    def begin(self, run: Run, history: Iterable[AnyEvent]) -> None:
        del history
        super().begin(run, ())


class CountsTimeAnew(Approvals):
    """Gives what waited before a restart five minutes more."""

    def begin(self, run: Run, history: Iterable[AnyEvent]) -> None:
        until = timestamp(self._clock.now() + timedelta(minutes=5))
        super().begin(
            run,
            [
                msgspec.structs.replace(event, expires_at=until)
                if isinstance(event, ApprovalRequested) and event.expires_at is not None
                else event
                for event in history
            ],
        )


class NeverLapses(Approvals):
    """Waits for ever for a person's word."""

    def _time_left(self, call: _Call) -> float | None:
        return None


class LeavesTimers(Approvals):
    """Lets the time of a request go on when it is decided, and when its task has ended."""

    def _stop_timer(self, call: _Call) -> None:
        call.timer = None


# What runs an agent.


class ActsBeforeTheCommit(WatchedRun):
    """Hands a decision to the agent before it is on record."""

    async def _until_decided(self, asked: AwaitApprovals) -> None:
        for request in asked.requests:
            if self._decisions.is_new(request):
                self._take(self._decisions.request(request))
        asked.decisions.update(await self._decisions.of([request.call_id for request in asked.requests]))


class AsksAgain(WatchedRun):
    """Knows nothing of what was asked and decided before a restart."""

    def __init__(self, **given: Any) -> None:  # Any: as AsyncioRun has them
        super().__init__(**given)
        self._decisions = Decisions((), redactor=NO_SECRETS)
