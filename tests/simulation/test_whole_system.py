"""What always holds of the server holds in thousands of orders of its messages, whatever goes wrong.

Each seed is a history: clients submit, cancel, read and follow over HTTP, agents work, fail, hang or will not die,
actors crash, transactions fail, the process is killed and started again. Replay one with ``--sim-seed``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import Simulation
from alex_actors.simulation.exploring import Played
from alex_actors.simulation.store import SimulatedStore
from tests.simulation.http_clients import HttpSide
from tests.simulation.whole_system import WholeSystem

SEEDS = 5_000
"""Of CI: less than a minute. A nightly run takes ``--sim-seconds``."""


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    """One file for all runs."""
    with SimulatedStore() as opened:
        yield opened


@pytest.fixture(scope="module")
def http() -> HttpSide:
    """One application for all runs."""
    return HttpSide()


@pytest.mark.timeout(300)  # a minute, on a machine that does nothing else
def test_what_always_holds_holds_whatever_happens(
    simulation: Explorer, store: SimulatedStore, http: HttpSide
) -> None:
    simulation.explore(lambda sim: WholeSystem(sim, store=store, http=http).play(), seeds=SEEDS)


SCRIPT = """
import hashlib
from tests.simulation.test_whole_system import digest_of
print(digest_of(range(40)))
"""


def digest_of(seeds: range) -> str:
    """Return a digest of the traces of these seeds."""
    digest = hashlib.sha256()
    with SimulatedStore() as store:
        http = HttpSide()

        def scenario(simulation: Simulation) -> None:
            WholeSystem(simulation, store=store, http=http).play()

        for seed in seeds:
            digest.update(str(Played(scenario, seed).trace).encode())
    return digest.hexdigest()


def test_the_same_seed_is_the_same_trace_byte_for_byte_in_another_process() -> None:
    digests = set()

    for hash_seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environ, capture_output=True, text=True, check=True, timeout=50
        )
        digests.add(done.stdout)

    assert len(digests) == 1
