"""The pytest plugin, as its users meet it: a test, what is printed when it fails, and how to repeat that."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PLUGINS = "alex_actors.pytest_plugin,xdist.plugin,pytest_timeout"


@pytest.fixture(autouse=True)
def only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load only what matters here: the plugins that other packages bring along take a second of each start."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", PLUGINS)


SCENARIO = """
import pykka
import pytest

from alex_actors.actor import PooledActor
from alex_actors.simulation import Found, Simulation

class Counter(PooledActor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: object) -> object:
        if message == "break":
            raise ValueError("broken")
        if isinstance(message, int):
            self.count = message
        return self.count

def race(sim: Simulation) -> None:
    counter = sim.spawn(Counter)

    def add() -> None:
        counter.ask(counter.ask("read") + 1)

    for client in [sim.client("anna", add), sim.client("bert", add)]:
        client.result()
    total = counter.ask("read")
    assert total == 2, "an update was lost"

def fine(sim: Simulation) -> None:
    assert sim.spawn(Counter).ask(3) == 3
"""


def with_all_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load those that are installed, by their entry points, as it is with users."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.delenv("PYTEST_PLUGINS")


def written(pytester: pytest.Pytester, test: str, *, name: str = "test_counter.py", ini: str = "") -> Path:
    """Write a user's project with a test in it."""
    pytester.makeini(f"[pytest]\naddopts = --import-mode=importlib\n{ini}")
    path = pytester.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{SCENARIO}\n{test}", encoding="utf-8")
    return path


RACE = "def test_race(simulation):\n    simulation.explore(race)\n"
FINE = "def test_fine(simulation):\n    simulation.explore(fine, seeds=30)\n"


def test_what_was_explored_is_summed_up(pytester: pytest.Pytester) -> None:
    written(pytester, FINE)

    result = pytester.runpytest()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*= simulations =*", "test_counter.py::test_fine: 30 runs, * steps in * s (*"])


def test_a_failure_is_the_report_and_nothing_else(pytester: pytest.Pytester) -> None:
    written(pytester, RACE)

    result = pytester.runpytest()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*___ test_race ___*",
            "Seed *: an update was lost",
            "assert 1 == 2",
            "  test_counter.py:*, in race",
            '      assert total == 2, "an update was lost"',
            "",
            "To see it again: *pytest test_counter.py::test_race --sim-seed *",
            "Reduced from *",
            "*anna*",
            "*FAILED in step*",
            "*= short test summary info =*",
            "FAILED test_counter.py::test_race - Seed *: an update was lost",
        ]
    )
    text = result.stdout.str()
    for noise in ("direct cause", "During handling", "greenlet", "Traceback", "scheduler.py"):
        assert noise not in text
    assert text.count("FAILED in step") == 1


def test_a_crash_shows_the_line_in_the_actor(pytester: pytest.Pytester) -> None:
    written(
        pytester,
        'def test_it(simulation):\n    simulation.explore(lambda sim: sim.spawn(Counter).tell("break"))\n',
    )

    result = pytester.runpytest()

    result.stdout.fnmatch_lines(
        [
            "Seed 0: Counter crashed: ValueError: broken",
            "  test_counter.py:*, in on_receive",
            '      raise ValueError("broken")',
        ]
    )


def test_what_did_not_raise_in_a_scenario_is_found_like_anything_else(pytester: pytest.Pytester) -> None:
    body = "def scenario(sim):\n    with pytest.raises(KeyError):\n        pass\n"
    written(pytester, f"{body}def test_it(simulation):\n    simulation.explore(scenario)\n")

    result = pytester.runpytest()

    result.stdout.fnmatch_lines(["Seed 0: DID NOT RAISE*KeyError*", "To see it again: *"])


def test_a_test_may_expect_that_something_is_found(pytester: pytest.Pytester) -> None:
    written(
        pytester,
        "def test_it(simulation):\n    with pytest.raises(Found, match='lost'):\n        simulation.explore(race)",
    )

    result = pytester.runpytest()

    result.assert_outcomes(passed=1)


ODD = """
@pytest.mark.parametrize("name", ["a b", "it's [odd]::really", 'quo"te', "$HOME;*", "n\\nl", "ünï"])
class TestNames:
    def test_race(self, simulation, name):
        simulation.explore(race)
"""


def replays(result: pytest.RunResult) -> list[str]:
    """Return the commands that the failures print; with `pytest` also where Python was asked to run it."""
    lines = (line for line in result.outlines if line.startswith("To see it again: "))
    return [line.partition(": ")[2].removeprefix("python -m ") for line in lines]


