"""The simulator finds whatever is broken in the streams, one thing at a time."""

from __future__ import annotations

import pytest

from alex_actors.simulation import Simulation
from alex_actors.simulation.findings import Violation
from alex_actors.simulation.store import SimulatedStore
from tests.simulation.http_clients import HttpSide
from tests.simulation.searching import MOST_SEEDS, STREAMS, search
from tests.simulation.stream_mutations import MUTATIONS, StreamMutation
from tests.simulation.stream_scenario import StreamScenario


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_what_is_broken_in_the_streams_is_found(
    request: pytest.FixtureRequest, mutation: StreamMutation, store: SimulatedStore, http: HttpSide
) -> None:
    def scenario(simulation: Simulation) -> None:
        StreamScenario(simulation, store=store, http=http, transport=mutation.transport).play()

    found = search(scenario, known=STREAMS.get(mutation.name), request=request)

    assert isinstance(found, Violation), f"{found!r} is found where this is broken: {mutation.broken}"
    assert found.invariant in mutation.violates


def test_each_seed_that_is_known_is_of_a_mutation_of_the_streams() -> None:
    assert set(STREAMS) <= {mutation.name for mutation in MUTATIONS}
    assert max(STREAMS.values()) < MOST_SEEDS
