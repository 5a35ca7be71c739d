"""What a search for every order must not overlook, and jobs that would be green without having been run."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from alex_actors.simulation import Found, FoundInSearch, Simulation, explore, explore_every_order
from alex_actors.simulation.exhaustive import NotExplorableError


def test_clients_of_one_name_are_told_apart() -> None:
    def scenario(simulation: Simulation) -> None:
        came: list[int] = []
        for number in (1, 2):
            simulation.client("anna", lambda number=number: came.append(number))  # type: ignore[misc]  # a default
        simulation.touch("came", write=True)
        simulation.at_the_end(lambda: simulation.check(came == [1, 2], "They come in order."))

    def touching(simulation: Simulation) -> None:
        simulation.scheduler.steps.all_depend = True
        scenario(simulation)

    with pytest.raises(FoundInSearch):
        explore_every_order(touching)


def test_what_must_always_hold_is_looked_at_in_every_state_in_between() -> None:
    def scenario(simulation: Simulation) -> None:
        there = {"anna": False, "bert": False}
        simulation.always("Bert is never there before Anna.", lambda: there["anna"] or not there["bert"])
        for name in there:
            simulation.client(name, lambda name=name: there.update({name: True}))  # type: ignore[misc]  # as above

    with pytest.raises(FoundInSearch, match="Bert is never there"):
        explore_every_order(scenario)


def test_whether_a_client_has_ended_depends_on_its_steps() -> None:
    def scenario(simulation: Simulation) -> None:
        anna = simulation.client("anna", lambda: None)
        simulation.client("bert", lambda: simulation.check(anna.ended, "Anna is first."))

    with pytest.raises(FoundInSearch, match="Anna is first"):
        explore_every_order(scenario)


def test_a_search_draws_nothing() -> None:
    with pytest.raises(NotExplorableError, match="chance"):
        explore_every_order(lambda simulation: simulation.check(simulation.decisions.chance(0.5), "It is so."))


async def asynchronous(_simulation: Simulation) -> None:
    pytest.fail("nobody awaits it")


def generating(_simulation: Simulation) -> Generator[None]:
    yield  # nobody goes on from here
    pytest.fail("nobody goes through it")


@pytest.mark.parametrize("scenario", [asynchronous, generating])
def test_a_scenario_of_which_nothing_is_run_is_not_green(scenario: object) -> None:
    with pytest.raises(Found, match="nothing of it was run"):
        explore(scenario, seeds=1)  # type: ignore[arg-type]  # that is the mistake


def test_to_explore_no_seeds_is_refused() -> None:
    with pytest.raises(ValueError, match="explore nothing"):
        explore(lambda _simulation: None, seeds=0)


def test_a_report_of_a_run_without_end_shows_its_end_alone() -> None:
    def scenario(simulation: Simulation) -> None:
        while True:
            simulation.sleep(1.0)
            simulation.log.info("still there")

    with pytest.raises(Found) as found:
        explore(scenario, seeds=1)

    assert "Livelock" in str(found.value)
    assert len(str(found.value).splitlines()) < 200
