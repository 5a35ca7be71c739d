"""Rules for all tests: the whole suite runs in several processes, what the command line names in one."""

from __future__ import annotations

import gc
import os

import pytest

LEAST, MOST = 3, 4
"""Processes: three also on two cores, since tests of servers mostly wait; no more than four, since the longest
tests take as long as a quarter of all."""
CHUNK = 10
"""Tests that a process is given at a time. More, and one has long ones left when the others are done; fewer, and
modules whose tests share a server would start it in each of them more often."""

LONGEST = ("test_whole_system.py", "test_mutations.py")
"""Modules that come first: at the end, one process would work on them while the others have nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first, and leave the rest in its order."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Take half a million objects that all tests share, out of what the garbage collector looks through.

    A test that has it look for what it left behind takes 2 ms then, and 400 ms otherwise.
    """
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share the tests out as ``-n`` of pytest-xdist would, if that is there and nothing says how, or what."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    in_worker = hasattr(config, "workerinput")
    option = config.option
    if whole and not in_worker and not option.usepdb and getattr(option, "numprocesses", 0) is None:
        option.numprocesses = max(LEAST, min(MOST, _cores()))
        option.maxschedchunk = option.maxschedchunk or CHUNK


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
