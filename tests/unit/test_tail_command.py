"""``alex tail``: from which files it shows which lines, and how it ends."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from alex_http.command_line import main
from tests.live.process import SOON, ended, environment, until

WIDTH = 100


def line(minute: int, event: str = "task.created", *, task: str = "task-aaaa", level: str = "info") -> str:
    ts = f"2026-11-22T20:{minute:02}:00.000000Z"
    return f'{{"ts":"{ts}","level":"{level}","event":"{event}","task_id":"{task}"}}\n'


LINES = [line(minute, task=f"task-{minute % 2}{'b' * 4}") for minute in range(60)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of an hour, a line a minute, in three files of which one is compressed."""
    directory = tmp_path / "data" / "logs"
    directory.mkdir(parents=True)
    (directory / "alex.jsonl.2.gz").write_bytes(gzip.compress("".join(LINES[:20]).encode()))
    (directory / "alex.jsonl.1").write_text("".join(LINES[20:40]) + "garbage\n")
    (directory / "alex.jsonl").write_text("".join(LINES[40:]) + '{"ts":"2026-')
    return directory / "alex.jsonl"


class Tail:
    """Runs the command in this process."""

    def __init__(self, captured: pytest.CaptureFixture[bytes]) -> None:
        self._captured = captured

    def __call__(self, *arguments: object) -> list[str]:
        """Return the lines that it writes."""
        main.main(["tail", *map(str, arguments)], prog_name="alex", standalone_mode=False)
        return self._captured.readouterr().out.decode().splitlines()

    def error(self, *arguments: object) -> str:
        """Return what it fails with."""
        with pytest.raises(click.ClickException) as failed:
            self(*arguments)
        assert failed.value.exit_code == 2
        return failed.value.format_message()


@pytest.fixture
def tail(capfdbinary: pytest.CaptureFixture[bytes]) -> Tail:
    return Tail(capfdbinary)


def minutes(lines: list[str]) -> list[int]:
    """Return the minutes of the lines; -1 is garbage."""
    return [int(each.partition("T20:")[2][:2] or -1) for each in lines]


def test_the_last_lines_are_shown_those_of_older_files_if_needed(log: Path, tail: Tail) -> None:
    assert minutes(tail(log)) == [*range(41, 60), -1]
    assert minutes(tail(log, "-n", "3")) == [58, 59, -1]
    assert minutes(tail(log, "-n", "25")) == [37, 38, 39, -1, *range(40, 60), -1]
    assert minutes(tail(log, "-n", "1000")) == [*range(40), -1, *range(40, 60), -1]
    assert tail(log, "-n", "0") == []


def test_a_time_is_shown_whole_whatever_files_it_is_in(log: Path, tail: Tail) -> None:
    assert minutes(tail(log, "--since", "2026-11-22T20:38Z")) == [38, 39, -1, *range(40, 60), -1]
    assert minutes(tail(log, "--since", "2026-11-22T20:18Z", "--until", "2026-11-22T20:21Z")) == [18, 19, 20, 21]
    assert minutes(tail(log, "--until", "2026-11-22T20:41Z", "-n", "2")) == [40, 41]
    assert tail(log, "--since", "2027-01-01T00:00Z") == []
    assert tail(log, "--until", "2025-01-01T00:00Z") == []


def test_all_lines_of_a_task_are_shown(log: Path, tail: Tail) -> None:
    assert minutes(tail(log, "--task", "task-1bbbb")) == list(range(1, 60, 2))
    assert minutes(tail(log, "--task", "1bbbb", "-n", "2")) == [57, 59]


@pytest.mark.parametrize("compressed", [False, True])
def test_last_is_the_task_that_was_recorded_last_and_its_session(
    tmp_path: Path, tail: Tail, *, compressed: bool
) -> None:
    whose = {"a": "one", "b": "two", "c": "two", "d": "three"}
    lines = [
        line(minute, task=f"task-{name}").replace("}", f',"session_id":"{session}"}}')
        for minute, (name, session) in enumerate(whose.items())
    ]
    lines[3] = lines[3].replace("}", ',"parent_task_id":"task-c"}')  # a sub-agent is not the last
    later = [line(10, "task.ended", task="task-c"), line(11, "task.ended", task="task-a"), '"task.created"\n']
    old = "".join(lines).encode()
    (tmp_path / "log.1.gz" if compressed else tmp_path / "log.1").write_bytes(
        gzip.compress(old) if compressed else old
    )
    (tmp_path / "log").write_text("".join(later))

    assert minutes(tail(tmp_path / "log", "--task", "last")) == [2, 10]
    assert minutes(tail(tmp_path / "log", "--session", "last")) == [1, 2]
    assert minutes(tail(tmp_path / "log", "--session", "last", "--task", "last")) == [2]


