"""docs/tracing.md shows what its commands print, on the log of a real task that is kept beside this test."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from alex_actors.tracing.facts import RULES
from alex_http.terminal.trace_command import trace

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tracing.md").read_text("utf-8")
LOG = Path(__file__).with_name("one_task.jsonl")


def shown(command: str) -> str:
    """Return what the page shows after a command."""
    start = PAGE.index(f"$ {command}\n") + len(f"$ {command}\n")
    return PAGE[start : PAGE.index("```", start)]


def printed(*arguments: str, stdin: str | None = None) -> str:
    """Return what a command prints; a check takes no time here."""
    text = CliRunner().invoke(trace, arguments, input=stdin).stdout
    return re.sub(r"; \d+\.\d s\.$", "; 0.0 s.", text, flags=re.MULTILINE)


@pytest.fixture(autouse=True)
def beside_the_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(LOG, "one_task.jsonl")
    lines = LOG.read_text("utf-8").splitlines(keepends=True)
    Path("broken.jsonl").write_text("".join(line for line in lines if '"agent.started"' not in line), "utf-8")


def test_the_diagram_of_a_task_is_what_is_drawn() -> None:
    assert shown("alex trace last one_task.jsonl --width 100") == printed(
        "last", "one_task.jsonl", "--width", "100"
    )


def test_the_facts_alone_are_what_is_drawn() -> None:
    facts = "".join(line for line in LOG.read_text("utf-8").splitlines(keepends=True) if '"message"' not in line)

    drawn = printed("last", "-", "--width", "100", stdin=facts)

    assert shown("grep -v '\"message\"' one_task.jsonl | alex trace last - --width 100") == drawn


@pytest.mark.parametrize("log", ["one_task.jsonl", "broken.jsonl"])
def test_a_check_says_what_is_shown(log: str) -> None:
    assert shown(f"alex trace --check {log}") == printed("--check", log)


def test_the_table_has_all_rules() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == list(RULES)
