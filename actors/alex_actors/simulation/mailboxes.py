"""Mailboxes and answers that a simulation knows of."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pykka
from pykka._envelope import Envelope  # private, and pinned: as in alex_actors.messages

from alex_actors.diagrams.trace import NO_CAUSE, describe
from alex_actors.mailbox import Mailbox
from alex_actors.messages import Promise
from alex_actors.simulation.scheduler import Scheduler
from alex_actors.simulation.strands import Strand, Wait, stops_the_run

if TYPE_CHECKING:
    from types import TracebackType

    from pykka._types import OptExcInfo  # private, and pinned: what set_exception takes

    from alex_actors.actor import PooledActor


class SimulatedEnvelope(Envelope[Any]):  # Any: Pykka's envelopes carry any message
    """An envelope that knows its sending."""

    __slots__ = ("sent",)

    def __init__(self, envelope: Envelope[Any], sent: int) -> None:  # Any: as above
        super().__init__(envelope.message, envelope.reply_to)
        self.sent = sent
        """The index of the trace's entry."""


class SimulatedMailbox(Mailbox):
    """A mailbox that writes down what goes through it, and lets others go on before and after each put."""

    __slots__ = ("_started", "label", "scheduler", "strand")

    def __init__(self, label: str, *, scheduler: Scheduler) -> None:
        super().__init__(label)
        self.label = label
        self.scheduler = scheduler
        self.strand = Strand(label, self._take_step)
        self._started: PooledActor | None = None

    def _take_step(self) -> None:
        """Have the actor start, or handle one message: its start is a step of its own, whatever waits already."""
        actor = self.actor
        starts = actor is not None and actor is not self._started
        self._started = actor
        self.run(0 if starts else 1)

    def put(self, envelope: Envelope[Any], /) -> None:  # Any: as above
        """Add an envelope."""
        scheduler = self.scheduler
        if scheduler.abandoning:
            return
        scheduler.perhaps_pause()
        who, cause = scheduler.speaker, scheduler.take_cause()
        sent = scheduler.trace.add("sent", who, envelope.message, peer=self.label, cause=cause)
        if isinstance(envelope.reply_to, SimulatedFuture):
            envelope.reply_to.asked(who, self.label, envelope.message, sent, scheduler)
        scheduler.steps.touch(f"mailbox:{self.label}", write=True)
        super().put(SimulatedEnvelope(envelope, sent))
        if not scheduler.steps.on:  # what the sender does after it has sent may come after what that sets off
            scheduler.perhaps_pause()

    def drain(self) -> None:
        """Answer everything that waits for an actor that has stopped."""
        self.scheduler.steps.touch(f"mailbox:{self.label}", write=True)
        super().drain()

    def get(self) -> Envelope[Any]:  # Any: as above
        """Take the next envelope, as Mailbox does."""
        envelope = super().get()
        if isinstance(envelope, SimulatedEnvelope):
            trace = self.scheduler.trace
            sending = trace.entries[envelope.sent]
            trace.add("handled", self.label, envelope.message, peer=sending.who, cause=envelope.sent)
            self.scheduler.steps.caused_by(sending.step)
        return envelope


class SimulatedFuture(pykka.Future[Any]):  # Any: of whatever answer
    """An answer; who waits for it lets everybody else go on meanwhile.

    Pykka makes futures without arguments. They learn of the scheduler when what they are to answer is sent; those
    that ``map`` and the like make of others get what they get from these, and need none.
    """

    def __init__(self, scheduler: Scheduler | None = None) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._wait = Wait("an answer")
        self._asker = self._asked = ""
        self._question: object = None
        self._sent = NO_CAUSE
        self._value: Any = None  # Any: as above
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None

    @property
    def done(self) -> bool:
        """Whether the answer is there."""
        if self._scheduler is not None:
            self._scheduler.steps.touch(self._wait.resource, write=False)
        return self._wait.over

    def asked(self, asker: str, asked: str, question: object, sent: int, scheduler: Scheduler) -> None:
        """Say whose answer to what this will be, and with which entry of the trace it was asked."""
        self._scheduler = scheduler
        self._asker, self._asked, self._question, self._sent = asker, asked, question, sent
        self._wait.of = asked
        self._wait.reason = f"the answer of {asked} to {describe(question, fields=False)}"
        self._wait.resource = f"answer:{asker}:{asked}"

    def get(self, *, timeout: float | None = None) -> Any:  # Any: as above
        """Return the answer, or raise what it is; pykka.Timeout after ``timeout`` virtual seconds."""
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        scheduler = self._scheduler
        if scheduler is None and not self.done:
            msg = "Nobody was asked for this answer."
            raise RuntimeError(msg)
        if scheduler is not None and not scheduler.wait_for(self._wait, timeout=timeout):
            scheduler.trace.add("gave up", scheduler.speaker, self._question, peer=self._asked, cause=self._sent)
            msg = f"{timeout} seconds"
            raise pykka.Timeout(msg)
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)
        return self._value

    def set(self, value: Any | None = None) -> None:  # Any: as Pykka declares it
        """Take the answer, or a promise of it."""
        if isinstance(value, Promise):
            value.bind(self)
            return
        self._value = value
        self._end(value)

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Take a failure; by default, the one that is being handled."""
        _, error, traceback = exc_info or sys.exc_info()
        if error is None:
            msg = "An answer that is a failure needs the exception."
            raise ValueError(msg)
        if error.__cause__ is not None and stops_the_run(error.__cause__):  # contained by the actor: let it out
            raise error.__cause__
        self._error, self._traceback = error, traceback
        self._end(error)

    def _end(self, answer: object) -> None:
        if self._wait.over:
            msg = "An ask has one answer."
            raise RuntimeError(msg)
        answered = NO_CAUSE
        scheduler = self._scheduler
        if scheduler is None:
            self._wait.over = True
            return
        if self._asked:
            answered = scheduler.trace.add("answered", self._asked, answer, peer=self._asker, cause=self._sent)
        scheduler.end(self._wait, cause=answered)


def simulated(mailbox: Mailbox) -> SimulatedMailbox:
    """Return a mailbox as what it is in a simulation. Raises TypeError if it belongs to no simulation."""
    if not isinstance(mailbox, SimulatedMailbox):
        msg = f"{mailbox} is not simulated."
        raise TypeError(msg)
    return mailbox
