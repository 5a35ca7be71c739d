"""Simulations in pytest: the fixture ``simulation``, and the options that say how many seeds, or which."""

from __future__ import annotations

import argparse
import os
import random
import shlex
import sys
import time
from collections.abc import Generator, Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # importing the simulator takes half a second, which a run without simulations is to be spared
    from alex_actors.simulation.exhaustive import Exhausted
    from alex_actors.simulation.exploring import Explored, Report, Scenario
    from alex_actors.simulation.world import Simulation

DEFAULT_SEEDS = 200
"""Of a test that asks for no number: a second or less for a few actors."""

GRACE = 60
"""Seconds that a test with ``--sim-seconds`` has besides those: for its last run, and to reduce what it finds."""

LONGEST = 1_000_000
"""Seconds that ``--sim-seconds`` may be at most: eleven days."""

LONGEST_NAME = 150
"""Characters of a file name: file systems allow 255 bytes."""

EXPLORED = "simulation"
"""The property of a test's report that has what it explored."""

PASSED_ON = (("inifilename", "-c"), ("rootdir", "--rootdir"), ("plugins", "-p"), ("override_ini", "-o"))
"""Options that decide how a test is found and run: their names in pytest, and on the command line."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("simulation", "simulations of actors")
    group.addoption(
        "--sim-seeds", type=_at_least_one, metavar="N", help="explore N seeds in each simulation, from 0 on"
    )
    group.addoption(
        "--sim-seed", type=int, metavar="S", help="run seed S alone: what a failure names to see it again"
    )
    group.addoption(
        "--sim-seconds",
        type=_some_seconds,
        metavar="T",
        help="explore other seeds in each run, for T seconds a test; its time limit is extended by as much",
    )
    group.addoption(
        "--sim-report", type=Path, metavar="DIR", help="write what is found into DIR, as HTML and as Mermaid"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have what was explored summed up at the end."""
    config.pluginmanager.register(Summary(), "alex-runtime-summary")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests that are to explore for longer the time for it, should pytest-timeout be there."""
    seconds = config.getoption("sim_seconds")
    if seconds is not None and config.pluginmanager.hasplugin("timeout"):
        for item in items:
            if "simulation" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.timeout(seconds + GRACE), append=False)  # before a limit of its own


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001 - pytest gives by name
    call: pytest.CallInfo[Any],  # Any: of whatever result
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a simulation found as its report, and not as the calls that led to it."""
    report = yield
    if call.excinfo is not None and _is_found(call.excinfo.type):
        shown = call.excinfo.getrepr(style="value", chain=False)
        if shown.reprcrash is not None:  # what the summary at the end says of it
            shown.reprcrash.message = str(call.excinfo.value).partition("\n")[0]
        report.longrepr = shown
    return report


class Summary:
    """Says at the end what was explored."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a test explored: from its report, which other processes send, too."""
        if report.when == "call":
            self._lines += [
                f"{report.nodeid}: {line}" for name, line in report.user_properties if name == EXPLORED
            ]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write it."""
        if self._lines:
            terminalreporter.section("simulations")
            for line in self._lines:
                terminalreporter.write_line(line)


class Explorer:
    """What the fixture ``simulation`` gives a test."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._config = request.config
        self._item: pytest.Item = request.node
        self._begun = time.monotonic()

    def explore(self, scenario: Scenario, *, seeds: int | Iterable[int] = DEFAULT_SEEDS) -> Explored:
        """Run ``scenario`` once for each seed (of a number: from 0 on), or as the command line's options want it.

        Raises Found, which fails the test with a report, for the first seed under which something is wrong.
        """
        __tracebackhide__ = True
        from alex_actors.simulation.exploring import Found, explore

        def failing(simulation: Simulation) -> None:
            try:
                scenario(simulation)
            except (
                pytest.fail.Exception
            ) as failure:  # no Exception, so that nobody contains it: also not what explores
                if "pytest-timeout" in str(failure):
                    raise
                raise AssertionError(str(failure)).with_traceback(failure.__traceback__) from None

        chosen = self._seeds(seeds)
        try:
            explored = explore(failing, seeds=chosen, seconds=self._seconds(), replay=self._replay)
        except Found as found:
            self._write(found, str(found.seed))
            raise
        self._say(str(explored))
        return explored

    def explore_every_order(
        self, scenario: Scenario, *, interrupted: bool = False, limit: int | None = None
    ) -> Exhausted:
        """Run ``scenario`` in every order, as ``alex_actors.simulation.explore_every_order`` does.

        Raises FoundInSearch, which fails the test with a report.
        """
        __tracebackhide__ = True
        from alex_actors.simulation.every_order import FoundInSearch, explore_every_order

        try:
            exhausted = explore_every_order(scenario, interrupted=interrupted, limit=limit)
        except FoundInSearch as found:
            self._write(found, "order")
            raise
        self._say(str(exhausted))
        return exhausted

    def _seeds(self, seeds: int | Iterable[int]) -> int | Iterable[int]:
        config = self._config
        if config.getoption("sim_seed") is not None:
            return (config.getoption("sim_seed"),)
        if config.getoption("sim_seconds") is not None:
            first = random.SystemRandom().randrange(1 << 40)
            self._say(f"seeds from {first} on")
            return count(first)
        return config.getoption("sim_seeds") or seeds

    def _seconds(self) -> float | None:
        """Return for how long to explore: what the test has not used up yet."""
        seconds: float | None = self._config.getoption("sim_seconds")
        if seconds is None or self._config.getoption("sim_seed") is not None:
            return None
        return seconds - (time.monotonic() - self._begun)

    def _replay(self, seed: int) -> str:
        """Return the command that runs a seed again, from the directory in which this one was given."""
        here = self._config.invocation_params.dir
        path = os.path.relpath(self._item.path, here)
        _, colons, inside = self._item.nodeid.partition("::")
        words = ["python", "-m", "pytest"] if Path(sys.argv[0]).name == "__main__.py" else ["pytest"]
        words.append(path + colons + inside)
        for name, option in PASSED_ON:
            given = getattr(self._config.option, name, None) or []
            for value in given if isinstance(given, list) else [given]:
                words += (option, str(value))
        return shlex.join([*words, "--sim-seed", str(seed)])

    def _say(self, line: str) -> None:
        self._item.user_properties.append((EXPLORED, line))

    def _write(self, found: Report, which: str) -> None:
        """Write the report's pictures, if they are wanted."""
        directory: Path | None = self._config.getoption("sim_report")
        if directory is None:
            return
        from alex_actors.diagrams.mermaid import mermaid
        from alex_actors.diagrams.page import html

        name = "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in self._item.nodeid)
        path = directory / f"{name[-LONGEST_NAME:]}-{which}"
        page = html(found.trace, shown=found.shown(), title=found.headline, notes=found.notes)
        drawn = mermaid(found.trace, shown=found.shown())
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".html").write_text(page, encoding="utf-8")
            path.with_suffix(".mmd").write_text(drawn, encoding="utf-8")
        except OSError as error:  # what was found is worth more than its picture
            self._say(f"the report could not be written: {error}")


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Explorer:
    """Explore a scenario under many seeds: ``simulation.explore(scenario)``."""
    return Explorer(request)


def _is_found(error: type[BaseException]) -> bool:
    exploring = sys.modules.get("alex_actors.simulation.exploring")  # without it, nothing was explored
    return exploring is not None and issubclass(error, exploring.Report)


def _some_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < LONGEST:
        msg = f"{text} is no number of seconds above 0 and below {LONGEST:,}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _at_least_one(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        msg = f"{text} is no whole number of 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return number
