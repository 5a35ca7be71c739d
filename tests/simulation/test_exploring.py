"""Exploring: what is found under which seed, and the report that says so."""

from __future__ import annotations

import random
from collections.abc import Callable

import pykka
import pytest

from alex_actors.messages import ask, tell
from alex_actors.simulation import Crash, Deadlock, Found, InjectedCrash, Simulation, Violation, explore
from alex_actors.simulation.exploring import Played, reduced
from alex_actors.supervision import RestartPolicy
from tests.simulation.bank import HERE, Account, Again, Break, Deposit, Hold, Pay, Read, Teller, Write


def lost_update(sim: Simulation) -> None:
    account = sim.spawn(Account)

    def customer() -> None:
        balance = ask(account, Read(context=HERE), timeout=1)
        tell(account, Write(context=HERE, balance=balance + 1))

    for client in [sim.client("anna", customer), sim.client("bert", customer)]:
        client.result()
    balance = ask(account, Read(context=HERE), timeout=1)
    assert balance == 2


def report_of(scenario: Callable[[Simulation], None], *, seeds: int = 200) -> Found:
    with pytest.raises(Found) as found:
        explore(scenario, seeds=seeds, replay=lambda seed: f"replay {seed}")
    return found.value


def test_what_holds_in_every_order_is_not_found_wrong() -> None:
    def scenario(sim: Simulation) -> None:
        account = sim.spawn(Account)
        for name in ("anna", "bert"):
            sim.client(name, lambda: ask(account, Deposit(context=HERE, amount=1), timeout=1))
        sim.at_the_end(lambda: sim.check(account.ask(Read(context=HERE)) == 2, "Nothing is lost."))

    explored = explore(scenario, seeds=100)

    assert explored.runs == 100
    assert str(explored).startswith("100 runs, ")


def test_a_report_begins_with_the_seed_what_is_wrong_where_and_how_to_see_it_again() -> None:
    found = report_of(lost_update)

    lines = str(found).splitlines()
    assert lines[0].startswith(f"Seed {found.seed}: assert 1 == 2")
    assert any("test_exploring.py:" in line and line.endswith(", in lost_update") for line in lines[:4])
    assert "      assert balance == 2" in lines[:5]
    assert f"To see it again: replay {found.seed}" in lines
    assert any(line.startswith("Reduced from ") for line in lines)
    assert "Write(balance=1)" in str(found)


def test_a_seed_is_found_wrong_again_with_the_same_report() -> None:
    found = report_of(lost_update)

    with pytest.raises(Found) as again:
        explore(lost_update, seeds=[found.seed], replay=lambda seed: f"replay {seed}")

    assert str(again.value) == str(found)


def test_the_report_says_who_was_made_to_wait() -> None:
    def scenario(sim: Simulation) -> None:
        order: list[str] = []
        for name in ("anna", "bert"):
            sim.client(name, lambda name=name: order.append(name))  # type: ignore[misc]  # a default
        sim.at_the_end(lambda: sim.check(order == ["anna", "bert"], "Anna is first."))

    found = report_of(scenario)

    assert "From step 2 on, anna waits while bert can go on." in found.notes
    assert sum(map(bool, found.decisions)) == 1


def test_a_crash_is_reported_with_the_line_in_the_actor() -> None:
    def scenario(sim: Simulation) -> None:
        tell(sim.spawn(Account), Break(context=HERE))

    found = report_of(scenario)

    assert isinstance(found.error, Crash)
    assert "bank.py:" in str(found)
    assert 'raise ValueError("The account is broken.")' in str(found)


def test_an_injected_crash_of_a_supervised_actor_is_no_finding() -> None:
    crashes: list[BaseException] = []

    def scenario(sim: Simulation) -> None:
        sim.faults.crash(Account, probability=1.0)
        account = sim.spawn(Account, supervisor=crashes.append, restart=RestartPolicy(clock=sim.clock))
        assert ask(account, Deposit(context=HERE, amount=1), timeout=1) == 1

    explore(scenario, seeds=3)

    assert crashes == []


