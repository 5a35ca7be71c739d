"""``alex trace`` on the command line: what it reads, writes and answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alex_http.terminal.trace_command import SHOWN, trace
from tests.unit.written_logs import WrittenLog


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(trace, arguments, input=stdin)


def written(log: WrittenLog, directory: Path) -> str:
    path = directory / "alex.jsonl"
    path.write_bytes(b"".join(log.lines))
    return str(path)


def test_a_clean_log_is_0_and_says_what_was_looked_at(tmp_path: Path) -> None:
    log = WrittenLog()
    log.task()

    done = run("--check", written(log, tmp_path))

    assert (done.exit_code, done.stderr) == (0, "")
    assert "7 lines, 1 task, 1 run of the server;" in done.stdout
    assert done.stdout.endswith("Clean: no rule is broken.\n")


def test_standard_input_is_checked_and_drawn() -> None:
    log = WrittenLog()
    task_id = log.task()
    text = b"".join(log.lines)

    checked, drawn = run("--check", "-", stdin=text), run(task_id, "-", stdin=text)

    assert (checked.exit_code, drawn.exit_code) == (0, 0)
    assert "standard input: 7 lines" in checked.stdout
    assert "task.ended completed" in drawn.stdout


def test_many_violations_are_counted_after_the_first(tmp_path: Path) -> None:
    log = WrittenLog()
    for _ in range(30):
        log.ended(log.task())

    done = run("--check", written(log, tmp_path))

    assert done.exit_code == 1
    assert done.stdout.count(" broke one-end:") == SHOWN
    assert "… and 10 more: 10 one-end." in done.stdout
    assert "30 violations, of 30 tasks." in done.stdout


def test_json_says_all_of_it(tmp_path: Path) -> None:
    log = WrittenLog()
    task_id = log.task()
    log.ended(task_id)
    path = written(log, tmp_path)

    done = run("--check", "--json", path)

    told = json.loads(done.stdout)
    assert (done.exit_code, told["clean"], told["broken"], told["tasks"]) == (1, False, 1, 1)
    (violation,) = told["violations"]
    assert (violation["task_id"], violation["rule"]) == (task_id, "one-end")
    assert violation["lines"][-1] == {"number": 8, "file": path, "text": log.lines[-1].decode().rstrip()}


@pytest.mark.parametrize("content", [b"", b"no log\n", b"{}\n", b"\n", b"abc\n\n", b"\x7fELF\n\n \n"])
def test_what_is_no_log_cannot_be_checked(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_bytes(content)

    done = run("--check", str(path))

    assert done.exit_code == 2
    assert done.stderr == f"alex: {path}: no line of a log of Alex Runtime is in it.\n"


def test_a_log_of_warnings_only_cannot_be_checked(tmp_path: Path) -> None:
    done = run("--check", written(WrittenLog(starts=False).say("log.lost", "warning", lines=1), tmp_path))

    assert (done.exit_code, done.stdout) == (2, "")
    assert "nothing could be checked" in done.stderr


def test_a_log_of_a_server_that_had_no_task_yet_is_not_called_clean(tmp_path: Path) -> None:
    done = run("--check", written(WrittenLog(), tmp_path))

    assert done.exit_code == 0
    assert done.stdout.endswith("No task is in it: there was nothing to check.\n")


def test_a_log_that_somebody_has_written_anew_with_spaces_is_drawn(tmp_path: Path) -> None:
    log = WrittenLog()
    task_id = log.task()
    log.lines = [json.dumps(json.loads(line)).encode() + b"\n" for line in log.lines]
    path = written(log, tmp_path)

    drawn = [run(wanted, path) for wanted in (task_id, task_id[-6:], "last")]

    assert [done.exit_code for done in drawn] == [0, 0, 0]
    assert all("task.ended completed" in done.stdout for done in drawn)
    assert "it tells of 1 tasks" in run("task-none", path).stderr


def test_a_comment_of_a_mermaid_diagram_is_no_directive(tmp_path: Path) -> None:
    log = WrittenLog()
    log.fact("task.ended", "task-1", session="%%{init: {}}%%", status="completed")

    done = run("task-1", written(log, tmp_path), "--mermaid")

    assert done.exit_code == 0
    assert "%{" not in done.stdout


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1", "ftp://here"])
def test_spans_are_not_sent_to_what_is_no_url(url: str, tmp_path: Path) -> None:
    log = WrittenLog()
    log.task()

    done = run(written(log, tmp_path), "--otlp", url)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "is no URL such as http://localhost:4318" in done.stderr


def test_a_log_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    asked = [run("--check", "--data-dir", str(tmp_path)), run("last", "--data-dir", str(tmp_path))]

    assert [done.exit_code for done in asked] == [2, 2]
    assert all("There is no log at" in done.stderr and "alex serve" in done.stderr for done in asked)


def test_a_task_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    log = WrittenLog()
    task_id = log.task()

    done = run("task-none", written(log, tmp_path))

    assert (done.exit_code, done.stdout) == (2, "")
    assert "it tells of 1 tasks, from 2026-11-23T12:00:00.001000Z" in done.stderr
    assert task_id in done.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("a", "b", "c"), ("a", "--json"), ("a", "--html", "--mermaid"), ("--check", "--html")]
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert done.exit_code == 2
    assert "Usage: " in done.stderr


def test_a_page_is_written_to_a_file(tmp_path: Path) -> None:
    log = WrittenLog()
    task_id = log.task()
    page = tmp_path / "trace.html"

    done = run(task_id, written(log, tmp_path), "--html", "--output", str(page))
    failed = run(task_id, written(log, tmp_path), "--html", "--output", str(tmp_path / "none" / "trace.html"))

    assert (done.exit_code, done.stdout) == (0, "")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert failed.exit_code == 2
    assert "cannot be written" in failed.stderr


def test_mermaid_is_written_to_standard_output(tmp_path: Path) -> None:
    log = WrittenLog()
    task_id = log.task()

    done = run(task_id, written(log, tmp_path), "--mermaid")

    assert "sequenceDiagram\n" in done.stdout


def test_what_a_log_says_of_itself_does_not_steer_the_terminal(tmp_path: Path) -> None:
    log = WrittenLog()
    hostile = "task-\x1b]52;c;aGk=\x07\u202e"
    log.fact("task.ended", hostile, session="\x1b[2J", status="\x1b[31m").fact("task.ended", hostile, status="x")

    plain, as_json = (run("--check", *more, written(log, tmp_path)) for more in ([], ["--json"]))

    assert (plain.exit_code, as_json.exit_code) == (1, 1)
    assert not set(plain.stdout + as_json.stdout) & {"\x1b", "\x07", "\u202e"}
