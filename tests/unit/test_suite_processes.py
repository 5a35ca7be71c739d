"""How the tests themselves are run: all of them in several processes, what is named in one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

LESS = "-p no:schemathesis -p no:langsmith_plugin"
"""Plugins that other packages bring along, and that take a second of each start."""

MANY = """
import pytest

@pytest.mark.long
@pytest.mark.parametrize("number", range(2))
def test_long(number): ...

@pytest.mark.parametrize("number", range(30))
def test_short(number): ...
"""

WHERE = """
import os

def test_where():
    assert os.environ.get("PYTEST_XDIST_WORKER", "here").startswith({where!r})
"""


def written(pytester: pytest.Pytester, *, where: str) -> None:
    """Write a project with our rule, whose test wants to be run in a process: ``gw``, a worker, or ``here``."""
    pytester.makeini(f"[pytest]\ntestpaths = tests\naddopts = --import-mode=importlib {LESS}\nmarkers = long")
    folder = pytester.mkdir("tests")
    rule = Path(__file__).parents[1] / "conftest.py"
    (folder / "conftest.py").write_text(rule.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_where.py").write_text(WHERE.format(where=where), encoding="utf-8")


def test_what_is_long_begins_the_chunks_that_are_given_out_first_and_nothing_is_left_out(
    pytester: pytest.Pytester,
) -> None:
    written(pytester, where="here")
    (pytester.path / "tests" / "test_where.py").write_text(MANY, encoding="utf-8")

    result = pytester.runpytest_subprocess("--collect-only", "--quiet", "-n", "0", timeout=100)

    names = [line.split("::")[1] for line in result.outlines if "::" in line]
    assert [number for number, name in enumerate(names) if name.startswith("test_long")] == [0, 10]
    assert len(names) == len(set(names)) == 32


def test_the_whole_suite_is_shared_out(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    written(pytester, where="gw")

    result = pytester.runpytest_subprocess(timeout=100)

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("arguments", [["tests/test_where.py"], ["-n", "0"], ["-p", "no:xdist"], ["--pdb"]])
def test_it_is_run_here_if_it_is_named_or_that_is_asked_for(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    written(pytester, where="here")

    result = pytester.runpytest_subprocess(*arguments, timeout=100)

    result.assert_outcomes(passed=1)