def test_an_injected_crash_of_others_is_one() -> None:
    def scenario(sim: Simulation) -> None:
        sim.faults.crash(Account, probability=0.5)
        tell(sim.spawn(Account), Write(context=HERE, balance=1))

    assert isinstance(report_of(scenario).error.__cause__, InjectedCrash)  # type: ignore[union-attr]  # there is an error


def test_a_deadlock_between_actors_is_found_in_the_order_that_brings_it_about() -> None:
    class Crossed(Teller):
        partner: pykka.ActorRef[Teller]

        def on_receive(self, message: object) -> object:
            return self.partner.ask("and you?") if message == "go" else None

    def scenario(sim: Simulation) -> None:
        one, two = sim.spawn(Crossed, label="one"), sim.spawn(Crossed, label="two")
        for actor, partner in ((one, two), (two, one)):
            actor.actor_inbox.actor.partner = partner  # type: ignore[attr-defined]  # a mailbox of ours
        for actor in (one, two):
            sim.client(f"asks {actor.actor_urn}", lambda actor=actor: actor.ask("go"))  # type: ignore[misc]  # a default

    found = report_of(scenario)

    assert isinstance(found.error, Deadlock)
    assert "They wait in a circle: one -> two -> one." in str(found)


def test_what_is_found_in_the_middle_of_a_step_is_not_hidden_by_what_follows_from_it() -> None:
    def scenario(sim: Simulation) -> None:
        sim.check(False, "This holds.")
        raise KeyError("what follows")

    assert isinstance(report_of(scenario).error, Violation)


def test_a_violation_that_is_about_something_is_shown_with_what_led_to_that() -> None:
    def scenario(sim: Simulation) -> None:
        for label in ("first", "second"):
            ask(sim.spawn(Account, label=label), Deposit(context=HERE, amount=1), timeout=1)
        sim.at_the_end(lambda: sim.check(False, "The second account is empty.", about=("second",)))

    found = report_of(scenario)

    shown = {entry.who for entry in found.trace if entry.index in found.shown()}
    assert shown == {"scenario", "second", "first", "the run"}  # the scenario heard of the first before
    assert len(found.shown()) < len(found.trace)


def test_a_run_that_something_else_decides_too_is_shown_as_it_was_and_said_to_be() -> None:
    chance = random.Random(1)

    def scenario(sim: Simulation) -> None:
        ask(sim.spawn(Account), Deposit(context=HERE, amount=chance.randrange(1000)), timeout=1)
        sim.check(False, "This holds.")

    found = report_of(scenario)

    assert any(note.startswith("Not reduced: ") for note in found.notes)


def test_a_run_without_end_is_played_only_a_few_times_more() -> None:
    plays: list[int] = []

    def scenario(sim: Simulation) -> None:
        order: list[str] = []
        plays.append(1)

        def customer(name: str) -> None:
            order.append(name)
            if order == ["bert", "anna"]:
                for label in ("one", "other"):
                    tell(sim.spawn(Account, label=label), Again(context=HERE))

        for name in ("anna", "bert"):
            sim.client(name, lambda name=name: customer(name))  # type: ignore[misc]  # a default

    first = next(played for seed in range(20) if (played := Played(scenario, seed)).error is not None)
    before = len(plays)

    found = reduced(scenario, 0, first, most_steps=first.steps + 30_000)

    assert "Livelock: still busy after 20000 steps." in str(found)
    assert len(plays) - before < 10


def test_an_interrupt_says_in_which_seed_it_was() -> None:
    def scenario(_sim: Simulation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        explore(scenario, seeds=[7], replay=lambda seed: f"replay {seed}")

    assert interrupted.value.__notes__ == ["This was in seed 7. To see it again: replay 7"]


def test_at_least_one_seed_is_explored_however_short_the_time() -> None:
    explored = explore(lambda _sim: None, seeds=10, seconds=0)

    assert explored.runs == 1


def test_nothing_of_one_run_is_in_the_next() -> None:
    def scenario(sim: Simulation) -> None:
        account = sim.spawn(Account)
        sim.client("anna", lambda: ask(account, Hold(context=HERE), timeout=3600))
        sim.dispatcher.post(sim.spawn(lambda: Teller(account)), Pay(context=HERE, amount=1))

    traces = {str(Played(scenario, seed).trace) for seed in (1, 1, 1)}

    assert len(traces) == 1
