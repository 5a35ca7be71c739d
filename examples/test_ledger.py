"""The ledger in simulations: what is asked of it together, in many orders, and in every order."""

from __future__ import annotations

import contextlib
import functools

import pykka

from alex_actors.messages import ask
from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import Simulation
from ledger import PATIENCE, Balance, Declined, Ledger, Paid, Reviewer
from ledger_scenarios import HERE, NEVER_OVERDRAWN, small, start_ledger, two_withdrawals, withdraw


def test_one_withdrawal_after_the_other(simulation: Explorer) -> None:
    def scenario(sim: Simulation) -> None:
        ledger = start_ledger(sim, balance=2000)

        assert withdraw(ledger, 60) == Paid(60)
        assert withdraw(ledger, 5000) == Declined("There is not enough.")
        assert withdraw(ledger, 1000) == Declined("The reviewer is against it.")
        assert ask(ledger, Balance(context=HERE), timeout=1) == 1940

    simulation.explore(scenario, seeds=10)


def test_two_at_once_never_get_more_than_there_is(simulation: Explorer) -> None:
    simulation.explore(two_withdrawals)


def test_a_reviewer_who_is_late_changes_nothing_of_that(simulation: Explorer) -> None:
    simulation.explore(functools.partial(two_withdrawals, slow=True))


def test_also_when_nobody_waits_for_his_answer_it_is_never_overdrawn(simulation: Explorer) -> None:
    def impatient(ledger: pykka.ActorRef[Ledger]) -> None:
        with contextlib.suppress(pykka.Timeout):
            withdraw(ledger, 60)

    def scenario(sim: Simulation) -> None:
        ledger = start_ledger(sim, balance=100)

        sim.hurry(0.1)  # time may pass although others could go on: anybody may be too slow for any timeout
        for client in [sim.client(name, lambda: impatient(ledger)) for name in ("anna", "bert", "carla")]:
            client.result()
        sim.hurry(0)

        left = ask(ledger, Balance(context=HERE), timeout=1)
        sim.check(left >= 0, NEVER_OVERDRAWN, f"It is {left}.")

    simulation.explore(scenario)


def test_a_reviewer_who_crashes_lets_nobody_wait_for_ever(simulation: Explorer) -> None:
    def scenario(sim: Simulation) -> None:
        sim.faults.crash(Reviewer, probability=1.0)
        reviewer = sim.spawn(lambda: Reviewer(rule=small), supervisor=lambda _error: None)
        ledger = sim.spawn(lambda: Ledger(balance=100, reviewer=reviewer, timers=sim.timers))

        reply = withdraw(ledger, 60)

        assert reply == Declined("Nobody reviewed it in time.")
        assert sim.clock.monotonic() == PATIENCE  # half a minute, which took no time at all

    simulation.explore(scenario, seeds=20)


def test_in_no_order_at_all_do_two_get_more_than_there_is(simulation: Explorer) -> None:
    exhausted = simulation.explore_every_order(two_withdrawals)

    assert not exhausted.limited
