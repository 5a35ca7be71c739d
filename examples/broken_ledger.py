"""Two ledgers, each with a bug that most tests pass, for `test_broken_ledger.py` to show how they are found.

Both are the kind of bug that actors do not protect from: a message is handled whole, but two messages are two.
"""

from __future__ import annotations

from ledger import Ledger, Pending


class HastyLedger(Ledger):
    """Looks whether there is enough, and takes it when the reviewer has spoken: two may see the same money."""

    def set_aside(self, amount: int) -> None:
        """Leave it."""

    def pay(self, pending: Pending) -> None:
        """Take the money now."""
        self.balance -= pending.amount
        super().pay(pending)

    def decline(self, pending: Pending, reason: str) -> None:
        """Nothing was taken."""
        pending.amount = 0
        super().decline(pending, reason)


class ForgetfulLedger(Ledger):
    """Gives up on a late reviewer, and does not forget the withdrawal: the review that comes then is obeyed."""

    def overdue(self, number: int) -> None:
        """Decline, and leave it among what is pending."""
        pending = self.pending.get(number)
        if pending is not None:
            self.decline(pending, "Nobody reviewed it in time.")
