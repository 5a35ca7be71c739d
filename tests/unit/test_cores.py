"""Which cores a process and its children run on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, subprocess, sys
from alex_actors.cores import Cores
given = sorted(os.sched_getaffinity(0))
cores = Cores(one=sys.argv[1] == "one")
ask = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
mine = sorted(os.sched_getaffinity(0))
with cores.for_children():
    child = json.loads(subprocess.check_output(ask))
print(json.dumps({"given": given, "mine": mine, "child": child, "after": sorted(os.sched_getaffinity(0))}))
"""


OVERLAPPING = """
import json, os
from alex_actors.cores import Cores
cores = Cores(one=True)
mine = sorted(os.sched_getaffinity(0))
first, second = cores.for_children(), cores.for_children()
first.__enter__()
second.__enter__()
first.__exit__(None, None, None)
second.__exit__(None, None, None)
print(json.dumps({"mine": mine, "after": sorted(os.sched_getaffinity(0))}))
"""


def cores(which: str, script: str = SCRIPT) -> dict[str, list[int]]:
    """Return what a new process has: it must not be this one, whose other tests want all cores."""
    out = subprocess.run([sys.executable, "-c", script, which], capture_output=True, check=True, timeout=30)
    seen: dict[str, list[int]] = json.loads(out.stdout)
    return seen


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process choose its cores")
def test_a_process_keeps_to_one_core_and_its_children_have_all() -> None:
    seen = cores("one")

    assert len(seen["mine"]) == 1
    assert set(seen["mine"]) <= set(seen["given"])
    assert seen["child"] == seen["given"]
    assert seen["after"] == seen["mine"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process choose its cores")
def test_a_process_that_is_not_asked_to_keeps_all_cores() -> None:
    seen = cores("all")

    assert seen["mine"] == seen["given"] == seen["child"] == seen["after"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process choose its cores")
def test_children_that_are_started_at_the_same_time_leave_the_process_on_its_core() -> None:
    seen = cores("one", OVERLAPPING)

    assert len(seen["mine"]) == 1
    assert seen["after"] == seen["mine"]
