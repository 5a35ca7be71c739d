"""The same seed gives the same trace, byte for byte, also in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from alex_actors.diagrams.trace import Trace
from tests.simulation.replayed_scenario import trace_of

ROOT = Path(__file__).parents[2]
SEEDS = 20


def traces_of_a_process(*, hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.simulation.replayed_scenario", str(SEEDS)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_two_processes_with_different_hash_seeds_print_the_same_traces() -> None:
    one, other = (traces_of_a_process(hash_seed=hash_seed) for hash_seed in ("1", "2"))

    assert one == other
    assert one == "".join(trace_of(seed) for seed in range(SEEDS))


def test_different_seeds_give_different_traces() -> None:
    traces = [trace_of(seed) for seed in range(SEEDS)]

    assert len(set(traces)) == SEEDS
    kinds = {
        kind
        for kind in ("crashed", "restarted", "gave up", "answered", "logged", "sent")
        for text in traces
        if kind in text
    }
    assert kinds == {"crashed", "restarted", "gave up", "answered", "logged", "sent"}


def test_an_address_in_an_exceptions_text_is_left_out() -> None:
    trace = Trace()
    trace.add("crashed", "Account", ValueError(f"no {object()}"))

    assert str(trace).endswith("Account: ValueError: no <object object>")
