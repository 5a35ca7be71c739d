"""The simulator finds whatever is broken in the server, one thing at a time."""

from __future__ import annotations

import pytest

from alex_actors.core import Core
from alex_actors.simulation import Simulation
from alex_actors.simulation.exploring import Found, Scenario, explore
from alex_actors.simulation.findings import Violation
from alex_actors.simulation.store import SimulatedStore
from alex_actors.tracing.facts import ONE_SESSION
from tests.simulation.broken_agents import CrashesWhenAsked
from tests.simulation.broken_sessions import LaunchesLate, SettlesAlways, TakesItsTime
from tests.simulation.http_clients import HttpSide
from tests.simulation.mutation import Mutation, server
from tests.simulation.mutations import MUTATIONS
from tests.simulation.original_bug import HandMadeCore
from tests.simulation.searching import MOST_SEEDS, SERVER, search
from tests.simulation.whole_system import WholeSystem


def scenario_of(
    core: type[Core], store: SimulatedStore, http: HttpSide, *, sharing: bool | None = False
) -> Scenario:
    def scenario(simulation: Simulation) -> None:
        WholeSystem(simulation, store=store, core=core, http=http, sharing=sharing).play()

    return scenario


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_what_is_broken_is_found(
    request: pytest.FixtureRequest, mutation: Mutation, store: SimulatedStore, http: HttpSide
) -> None:
    scenario = scenario_of(mutation.core, store, http, sharing=mutation.sharing)

    found = search(scenario, known=SERVER.get(mutation.name), request=request)

    assert isinstance(found, Violation), f"{found!r} is found where this is broken: {mutation.broken}"
    assert found.invariant in mutation.violates


@pytest.mark.parametrize(
    "harmless",
    [
        server(runtime=SettlesAlways),
        server(runtime=TakesItsTime),
        server(runtime=LaunchesLate),
        server(agent=CrashesWhenAsked),
    ],
    ids=["settles always", "takes its time", "launches late", "crashes when asked"],
)
def test_nothing_is_found_where_something_is_done_that_does_no_harm(
    harmless: type[Core], store: SimulatedStore, http: HttpSide
) -> None:
    explored = explore(scenario_of(harmless, store, http, sharing=None), seeds=40)

    assert explored.runs == 40


def test_each_mutation_has_a_name_of_its_own() -> None:
    names = [mutation.name for mutation in MUTATIONS]

    assert len(set(names)) == len(names)
    assert set(SERVER) <= set(names)
    assert max(SERVER.values()) < MOST_SEEDS


def test_the_report_of_the_original_bug_says_what_is_wrong_and_shows_who_said_what(
    store: SimulatedStore, http: HttpSide
) -> None:
    with pytest.raises(Found) as found:
        explore(
            scenario_of(HandMadeCore, store, http), seeds=MOST_SEEDS, replay=lambda seed: f"run --sim-seed {seed}"
        )

    report = str(found.value)
    assert ONE_SESSION in report
    assert "To see it again: run --sim-seed" in report
    assert "POST /api/tasks" in report
    assert "Create" in report
    assert len(report.splitlines()) < 80
