"""What is tried with the ledger, and what must hold then: for the tests of the ledger, and of the broken ones."""

from __future__ import annotations

import pykka

from alex_actors.messages import ask
from alex_actors.simulation import Simulation
from alex_actors.values import Context
from ledger import PATIENCE, Balance, Declined, Ledger, Paid, Review, Reviewed, Reviewer, Withdraw

HERE = Context("a test")
"""Of whose work it is; a server would say which request's."""

NEVER_OVERDRAWN = "The balance is never below zero."
NO_MONEY_LOST = "What is paid out and what is left is what was there."


def withdraw(ledger: pykka.ActorRef[Ledger], amount: int) -> Paid | Declined:
    """Do what a client does: ask, and wait for the answer."""
    return ask(ledger, Withdraw(context=HERE, amount=amount), timeout=2 * PATIENCE)


def small(amount: int) -> bool:
    """Be the rule of the reviewer."""
    return amount < 1000


class SlowReviewer(Reviewer):
    """Takes its time, at most a minute: how long, the seed decides."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(rule=small)
        self._simulation = simulation

    def on_receive(self, message: Review) -> object:
        """Decide, and have a timer tell the ledger."""
        decided = Reviewed(context=message.context, number=message.number, approved=True)
        seconds = self._simulation.decisions.between(0, 60)
        self._simulation.timers.after(seconds, message.ledger, decided)
        return None


def start_ledger(
    simulation: Simulation, *, balance: int, kind: type[Ledger] = Ledger, slow: bool = False
) -> pykka.ActorRef[Ledger]:
    """Start a reviewer and a ledger."""
    reviewer = simulation.spawn(lambda: SlowReviewer(simulation) if slow else Reviewer(rule=small))
    return simulation.spawn(lambda: kind(balance=balance, reviewer=reviewer, timers=simulation.timers))


def two_withdrawals(simulation: Simulation, *, kind: type[Ledger] = Ledger, slow: bool = False) -> None:
    """Anna and Bert want 60 each, of 100."""
    ledger = start_ledger(simulation, balance=100, kind=kind, slow=slow)

    anna = simulation.client("anna", lambda: withdraw(ledger, 60))
    bert = simulation.client("bert", lambda: withdraw(ledger, 60))
    replies = [anna.result(), bert.result()]

    if slow:
        simulation.sleep(60)  # until also a late review has come
    left = ask(ledger, Balance(context=HERE), timeout=1)
    paid = sum(reply.amount for reply in replies if isinstance(reply, Paid))
    simulation.check(left >= 0, NEVER_OVERDRAWN, f"It is {left}.")
    simulation.check(paid + left == 100, NO_MONEY_LOST, f"{paid} were paid, and {left} are left.")
