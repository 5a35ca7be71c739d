"""What a trace says of a model that failed, in a diagram, and that the check holds it against nobody."""

from __future__ import annotations

from typing import Any

from alex_actors.tracing.check import check_lines
from alex_actors.tracing.drawing import Drawing
from alex_actors.tracing.task_log import TaskLog, task_log
from alex_actors.tracing.told import told
from tests.unit.written_logs import WrittenLog

HOSTILE = "\x1b[2J\u202eIt is down.\n</text><script>alert(1)</script>"
FAILED: dict[str, Any] = {"iteration": 1, "model": "big", "error": "It is down."}  # Any: as a log has it


def a_task(log: WrittenLog, error: str) -> str:
    """Add a task whose model failed twice, and which failed."""
    task_id = log.new_task()
    log.confirmed(task_id).fact("task.created", task_id).started(task_id)
    log.fact("model.attempt_failed", task_id, **FAILED | {"error": error})
    log.say("model.failed", "warning", task_id=task_id, session_id="s", **FAILED | {"error": error})
    log.ended(task_id, "failed")
    return task_id


def read(log: WrittenLog, task_id: str) -> TaskLog:
    return task_log(lambda: iter(log.lines), task_id, children=False)


def test_a_model_that_failed_is_told_with_its_time_and_what_it_said() -> None:
    assert told({"event": "model.failed", "duration": 12.5, **FAILED}) == (
        "model.failed big after 12.5 ms: It is down."
    )
    assert told({"event": "model.attempt_failed", **FAILED}) == "model.attempt_failed big: It is down."


def test_what_a_provider_says_neither_steers_a_terminal_nor_runs_in_a_page() -> None:
    log = WrittenLog()
    task_id = a_task(log, HOSTILE)

    drawn = Drawing(read(log, task_id), source="alex.jsonl", children=False, everything=False)

    assert drawn.text(200).count("It is down.") == 2
    for text in (drawn.text(200), drawn.mermaid(), drawn.html()):
        assert not set(text) & {"\x1b", "\u202e"}
    assert "<script" not in drawn.html()
    assert "<script" not in drawn.mermaid()


def test_a_log_with_failures_is_clean_also_one_that_has_warnings_alone() -> None:
    log = WrittenLog()
    for _ in range(2):
        a_task(log.wait(5), "It is down.")
    warnings = [line for line in log.lines if b'"warning"' in line]

    assert check_lines(log.lines).violations == []
    assert check_lines(warnings).violations == []
