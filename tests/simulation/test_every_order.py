"""The smallest scenarios of the server in every order of their steps: what the seeds sample, this proves.

A step is what an actor, a client or an agent does up to the next message that it sends; where two tasks run in
parallel it is the handling of a message, whole, since the finer search takes a minute more.
Two steps that touch nothing in common are run in one order only; that this is right is tested as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import (
    Exhausted,
    FoundInSearch,
    SimulatedRuntime,
    SimulatedStore,
    Simulation,
    explore_every_order,
)
from alex_actors.simulation.every_order import begin
from alex_actors.simulation.exhaustive import Choose, StepRecord, exhaust
from tests.simulation.exhaustive_scenarios import SCENARIOS, PlainAgent
from tests.simulation.mutations import ORIGINAL_BUG

SMALL = tuple(name for name in SCENARIOS if not name.startswith("two"))


@pytest.mark.timeout(300)  # the largest take some 20 seconds, on a machine that does nothing else
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SMALL else pytest.mark.long) for name in SCENARIOS]
)
def test_what_always_holds_holds_in_every_order(simulation: Explorer, store: SimulatedStore, name: str) -> None:
    exhausted = simulation.explore_every_order(
        lambda sim: SCENARIOS[name](sim, store), interrupted=name != "two submits, parallel"
    )

    assert not exhausted.limited
    assert exhausted.interleavings is not None
    assert exhausted.interleavings > exhausted.executions


def taken(
    name: str, store: SimulatedStore, schedule: Sequence[str] | Random, *, interrupted: bool = True
) -> list[StepRecord]:
    """Run a scenario in the order of a schedule, or in any, and return its steps."""

    def choose(enabled: Sequence[str], steps: Sequence[StepRecord]) -> str:
        if isinstance(schedule, Random):
            return schedule.choice(enabled)
        assert schedule[len(steps)] in enabled, f"{schedule[len(steps)]} is to go on; only {enabled} can"
        return schedule[len(steps)]

    simulation, records = begin(choose, interrupted=interrupted)
    simulation.play(lambda sim: SCENARIOS[name](sim, store))
    return list(records())


def depend(one: StepRecord, other: StepRecord) -> bool:
    return one.process == other.process or any(
        resource == also and (writes or also_writes)
        for resource, writes in one.accesses
        for also, also_writes in other.accesses
    )


def accesses_of(steps: Sequence[StepRecord]) -> dict[str, list[frozenset[tuple[str, bool]]]]:
    """Return what each process touched, step by step."""
    touched: dict[str, list[frozenset[tuple[str, bool]]]] = {}
    for step in steps:
        touched.setdefault(step.process, []).append(step.accesses)
    return touched


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SCENARIOS)
def test_steps_that_touch_nothing_in_common_can_be_swapped(store: SimulatedStore, name: str, seed: int) -> None:
    steps = taken(name, store, Random(f"{name} {seed}"))
    swapped = 0

    for index, (one, other) in enumerate(pairwise(steps)):
        if depend(one, other) or index in other.causes:
            continue
        schedule = [step.process for step in steps]
        schedule[index : index + 2] = other.process, one.process
        swapped += 1

        assert accesses_of(taken(name, store, schedule)) == accesses_of(steps), f"seed {seed}: {one}, {other}"

    assert swapped


@pytest.mark.parametrize("name", SMALL)
def test_it_does_not_matter_with_which_order_the_search_begins(store: SimulatedStore, name: str) -> None:
    def search(*, backwards: bool) -> Exhausted:
        def execute(choose: Choose) -> Sequence[StepRecord]:
            simulation, records = begin(
                lambda enabled, steps: choose(enabled[::-1] if backwards else enabled, steps), interrupted=True
            )
            simulation.play(lambda sim: SCENARIOS[name](sim, store))
            return records()

        return exhaust(execute)

    forwards, backwards = search(backwards=False), search(backwards=True)

    assert (forwards.executions, forwards.interleavings) == (backwards.executions, backwards.interleavings)


def test_the_original_bug_is_found_with_one_submit(store: SimulatedStore) -> None:
    agent = PlainAgent()

    def scenario(simulation: Simulation) -> None:
        system = SimulatedRuntime(
            simulation, store=store, agent_for=lambda _task: agent, agents_apart=True, core=ORIGINAL_BUG.core
        )
        simulation.client("alice", system.submit)

    with pytest.raises(FoundInSearch, match="A task has one session ID"):
        explore_every_order(scenario)
