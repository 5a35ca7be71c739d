"""What always holds of the server holds in thousands of orders of its messages, whatever goes wrong.

Each seed is a history: clients submit, cancel, read and follow over HTTP, agents work, fail, hang or will not die,
actors crash, transactions fail, the process is killed and started again. Replay one with ``--sim-seed``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from alex_actors.pytest_plugin import EXPLORED, Explorer
from alex_actors.simulation import SimulatedStore, Simulation, explore
from alex_actors.simulation.exploring import Played
from tests.simulation.http_clients import HttpSide
from tests.simulation.whole_system import WholeSystem

SEEDS = 5_000
"""Of CI: half of them in this process, half in another one, for the second core. A nightly run takes
``--sim-seconds``."""

OPTIONS = ("sim_seed", "sim_seeds", "sim_seconds")


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


@pytest.fixture(scope="module")
def other_half(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str] | None]:
    """Explore the other half of the seeds in another process, unless the command line says which are wanted."""
    if any(request.config.getoption(option) is not None for option in OPTIONS):
        yield None
        return
    script = f"from tests.simulation.test_whole_system import explored; print(explored({SEEDS // 2}, {SEEDS}))"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


def explored(first: int, end: int) -> str:
    """Explore these seeds, and return what was explored, as a line. Raises Found."""
    stage = Stage()
    replay = "pytest tests/simulation/test_whole_system.py --sim-seed {}".format
    with stage.store:
        return str(explore(stage.play, seeds=range(first, end), replay=replay))


@pytest.mark.timeout(300)  # half a minute, on a machine that does nothing else
@pytest.mark.usefixtures("other_half")
def test_what_always_holds_holds_whatever_happens(simulation: Explorer, stage: Stage) -> None:
    simulation.explore(stage.play, seeds=SEEDS // 2)


@pytest.mark.timeout(300)
def test_and_in_the_other_half_of_the_seeds(
    other_half: subprocess.Popen[str] | None, record_property: Callable[[str, object], None]
) -> None:
    if other_half is None:
        pytest.skip("the command line says which seeds are wanted")

    said, _ = other_half.communicate()

    assert other_half.returncode == 0, said
    record_property(EXPLORED, said.strip())


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