def run_as_printed(command: str, *, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of a failure in a shell: with this Python's pytest, wherever it is called."""
    words = f"{shlex.quote(sys.executable)} -m pytest"
    line = command.replace("python -m pytest", "pytest", 1).replace("pytest", words, 1)
    return subprocess.run(line, shell=True, cwd=directory, capture_output=True, text=True, timeout=50, check=False)


def report_in(text: str, command: str) -> list[str]:
    """Return what a failure's report says after its command."""
    lines = text.partition(f"{command}\n")[2].splitlines()
    return lines[: next(index for index, line in enumerate(lines) if "FAILED in step" in line) + 1]


def test_the_printed_command_repeats_the_failure_also_of_tests_with_odd_names(pytester: pytest.Pytester) -> None:
    written(pytester, ODD, name="deep er/test_odd.py")
    result = pytester.runpytest("-k", "odd or quo")
    command = replays(result)[1]
    report = report_in(result.stdout.str(), command)

    again = run_as_printed(command, directory=pytester.path)

    assert report_in(again.stdout, f"python -m {command}") == report
    assert len(report) > 10


def test_every_odd_name_is_one_test_for_the_shell_and_for_pytest(pytester: pytest.Pytester) -> None:
    written(pytester, ODD)
    commands = [shlex.split(command) for command in replays(pytester.runpytest())]

    result = pytester.runpytest(*(words[words.index("--sim-seed") - 1] for words in commands))

    assert {tuple(words[-2:]) for words in commands} == {("--sim-seed", commands[0][-1])}
    result.assert_outcomes(failed=6)


def test_the_printed_command_holds_where_pytest_was_started(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(pytester, RACE, name="project/tests/test_counter.py")
    (pytester.path / "elsewhere").mkdir()
    monkeypatch.chdir(pytester.path / "elsewhere")
    result = pytester.runpytest(path, "-p", "no:cacheprovider", "--rootdir", pytester.path)

    (command,) = replays(result)
    again = run_as_printed(command, directory=pytester.path / "elsewhere")

    assert " ../project/tests/test_counter.py::test_race " in command
    assert " --rootdir " in command
    assert "-p no:cacheprovider" in command
    assert "To see it again" in again.stdout
    assert "1 failed" in again.stdout


def test_the_options_say_how_many_seeds_or_which(pytester: pytest.Pytester) -> None:
    written(pytester, FINE)

    many, one = pytester.runpytest("--sim-seeds=7"), pytester.runpytest("--sim-seed=0")
    wrong = pytester.runpytest("--sim-seeds=0")

    many.stdout.fnmatch_lines(["*: 7 runs, *"])
    one.stdout.fnmatch_lines(["*: 1 runs, *"])
    wrong.stderr.fnmatch_lines(["*argument --sim-seeds: 0 is no whole number*"])


def test_a_test_may_say_which_seeds(pytester: pytest.Pytester) -> None:
    body = "def test_some(simulation):\n    simulation.explore(race, seeds=range(40, 60))\n"
    written(pytester, body)

    result = pytester.runpytest()

    (command,) = replays(result)
    result.assert_outcomes(failed=1)
    assert int(command.rpartition(" ")[2]) in range(40, 60)


def test_what_is_printed_is_the_same_of_tests_in_several_processes(pytester: pytest.Pytester) -> None:
    written(pytester, FINE + RACE)

    one, many = pytester.runpytest_subprocess("-n", "0"), pytester.runpytest_subprocess("-n", "2")

    many.assert_outcomes(passed=1, failed=1)
    assert replays(many) == replays(one)
    many.stdout.fnmatch_lines(["test_counter.py::test_fine: 30 runs, * steps in * s (*"])


def test_seconds_explore_other_seeds_and_extend_the_time_limit(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_all_plugins(monkeypatch)
    body = """
def test_fine(simulation, request):
    assert request.node.get_closest_marker("timeout").args == (60.01,)
    simulation.explore(fine)
    simulation.explore(fine)

def test_other(request):
    assert request.node.get_closest_marker("timeout") is None
"""
    written(pytester, body)

    result = pytester.runpytest("--sim-seconds=0.01")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_fine: seeds from * on", "*::test_fine: * runs, *"])


def test_a_time_limit_says_in_which_seed_it_was(pytester: pytest.Pytester) -> None:
    body = """
def busy(sim):
    while True:
        pass

def test_busy(simulation):
    simulation.explore(busy)
"""
    written(pytester, body)

    result = pytester.runpytest("--timeout=0.5", "--timeout-method=signal")

    result.stdout.fnmatch_lines(
        ["*Timeout (>0.5s) from pytest-timeout*", "*This was in seed 0. To see it again: *"]
    )


def test_a_report_is_written_where_it_is_wanted(pytester: pytest.Pytester) -> None:
    written(pytester, ODD)

    pytester.runpytest("--sim-report", "out/reports", "-k", "odd")

    names = [path.name for path in sorted((pytester.path / "out/reports").iterdir())]
    assert [Path(name).suffix for name in names] == [".html", ".mmd"]
    assert names[0].startswith("test_counter-py--TestNames--test_race-it-s--odd---really")
    page = (pytester.path / "out/reports" / names[0]).read_text(encoding="utf-8")
    assert "an update was lost" in page


def test_a_run_without_simulations_has_the_plugin_and_does_not_import_the_simulator(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_all_plugins(monkeypatch)
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "alex_actors.pytest_plugin" in sys.modules
            assert [name for name in sys.modules if name.startswith("alex_actors.simulation")] == []
            assert "greenlet" not in sys.modules
        """
    )

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(passed=1)
    assert "= simulations =" not in result.stdout.str()


def test_the_options_are_described(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--help")

    result.stdout.fnmatch_lines(
        ["simulations of actors:", "*--sim-seeds=N *", "*--sim-seed=S *", "*--sim-seconds=T *"]
    )
