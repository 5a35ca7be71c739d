"""The search for what is broken: the known seed first, then all; a known one that is of no use is told of."""

from __future__ import annotations

import pytest

from alex_actors.simulation import Simulation
from alex_actors.simulation.exploring import Scenario
from tests.simulation.searching import search


def wrong_in_run(number: int, runs: list[Simulation]) -> Scenario:
    """Return a scenario that is wrong in one of its runs, counted from 1."""

    def scenario(simulation: Simulation) -> None:
        runs.append(simulation)
        assert len(runs) != number

    return scenario


def test_where_the_known_seed_finds_it_no_other_is_run(request: pytest.FixtureRequest) -> None:
    runs: list[Simulation] = []

    found = search(wrong_in_run(1, runs), known=17, request=request)

    assert isinstance(found, AssertionError)
    assert len(runs) == 1
    assert request.node.user_properties == []


def test_where_it_does_not_all_are_run_from_0_on_and_that_is_told(request: pytest.FixtureRequest) -> None:
    runs: list[Simulation] = []

    found = search(wrong_in_run(4, runs), known=17, request=request)

    told = request.node.user_properties.pop()
    assert isinstance(found, AssertionError)
    assert told == ("simulation", "seed 17 finds it no more, and 2 does")


def test_without_a_known_one_all_are_run_and_nothing_is_told(request: pytest.FixtureRequest) -> None:
    runs: list[Simulation] = []

    found = search(wrong_in_run(3, runs), known=None, request=request)

    assert isinstance(found, AssertionError)
    assert len(runs) == 3
    assert request.node.user_properties == []
