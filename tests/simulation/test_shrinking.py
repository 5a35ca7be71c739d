"""Shrinking: a failing run made plainer, within so many runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest

from alex_actors.messages import ask, tell
from alex_actors.simulation import Found, Simulation, explore
from alex_actors.simulation.exploring import Played
from alex_actors.simulation.shrinking import MOST_RUNS, Numbers, shrink
from tests.simulation.bank import HERE, Account, Pay, Read, Teller, Write


def if_(fails: Callable[[Sequence[int]], bool]) -> Callable[[Numbers], Sequence[int] | None]:
    """Return a run that makes all decisions that it is given, and fails where they want it."""
    return lambda numbers: numbers if fails(numbers) else None


def test_what_does_not_matter_becomes_nothing() -> None:
    plainest, runs = shrink([3, 1, 4, 1, 5, 9, 2, 6] * 40, if_(lambda _numbers: True))

    assert plainest == ()
    assert runs < 20


def test_of_many_decisions_those_that_matter_are_left() -> None:
    numbers = [7] * 300

    plainest, runs = shrink(numbers, if_(lambda made: len(made) > 200 and made[40] > 2 and made[200] > 0))

    assert plainest == (*[0] * 40, 3, *[0] * 159, 1)
    assert runs < 100


def test_what_comes_before_is_left_out_if_only_the_order_matters() -> None:
    def in_order(made: Sequence[int]) -> bool:
        return [number for number in made if number in (5, 6)][:2] == [5, 6]

    plainest, _ = shrink([1, 0, 2, 0, 0, 5, 0, 0, 3, 0, 6, 1], if_(in_order))

    assert plainest == (5, 6)


@pytest.mark.parametrize("length", [0, 1, 2, 17, 600])
def test_the_number_of_runs_is_bounded(length: int) -> None:
    random = Random(length)
    numbers = [random.randrange(1, 50) for _ in range(length)]
    runs: list[Numbers] = []

    def fails(made: Numbers) -> Sequence[int] | None:
        runs.append(made)
        return made if sum(made) % 7 == sum(numbers) % 7 else None

    _, counted = shrink(numbers, fails, most_runs=40)

    assert counted == len(runs) <= 40
    assert len(set(runs)) == len(runs)


def test_a_run_that_depends_on_more_than_its_decisions_does_not_go_on_for_ever() -> None:
    random = Random(1)

    _, runs = shrink([9] * 300, lambda made: [*made, random.randrange(9)] if random.random() < 0.5 else None)

    assert runs <= MOST_RUNS


def bank(sim: Simulation) -> None:
    """Have five pay into an account, but two of them once, at different times, into another one."""
    shared, own = sim.spawn(Account, label="Shared"), sim.spawn(Account, label="Own")

    def pay(when: int) -> None:
        for payment in range(18):
            account = shared if payment == when else own
            balance = ask(account, Read(context=HERE), timeout=1)
            tell(account, Write(context=HERE, balance=balance + 1))

    when = {"anna": 3, "bert": 12, "carl": -1, "dora": -1, "emil": -1}
    customers = [sim.client(name, lambda time=time: pay(time)) for name, time in when.items()]  # type: ignore[misc]  # a default
    for customer in customers:
        customer.result()
    balance = ask(shared, Read(context=HERE), timeout=1)
    sim.check(balance == 2, "Nothing that is paid is lost.", f"Of 2, {balance} is there.")


def test_a_run_of_three_hundred_steps_is_reduced_to_the_few_choices_that_matter() -> None:
    failing = (played for seed in range(2000) if (played := Played(bank, seed)).error is not None)
    first = next(played for played in failing if sum(map(bool, played.decisions)) > 20)
    runs: list[Numbers] = []

    def fails(script: Numbers) -> Sequence[int] | None:
        runs.append(script)
        played = Played(bank, 0, script)
        return played.decisions if played.error is not None else None

    plainest, _ = shrink(first.decisions, fails)

    assert first.steps > 270
    assert sum(map(bool, plainest)) <= 3
    assert len(runs) <= 100


def race(sim: Simulation) -> None:
    account = sim.spawn(Account)
    tellers = [sim.spawn(lambda: Teller(account), label=name) for name in ("north", "south")]
    for teller in tellers:
        sim.dispatcher.post(teller, Pay(context=HERE, amount=1))

    def nothing_lost() -> bool:
        actor = account.actor_inbox.actor  # type: ignore[attr-defined]  # a mailbox of ours
        paid = sum(teller.actor_inbox.actor.paid for teller in tellers)  # type: ignore[attr-defined]  # as above
        return len(account.actor_inbox) > 0 or actor.balance == paid  # type: ignore[arg-type]  # as above

    sim.always("Nothing that is paid is lost.", nothing_lost)


def test_the_plainest_run_of_a_known_race_takes_no_step_more_than_it_needs() -> None:
    with pytest.raises(Found) as found:
        explore(race, seeds=400)

    steps = [f"{entry.kind} {entry.who}" for entry in found.value.trace if entry.kind == "handled"]
    assert sorted(steps) == sorted(["handled north", "handled south", *["handled Account"] * 4])
    assert found.value.trace.step == 12  # with the scenario, three starts, and each teller that goes on
