"""The protocol's state machine: any sequence of what clients do and what goes wrong keeps to a simple model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis.stateful import run_state_machine_as_test

from alex_actors.pytest_plugin import EXPLORED
from alex_actors.simulation import SimulatedStore
from tests.properties.effort import effort
from tests.properties.protocol_machine import ProtocolMachine

EXAMPLES = 40
"""Of the suite, about four seconds. For more: ``docs/testing.md``."""


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    with SimulatedStore() as store:
        yield store


@pytest.mark.timeout(600)  # what it finds it makes smaller, for minutes if it has to
def test_the_server_does_what_a_simple_model_of_it_does(
    store: SimulatedStore, record_property: Callable[[str, object], None]
) -> None:
    steps: list[int] = []
    machine = type("Machine", (ProtocolMachine,), {"store": store, "steps": steps})
    begun = time.perf_counter()

    run_state_machine_as_test(machine, settings=effort(EXAMPLES))

    took = time.perf_counter() - begun
    record_property(EXPLORED, f"{len(steps):,} histories, {sum(steps):,} steps in {took:.1f} s")
