"""The simulator finds whatever is broken in the streams, one thing at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alex_actors.simulation.exploring import Played
from alex_actors.simulation.findings import Violation
from alex_actors.simulation.store import SimulatedStore
from tests.simulation.http_clients import HttpSide
from tests.simulation.stream_mutations import MUTATIONS, StreamMutation
from tests.simulation.stream_scenario import StreamScenario

MOST_SEEDS = 500
"""Within which each mutation must be found."""


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    with SimulatedStore() as store:
        yield store


@pytest.fixture(scope="module")
def http() -> HttpSide:
    return HttpSide()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_what_is_broken_in_the_streams_is_found(
    mutation: StreamMutation, store: SimulatedStore, http: HttpSide
) -> None:
    runs = (
        Played(lambda sim: StreamScenario(sim, store=store, http=http, transport=mutation.transport).play(), seed)
        for seed in range(MOST_SEEDS)
    )

    found = next((run.error for run in runs if run.error is not None), None)

    assert isinstance(found, Violation), f"{found!r} is found where this is broken: {mutation.broken}"
    assert found.invariant in mutation.violates
