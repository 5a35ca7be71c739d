"""What a simulation says of ledgers that are broken: run it with `-s` to read the reports."""

from __future__ import annotations

import functools

import pytest

from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import Crash, Found, FoundInSearch, Simulation, Violation
from broken_ledger import ForgetfulLedger, HastyLedger
from ledger import Paid
from ledger_scenarios import NEVER_OVERDRAWN, start_ledger, two_withdrawals, withdraw


def test_one_after_the_other_the_hasty_one_seems_to_work(simulation: Explorer) -> None:
    def scenario(sim: Simulation) -> None:
        ledger = start_ledger(sim, balance=100, kind=HastyLedger)

        assert withdraw(ledger, 60) == Paid(60)
        assert withdraw(ledger, 40) == Paid(40)

    simulation.explore(scenario)


def test_that_two_see_the_same_money_is_found(simulation: Explorer) -> None:
    with pytest.raises(Found) as found:
        simulation.explore(functools.partial(two_withdrawals, kind=HastyLedger))

    assert isinstance(found.value.error, Violation)
    assert found.value.error.invariant == NEVER_OVERDRAWN
    print(f"\n{found.value}")


def test_that_a_review_comes_too_late_is_found(simulation: Explorer) -> None:
    with pytest.raises(Found) as found:
        simulation.explore(functools.partial(two_withdrawals, kind=ForgetfulLedger, slow=True))

    assert isinstance(found.value.error, Crash)
    print(f"\n{found.value}")


def test_the_search_through_every_order_finds_it_too(simulation: Explorer) -> None:
    with pytest.raises(FoundInSearch) as found:
        simulation.explore_every_order(functools.partial(two_withdrawals, kind=HastyLedger))

    assert isinstance(found.value.error, Violation)
