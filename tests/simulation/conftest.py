"""What the simulations of a module share: making it costs more than a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alex_actors.simulation import SimulatedStore
from tests.simulation.http_clients import HttpSide


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    """One file for all runs; each begins with an empty one."""
    with SimulatedStore() as store:
        yield store


@pytest.fixture(scope="module")
def http() -> HttpSide:
    """The HTTP layer in front of the simulated server."""
    return HttpSide()
