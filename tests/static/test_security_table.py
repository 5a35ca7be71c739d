"""The tables of docs/security.md: every row names what shows it, and every test that is named is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
REQUIRED = (
    "path traversal", "symlink race", "shell injection through file names", "environment leak", "dns rebinding",
    "cross-site `post`", "slow-loris", "huge bodies", "deep json", "log injection", "event-stream injection",
    "token guessing", "another tenant's ids", "prompt-injected tool calls",
)  # fmt: skip


class Row(NamedTuple):
    threat: str
    stops: str
    tests: str


def rows() -> list[Row]:
    """Return the rows of all tables, less their heads."""
    lines = [line for line in DOCUMENT.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    found = [Row(*(cell.strip() for cell in row)) for row in cells]
    return [row for row in found if row.threat != "threat" and not row.threat.startswith("---")]


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the functions of a module."""
    file = ROOT / path
    assert file.is_file(), f"There is no {path}."
    tree = ast.parse(file.read_text())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_the_tables_are_found() -> None:
    assert len(rows()) > 20
    assert DOCUMENT.count("\n| threat | what stops it | the test that shows it |\n| --- | --- | --- |\n") >= 3


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.threat[:40])
def test_every_row_says_what_stops_it_and_names_tests_that_are_there(row: Row) -> None:
    path = ""
    for name in re.findall(r"`([^`]+)`", row.tests):
        if name.endswith(".py"):
            path = name
            names_in(path)  # all of it, if no test follows
        else:
            assert name in names_in(path), f"There is no {name} in {path}."

    assert row.stops
    assert path


@pytest.mark.parametrize("threat", REQUIRED)
def test_what_has_to_be_in_it_is_in_it(threat: str) -> None:
    assert threat in " ".join(row.threat for row in rows()).lower()
