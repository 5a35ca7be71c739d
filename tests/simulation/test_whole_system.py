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
from alex_actors.simulation import SimulatedStore, Simulation
from alex_actors.simulation.exploring import Played
from tests.simulation.http_clients import HttpSide
from tests.simulation.whole_system import WholeSystem

SEEDS = 2_000
"""Of CI. A nightly run takes ``--sim-seconds``."""

PARTS = 4
"""Tests that share the seeds, so that several processes can take a part each."""
A_PART = SEEDS // PARTS


class Stage:
    """What all runs of a process share: making it costs more than a run."""

    def __init__(self) -> None:
        self.store = SimulatedStore()
        self._http = HttpSide()

    def play(self, simulation: Simulation) -> None:
        """Play a history."""
        WholeSystem(simulation, store=self.store, http=self._http).play()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.store:
        yield stage


def is_wanted(part: int, config: pytest.Config) -> bool:
    """Return whether a part is to run: of seeds that the command line names, one alone has them all."""
    seed: int | None = config.getoption("sim_seed")
    if seed is not None:
        return part == max(0, min(seed // A_PART, PARTS - 1))
    return part == 0 or (config.getoption("sim_seeds") is None and config.getoption("sim_seconds") is None)


@pytest.mark.long
@pytest.mark.timeout(300)  # a quarter of a minute, on a machine that does nothing else
@pytest.mark.parametrize("part", range(PARTS))
def test_what_always_holds_holds_whatever_happens(
    request: pytest.FixtureRequest, simulation: Explorer, stage: Stage, part: int
) -> None:
    if not is_wanted(part, request.config):
        pytest.skip("another part has the seeds that the command line wants")

    simulation.explore(stage.play, seeds=range(part * A_PART, (part + 1) * A_PART))


SCRIPT = """
from tests.simulation.test_whole_system import digest_of
print(digest_of(range(40)))
"""


def digest_of(seeds: range) -> str:
    """Return a digest of the traces of these seeds."""
    digest = hashlib.sha256()
    stage = Stage()
    with stage.store:
        for seed in seeds:
            digest.update(str(Played(stage.play, seed).trace).encode())
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