def test_that_there_is_no_last_task_is_said(tmp_path: Path, tail: Tail) -> None:
    (tmp_path / "log").write_text(line(0, "server.starting"))

    assert tail.error(tmp_path / "log", "--task", "last") == (
        f"There is no task in {tmp_path}/log yet: none is the last."
    )
    assert "cannot be had of a pipe" in tail.error("-", "--session", "last")
    assert "No such file" in tail.error(tmp_path / "no", "--task", "last", "--follow")


def test_a_log_that_is_not_there_yet_is_waited_for_if_it_is_followed(tmp_path: Path) -> None:
    log, shown, said = tmp_path / "data" / "log", tmp_path / "shown", tmp_path / "said"
    command = [sys.executable, "-c", "from alex_http.command_line import main; main(prog_name='alex')"]
    with shown.open("wb") as output, said.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "tail", "--follow", "--json", str(log)], env=environment({}), stdout=output, stderr=errors
        )
    with ended(process):
        until(lambda: said.stat().st_size, "that it waits")

        log.parent.mkdir()
        log.write_text(LINES[0] + LINES[1])
        until(lambda: shown.read_text() == LINES[0] + LINES[1], "what was logged")
        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=SOON) == 130
    assert said.read_text() == f"alex: There is no log at {log} yet: waiting for it.\n"


def test_json_passes_lines_on_as_they_are(log: Path, tail: Tail) -> None:
    assert tail(log, "--json", "-n", "2") == [LINES[-1].rstrip("\n"), '{"ts":"2026-']
    assert tail(log, "--json", "-n", "1", "--level", "debug") == [LINES[-1].rstrip("\n")]


def test_the_log_of_this_machines_server_is_found(log: Path, tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    by_option = tail("--data-dir", log.parents[1], "-n", "2")
    monkeypatch.setenv("ALEX_STORE__DATA_DIR", str(log.parents[1]))

    assert minutes(by_option) == minutes(tail("-n", "2")) == [59, -1]


def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path: Path, tail: Tail) -> None:
    (tmp_path / "a.jsonl.1.gz").write_bytes(gzip.compress(b"a\n" * 1000)[:-9])

    assert tail.error("--data-dir", tmp_path / "no").startswith(
        f"There is no log at {tmp_path}/no/logs/alex.jsonl: no server has run with this data directory. Start one"
    )
    assert tail.error(tmp_path / "no") == f"{tmp_path}/no cannot be read (No such file or directory)."
    assert tail.error(tmp_path) == f"{tmp_path} cannot be read (Is a directory)."
    assert "a.jsonl cannot be read (Compressed file ended" in tail.error(tmp_path / "a.jsonl", "-n", "1")
    assert "neither a time ago" in tail.error("--since", "yesterday")
    assert "--until" in tail.error("--follow", "--until", "1m", tmp_path)


def test_a_pipe_is_read_as_standard_input_is(tmp_path: Path, tail: Tail) -> None:
    readable, writable = os.pipe()
    os.write(writable, "".join(LINES[:30]).encode())
    os.close(writable)

    assert minutes(tail(f"/dev/fd/{readable}")) == list(range(30))
    os.close(readable)


def test_a_line_of_fifty_megabytes_is_a_line(tmp_path: Path, tail: Tail) -> None:
    (tmp_path / "log").write_bytes(b"x" * 50_000_000 + b"\n" + LINES[0].encode())

    assert minutes(tail(tmp_path / "log", "-n", "1")) == [0]
    assert [len(each) for each in tail(tmp_path / "log", "--json", "-n", "2")] == [50_000_000, len(LINES[0]) - 1]


def test_colours_are_for_terminals_unless_they_are_asked_for(log: Path, tail: Tail) -> None:
    assert "\x1b" not in "".join(tail(log))
    assert "\x1b[32m" in "".join(tail(log, "--color", "always"))
