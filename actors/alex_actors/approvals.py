"""Tool calls that wait for a person's word: as a task's actor keeps them, and as what runs its agent does."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, assert_never

import msgspec

from alex_actors.agent_protocol import Decide, _ApprovalLapsed
from alex_actors.events import AnyEvent, ApprovalRequested, ApprovalResolved
from alex_actors.ports import AgentError, Decision
from alex_actors.replies import DecideReply, DecisionRecorded, NothingWaits
from alex_actors.values import Timestamp, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from alex_actors.messages import Promise
    from alex_actors.ports import Clock, Run, Timer
    from alex_actors.redact import Redactor

LAPSED = Decision(approved=False, reason="Nobody answered in time.")
"""What counts as said when the time of a request is over."""

_CALL_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._:-]{1,128}")
"""What stands for itself in a URL, since it is answered there; clients take ``.`` and ``..`` out of a path."""


class _Call:
    """A tool call that waits, or has waited."""

    __slots__ = ("askers", "committed", "decided", "expires_at", "recorded_with", "timer")

    def __init__(self, expires_at: Timestamp | None) -> None:
        self.expires_at = expires_at
        self.timer: Timer | None = None
        self.decided = False
        self.recorded_with = 0
        """How many events of the task are committed when its resolution is. 0: it has none yet."""
        self.committed = False
        """Whether its resolution is."""
        self.askers: list[tuple[Promise[DecideReply], DecideReply]] = []
        """Who is to hear what, once it is."""

    def answer_askers(self, instead: DecideReply | None = None) -> None:
        """Tell those who wait what they are to hear, or something else."""
        askers, self.askers = self.askers, []
        for promise, reply in askers:
            promise.fulfil(instead or reply)


class Approvals:
    """The calls of one task that wait for a person's word, for its AgentActor: it alone decides which word counts.

    That is the first, or the lapse of time. The run is told, and records it; who asked is answered when that is
    committed. What is still open at the end of the task is answered then.
    """

    def __init__(self, *, clock: Clock, lapse_in: Callable[[float, str], Timer], goes_on: bool) -> None:
        """``lapse_in`` sends an _ApprovalLapsed for a call in so many seconds; ``goes_on``: there is a history."""
        self._clock = clock
        self._lapse_in = lapse_in
        self._awaits_history = goes_on
        self._run: Run | None = None
        self._ended = False
        self._calls: dict[str, _Call] = {}
        self._resolving: deque[_Call] = deque()  # their resolutions are on the way to the store, in this order
        self._early: list[tuple[Decide, Promise[DecideReply]]] = []  # they came before the history

    def begin(self, run: Run, history: Iterable[AnyEvent]) -> None:
        """Take what the task's history says, and what people said while it was not there."""
        self._run = run
        self._awaits_history = False
        for event in history:
            self.take(event, 0)
        self.committed(0)
        early, self._early = self._early, []
        for message, promise in early:
            self._decide(message, promise)

    def take(self, event: AnyEvent, count: int) -> None:
        """Take an event of the task: ``count`` are committed when it is."""
        match event:
            case ApprovalRequested(call_id=call_id, expires_at=expires_at) if call_id not in self._calls:
                self._calls[call_id] = call = _Call(expires_at)
                self._start_timer(call_id, call)
            case ApprovalResolved(call_id=call_id) if call_id in self._calls:
                call = self._calls[call_id]
                self._note_decided(call)
                call.recorded_with = count
                self._resolving.append(call)
            case _:
                pass

    def receive(self, message: Decide | _ApprovalLapsed) -> Promise[DecideReply] | None:
        """Take a person's word, or note that the time of a request is over.

        The answer to a word comes when it is recorded, or cannot be any more.
        """
        match message:
            case Decide():
                return self._take_word(message)
            case _ApprovalLapsed(call_id=call_id):
                self._lapse(call_id)
                return None
            case _:
                assert_never(message)

    def committed(self, count: int) -> None:
        """Answer those whose word is among the first ``count`` events of the task, which are committed."""
        while self._resolving and self._resolving[0].recorded_with <= count:
            call = self._resolving.popleft()
            call.committed = True
            call.answer_askers()

    def end(self) -> None:
        """Answer all who wait: the task has its end. Not those whose word may be recorded all the same."""
        self._ended = True
        early, self._early = self._early, []
        for _message, promise in early:
            promise.fulfil(NothingWaits("ended"))
        for call in self._calls.values():
            self._stop_timer(call)
            if not call.recorded_with:
                call.answer_askers(NothingWaits("ended"))

    def _take_word(self, message: Decide) -> Promise[DecideReply]:
        promise = message.later()
        if self._ended:
            promise.fulfil(NothingWaits("ended"))
        elif self._awaits_history:
            self._early.append((message, promise))
        else:
            self._decide(message, promise)
        return promise

    def _lapse(self, call_id: str) -> None:
        call = self._calls[call_id]
        if not call.decided and not self._ended:
            self._tell_run(call_id, call, LAPSED)

    def _decide(self, message: Decide, promise: Promise[DecideReply]) -> None:
        call = self._calls.get(message.call_id)
        if call is None:
            promise.fulfil(NothingWaits("unknown"))
            return
        if self._time_left(call) == 0.0:  # before its timer: it was over while the server was down
            self._lapse(message.call_id)
        if call.committed:
            promise.fulfil(NothingWaits("decided"))
        elif call.decided:  # it is not for certain before it is committed: a crash would have it wait again
            call.askers.append((promise, NothingWaits("decided")))
        else:
            call.askers.append((promise, DecisionRecorded()))
            self._tell_run(message.call_id, call, message.decision)

    def _tell_run(self, call_id: str, call: _Call, decision: Decision) -> None:
        self._note_decided(call)
        if self._run is not None:
            self._run.decide(call_id, decision)

    def _note_decided(self, call: _Call) -> None:
        call.decided = True
        self._stop_timer(call)

    def _time_left(self, call: _Call) -> float | None:
        if call.expires_at is None:
            return None
        return max(0.0, (moment(call.expires_at) - self._clock.now()).total_seconds())

    def _start_timer(self, call_id: str, call: _Call) -> None:
        seconds = self._time_left(call)
        if seconds is not None:
            call.timer = self._lapse_in(seconds, call_id)

    def _stop_timer(self, call: _Call) -> None:
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None


