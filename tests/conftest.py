"""Rules for all tests: the whole suite runs in several processes, what the command line names in one."""

from __future__ import annotations

import gc
from itertools import islice
from pathlib import Path

import pytest

PROCESSES = 3
"""On two cores as well, since tests of servers mostly wait. More make no use of two cores that is worth their own
collecting of the tests, of ten seconds each."""
CHUNK = 10
"""Tests that a process is given at a time. More, and one has long ones left when the others are done; fewer, and
modules whose tests share a server would start it in each of them more often."""

WAITING = ("browser", "faults", "live", "peers", "terminal")
COMPUTING = ("simulation", "properties")
"""Folders of tests that mostly wait, for a server, a browser, a disk; and of those that use a core."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what is marked as long first, then tests that wait among those that compute, then the many short ones.

    So the cores have work all the time, and all processes end at the same time. Modules stay together, since the
    tests of one may share a server.
    """
    longest = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    places: dict[Path, float] = {}
    for kind in (WAITING, COMPUTING):
        modules = list(dict.fromkeys(item.path for item in others if item.path.parent.name in kind))
        places |= {module: number / len(modules) for number, module in enumerate(modules)}
    others.sort(key=lambda item: places.get(item.path, 1.0))
    # One of the longest in each of the first chunks, so that no process has two of them while others have none.
    short = max(0, len(others) - len(longest) * (CHUNK - 1))
    fill = iter(others[short:])
    items[:] = [one for long in longest for one in (long, *islice(fill, CHUNK - 1))] + others[:short]


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
        option.numprocesses = PROCESSES
        option.maxschedchunk = option.maxschedchunk or CHUNK
