"""Simulations in pytest when something else goes wrong: no room for a report, an agent that blocks."""

from __future__ import annotations

import pytest

from alex_actors.simulation import Found, Simulation, explore

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def quick(pytester: pytest.Pytester) -> None:
    """Without plugins that other packages bring along, and that take a second of each start."""
    pytester.makeini("[pytest]\naddopts = -p no:schemathesis -p no:langsmith_plugin")


WRONG = """
def test_wrong(simulation):
    simulation.explore(lambda sim: sim.check(False, "It is right."))
"""

BLOCKS = """
import threading
import pytest
from alex_actors.simulation import SimulatedRuntime, SimulatedStore

class Blocks:
    async def run(self, task, history):
        threading.Event().wait()
        yield

@pytest.mark.timeout(1, method="signal")
def test_blocks(simulation):
    with SimulatedStore() as store:
        def scenario(sim):
            SimulatedRuntime(sim, store=store, agent_for=lambda _: Blocks()).submit()
            sim.sleep(1)
        simulation.explore(scenario)
"""


def test_a_report_that_cannot_be_written_does_not_hide_what_was_found(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WRONG)
    pytester.path.joinpath("taken").write_text("a file", encoding="utf-8")

    result = pytester.runpytest("--sim-report", "taken")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Seed 0: It is right.", "*the report could not be written*"])


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_to_explore_for_no_time_or_for_ever_is_refused(pytester: pytest.Pytester, seconds: str) -> None:
    pytester.makepyfile(WRONG)

    result = pytester.runpytest(f"--sim-seconds={seconds}")

    result.stderr.fnmatch_lines([f"*{seconds} is no number of seconds*"])


def test_two_tests_of_one_name_write_two_reports(pytester: pytest.Pytester) -> None:
    for folder in ("one", "two"):
        pytester.mkdir(folder).joinpath(f"test_{folder}.py").write_text(WRONG, encoding="utf-8")

    pytester.runpytest("--sim-report", "reports")

    assert len(list(pytester.path.joinpath("reports").glob("*.html"))) == 2


def test_an_agent_that_blocks_meets_the_time_limit_of_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BLOCKS)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=30)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Timeout*"])


def test_what_an_agent_begins_while_it_is_dropped_is_no_warning() -> None:
    async def nothing() -> None:
        pass

    def scenario(simulation: Simulation) -> None:
        loop = simulation.event_loop()

        async def works() -> None:
            try:
                await loop.create_future()
            finally:
                await loop.create_task(nothing())

        loop.create_task(works())
        simulation.sleep(1.0)

    try:
        explore(scenario, seeds=3)  # warnings are errors here
    except Found as found:
        pytest.fail(str(found))
