"""The examples, as their users have them: in a folder of their own; and the page that walks through them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alex_actors.simulation import invariants

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")

ELISION = re.compile(r"^\.\.\.\n", re.MULTILINE)
"""A line of a quotation that stands for what is left out."""

FIGURES = re.compile(r"[0-9][0-9,.]*(?=(?: runs/s| steps/s| s\b|s$))")
"""What a run prints that is another the next time: seconds, and how much a second."""


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> dict[str, str]:
    """Return the commands on the page whose output is shown, each with that."""
    parts = (block.removeprefix("$ ").partition("\n") for block in blocks("console"))
    return {command: output for command, _, output in parts}


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page in a copy of the examples, as somebody would who has the package installed."""
    words = [sys.executable if word == "python" else word for word in shlex.split(command)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    return subprocess.run(
        words, cwd=folder, env=environment | {"PYTHONIOENCODING": "utf-8"}, capture_output=True, text=True,
        encoding="utf-8", check=False, timeout=50,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy the examples to somewhere else."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "copied", ignore=shutil.ignore_patterns("__pycache__")))


def test_every_quotation_on_the_page_stands_in_the_file_that_it_names() -> None:
    quotations = blocks("python")

    assert len(quotations) > 10
    for quotation in quotations:
        name, _, text = quotation.partition("\n")
        source = (ROOT / name.removeprefix("# ")).read_text(encoding="utf-8")
        for part in ELISION.split(text):
            assert part in source, f"{name} has no such lines:\n{part}"
            source = source.partition(part)[2]  # the next part comes after it


@pytest.mark.parametrize("command", list(commands()))
def test_a_command_of_the_page_prints_what_the_page_shows(folder: Path, command: str) -> None:
    printed = run(folder, command).stdout

    assert FIGURES.sub("…", printed) == FIGURES.sub("…", commands()[command]), (
        f"Paste it into the page:\n{printed}"
    )


def test_the_readme_shows_the_same_report() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    reports = re.findall(r"^```text\n(Seed .*?)\n```$", readme, re.MULTILINE | re.DOTALL)

    assert len(reports) == 1
    assert reports[0] in PAGE


def test_the_examples_pass_in_a_copy_of_their_folder(folder: Path) -> None:
    ended = run(folder, "python -m pytest -q --sim-seeds 2 -W error -k 'not found'")

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_examples_need_nothing_of_this_repository() -> None:
    foreign = re.compile(
        r"^\s*(?:from|import) (?:tests|bench|alex_runtime|alex_http(?!\.client)|alex_config)\b", re.MULTILINE
    )

    assert not [path.name for path in EXAMPLES.rglob("*.py") if foreign.search(path.read_text(encoding="utf-8"))]
    assert not (EXAMPLES / "conftest.py").exists()


def test_the_page_names_everything_that_is_looked_at() -> None:
    page = " ".join(PAGE.split())

    sentences = [value for name, value in vars(invariants).items() if name.isupper() and isinstance(value, str)]

    assert len([value for value in sentences if value.endswith(".")]) >= 9
    assert [value for value in sentences if value.endswith(".") and value not in page] == []