def check_request(request: ApprovalRequested) -> None:
    """Raise AgentError for a request of an agent that nobody could answer, or whose time is none.

    Fields of another type are left to whoever records it.
    """
    call_id: object = request.call_id  # an object: an agent may have put anything there
    expires_at: object = request.expires_at  # as above
    if isinstance(call_id, str) and not _CALL_ID.fullmatch(call_id):
        raise AgentError(
            f"The agent asked for approval under the call ID {call_id[:200]!r}, at which nobody can answer: it is "
            "1 to 128 letters, digits, '.', '_', ':' and '-'."
        )
    if isinstance(expires_at, str) and not _is_moment(expires_at):
        raise AgentError(
            f"The agent asked for approval until {expires_at[:200]!r}, which is no time such as "
            "'2030-01-31T12:00:00.000000Z'."
        )


def _is_moment(text: str) -> bool:
    try:
        return moment(Timestamp(text)).tzinfo is not None
    except ValueError:
        return False


class Decisions:
    """What one run knows of the calls that its agent asks about. Lives on the executor's loop."""

    def __init__(self, history: Sequence[AnyEvent], *, redactor: Redactor) -> None:
        self._redactor = redactor
        self._requested: set[str] = set()
        self._decided: dict[str, Decision] = {}
        self._news = asyncio.Event()
        for event in history:
            if isinstance(event, ApprovalRequested):
                self._requested.add(event.call_id)
            elif isinstance(event, ApprovalResolved):
                decision = Decision(approved=event.approved, reason=event.reason, arguments=event.arguments)
                self._decided[event.call_id] = decision

    def is_new(self, request: ApprovalRequested) -> bool:
        """Whether it is not on record yet."""
        return request.call_id not in self._requested

    def awaits(self, call_id: str) -> bool:
        """Whether it was asked about the call, and nobody has decided on it."""
        return call_id in self._requested and call_id not in self._decided

    @property
    def waiting(self) -> int:
        """How many calls it was asked about and nobody has decided on. May be read on any thread."""
        return len(self._requested) - len(self._decided)

    def request(self, request: ApprovalRequested) -> ApprovalRequested:
        """Take note of a request; return it as it is recorded, without secrets."""
        redacted = msgspec.structs.replace(request, arguments=self._redactor.redact(request.arguments))
        self._requested.add(request.call_id)
        return redacted

    def resolve(self, call_id: str, decision: Decision) -> ApprovalResolved:
        """Take note of a decision; return it as it is recorded, without secrets. The agent gets it as it came."""
        self._decided[call_id] = decision
        self._news.set()
        reason, arguments = decision.reason, decision.arguments
        return ApprovalResolved(
            call_id=call_id,
            approved=decision.approved,
            reason=None if reason is None else self._redactor.text(reason),
            arguments=None if arguments is None else self._redactor.redact(arguments),
        )

    async def of(self, call_ids: Sequence[str]) -> dict[str, Decision]:
        """Return the decisions on all of those calls, once they are there."""
        while not all(call_id in self._decided for call_id in call_ids):
            self._news.clear()
            await self._news.wait()
        return {call_id: self._decided[call_id] for call_id in call_ids}
