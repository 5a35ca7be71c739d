"""The ledger: sole owner of a balance. And the reviewer, who says of each withdrawal whether it may be paid.

An example of actors of one's own. Each has its protocol above it: a `Tell` has no answer, an `Ask` names the type
of its answer. A handler never waits. The ledger's answer to a withdrawal comes later, when the reviewer has spoken
or a timer has: until then it is a promise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

import pykka

from alex_actors.actor import PooledActor
from alex_actors.messages import Ask, Promise, Tell, tell
from alex_actors.ports import Timer, Timers
from alex_actors.values import Value

PATIENCE = 30.0
"""Seconds in which a withdrawal has to be reviewed: longer, and whoever asked has gone away."""


# What the ledger understands.


class Paid(Value, frozen=True):
    """The money is yours."""

    amount: int


class Declined(Value, frozen=True):
    """You get no money."""

    reason: str


class Withdraw(Ask["Ledger", Paid | Declined], frozen=True, kw_only=True):
    """Take money out, if there is enough and the reviewer has nothing against it."""

    amount: int


class Balance(Ask["Ledger", int], frozen=True, kw_only=True):
    """Answered with how much there is, less what is set aside."""


class Reviewed(Tell["Ledger"], frozen=True, kw_only=True):
    """The reviewer has decided."""

    number: int
    approved: bool


class _Overdue(Tell["Ledger"], frozen=True, kw_only=True):
    """Nobody has reviewed this withdrawal in time. Only the ledger's own timer sends it."""

    number: int


LedgerMessage: TypeAlias = Withdraw | Balance | Reviewed | _Overdue


# What the reviewer understands.


class Review(Tell["Reviewer"], frozen=True, kw_only=True):
    """Say whether this may be paid."""

    number: int
    amount: int
    ledger: pykka.ActorRef[Ledger]


class Pending:
    """A withdrawal that is not decided yet."""

    def __init__(self, amount: int, promise: Promise[Paid | Declined], timer: Timer) -> None:
        self.amount = amount
        self.promise = promise
        self.timer = timer


class Ledger(PooledActor):
    """A balance that is never overdrawn. What is being reviewed is set aside."""

    def __init__(self, *, balance: int, reviewer: pykka.ActorRef[Reviewer], timers: Timers) -> None:
        super().__init__()
        self.balance = balance
        self.pending: dict[int, Pending] = {}
        self._reviewer = reviewer
        self._timers = timers
        self._numbers = 0

    def on_receive(self, message: LedgerMessage) -> object:
        """Handle a message."""
        match message:
            case Withdraw():
                return self._withdraw(message)
            case Balance():
                return message.reply(self.balance)
            case Reviewed():
                self.reviewed(message.number, approved=message.approved)
            case _Overdue():
                self.overdue(message.number)
            case _:
                assert_never(message)
        return None

    def set_aside(self, amount: int) -> None:
        """Take what is to be reviewed."""
        self.balance -= amount

    def reviewed(self, number: int, *, approved: bool) -> None:
        """Answer whoever asked for a withdrawal."""
        pending = self.pending.pop(number, None)
        if pending is None:
            return  # it was overdue
        pending.timer.cancel()
        if approved:
            self.pay(pending)
        else:
            self.decline(pending, "The reviewer is against it.")

    def overdue(self, number: int) -> None:
        """Give up on the reviewer."""
        pending = self.pending.pop(number, None)
        if pending is not None:  # or the review was in the mailbox before the timer's message
            self.decline(pending, "Nobody reviewed it in time.")

    def pay(self, pending: Pending) -> None:
        """Give out what was set aside."""
        pending.promise.fulfil(Paid(pending.amount))

    def decline(self, pending: Pending, reason: str) -> None:
        """Put back what was set aside."""
        self.balance += pending.amount
        pending.promise.fulfil(Declined(reason))

    def _withdraw(self, message: Withdraw) -> Promise[Paid | Declined] | Paid | Declined:
        if message.amount > self.balance:
            return message.reply(Declined("There is not enough."))
        self.set_aside(message.amount)
        self._numbers += 1
        number, context = self._numbers, message.context.sent_by(self.label)
        timer = self._timers.after(PATIENCE, self.actor_ref, _Overdue(context=context, number=number))
        promise = message.later()
        self.pending[number] = Pending(message.amount, promise, timer)
        review = Review(context=context, number=number, amount=message.amount, ledger=self.actor_ref)
        tell(self._reviewer, review)
        return promise


class Reviewer(PooledActor):
    """Says yes or no; the rule is given, so that a test can have another one."""

    def __init__(self, *, rule: Callable[[int], bool]) -> None:
        super().__init__()
        self._rule = rule

    def on_receive(self, message: Review) -> object:
        """Handle a message."""
        approved = self._rule(message.amount)
        context = message.context.sent_by(self.label)
        tell(message.ledger, Reviewed(context=context, number=message.number, approved=approved))
        return None
