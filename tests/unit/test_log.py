"""The log: what a line looks like, what it takes in, and that it never harms the one who logs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import msgspec
import pytest

from alex_actors.log import Level, Log

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Opened:
    """A log that writes to a file, which is read back."""

    def __init__(self, path: Path, level: Level = "info") -> None:
        self.path = path
        self.log = open_log(path, level=level)
        self.logger = self.log.logger

    def lines(self) -> list[dict[str, Any]]:  # Any: JSON
        text = self.path.read_text("utf-8")
        assert text == "" or text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def line(self) -> dict[str, Any]:  # Any: JSON
        (line,) = self.lines()
        return line


def open_log(
    path: Path | None,
    *,
    level: Level = "info",
    stdout: IO[str] | IO[bytes] | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Log:
    return Log.open(level=level, log_file=path, stdout=stdout, environ=environ, now=lambda: NOW)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path / "logs" / "alex.jsonl")
    yield opened
    opened.log.close()


# What a line looks like.


def test_a_line_has_time_level_and_event_first_then_the_fields_in_their_order(opened: Opened) -> None:
    opened.logger.bind(task_id="task-1").info("task.created", session_id="s", count=2, none=None, ok=True)

    assert opened.path.read_text() == (
        '{"ts":"2026-01-02T03:04:05.678901Z","level":"info","event":"task.created",'
        '"task_id":"task-1","session_id":"s","count":2,"none":null,"ok":true}\n'
    )


def test_a_field_cannot_replace_the_head_of_a_line(opened: Opened) -> None:
    opened.logger.info("task.created", ts="never", level="none")

    assert opened.line() == {"ts": "2026-01-02T03:04:05.678901Z", "level": "info", "event": "task.created"}


def test_levels_below_the_configured_one_are_not_logged(opened: Opened) -> None:
    opened.logger.debug("message")
    opened.logger.info("task.created")
    opened.logger.warning("task.late")
    opened.logger.error("task.lost")
    opened.logger.critical("store.lost")

    assert [line["level"] for line in opened.lines()] == ["info", "warning", "error", "critical"]


def test_newlines_in_values_and_names_do_not_break_a_line(opened: Opened) -> None:
    opened.logger.info("a\nb", text="c\nd\u2028e", **{"f\ng": 1})

    line = opened.line()

    assert (line["event"], line["text"], line["f\ng"]) == ("a\nb", "c\nd\u2028e", 1)


def test_an_exception_is_one_field(opened: Opened) -> None:
    try:
        int("no\nway")
    except ValueError:
        opened.logger.exception("task.failed")

    line = opened.line()

    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'no\\nway'")
    assert "exc_info" not in line


def test_an_exception_that_nobody_raised_can_be_given(opened: Opened) -> None:
    opened.logger.warning("task.failed", exc_info=ValueError("no"))

    assert opened.line()["exception"] == "ValueError: no"


def test_asking_for_an_exception_where_there_is_none_adds_nothing(opened: Opened) -> None:
    opened.logger.info("task.failed", exc_info=True)

    assert "exception" not in opened.line()


def test_secrets_are_redacted_in_fields_structures_and_tracebacks(opened: Opened) -> None:
    class Key(msgspec.Struct):
        api_key: str

    secret = "sk-" + "a1B2" * 8

    opened.logger.info("x", password=secret, text=f"it is {secret}", nested={"deep": [Key(secret)]})
    opened.logger.info("x", exc_info=ValueError(secret))

    assert secret not in opened.path.read_text()
    assert len(opened.lines()) == 2


def test_an_id_is_the_same_in_every_line_whatever_it_looks_like(opened: Opened) -> None:
    looks_secret = "sk-" + "a1B2" * 8

    opened.logger.info("x", session_id=looks_secret)
    opened.logger.info("x", session_id=looks_secret, password="hunter2", more=[1])
    opened.logger.info("x", session_id={"api_key": looks_secret})

    assert [line["session_id"] for line in opened.lines()] == [
        looks_secret,
        looks_secret,
        {"api_key": "[redacted]"},
    ]
    assert opened.lines()[1]["password"] == "[redacted]"


def test_the_secrets_of_the_environment_are_redacted_wherever_they_are_in_a_line(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", environ={"VENDOR_API_KEY": "correct horse"})

    log.logger.info("x", text="it is correct horse!", nested=["correct horse"], session_id="correct horse")
    log.logger.info("x", exc_info=ValueError("correct horse"))
    log.close()

    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [lines[0]["text"], lines[0]["nested"]] == ["it is [redacted]!", ["[redacted]"]]
    assert lines[1]["exception"] == "ValueError: [redacted]"


# Values that JSON does not know.


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Plain:
    def __repr__(self) -> str:
        return "<plain \ud800>"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


def cycle() -> list[object]:
    items: list[object] = [1]
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Broken(), "<Broken whose repr fails>"),
        (Plain(), "<plain \\ud800>"),
        (Path("/a"), repr(Path("/a"))),
        ({1, 2}, [1, 2]),
        ((1, "a"), [1, "a"]),
        (float("nan"), None),
        ("\ud800", "\\ud800"),
        (["\ud800", Plain()], ["\\ud800", "<plain \\ud800>"]),
        ({(1, 2): {"\ud800": Broken()}}, {"(1, 2)": {"\\ud800": "<Broken whose repr fails>"}}),
        (2**80, 2**80),
        (NOW, "2026-01-02T03:04:05.678901Z"),
    ],
)
def test_a_value_that_json_does_not_know_is_shown_as_well_as_it_can_be(
    opened: Opened, value: object, shown: object
) -> None:
    opened.logger.info("x", value=value)

    assert opened.line()["value"] == shown


@pytest.mark.parametrize(
    "value",
    [cycle(), 10**5000, {Broken(): 1}, Unspeakable()],
    ids=["a cycle", "a huge number", "an odd key", "an odd exception"],
)
def test_no_value_makes_logging_raise(opened: Opened, value: object) -> None:
    opened.logger.info("x", value=value, other=1)
    opened.logger.info("x", exc_info=value)

    assert [line["event"] for line in opened.lines()] == ["x", "x"]
    assert opened.lines()[0]["other"] == 1


# Where lines go.


def test_the_file_is_made_for_its_owner_only_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "alex.jsonl"

    for _ in range(2):
        log = open_log(path)
        log.logger.info("server.started")
        log.close()

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 2


def test_a_line_that_a_crash_tore_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "alex.jsonl"
    path.write_text('{"half": ')

    log = open_log(path)
    log.logger.info("server.started")
    log.close()

    torn, line = path.read_text().splitlines()
    assert torn == '{"half": '
    assert json.loads(line)["event"] == "server.started"


def test_standard_output_that_is_no_terminal_gets_the_same_json_lines_as_the_file(tmp_path: Path) -> None:
    with (tmp_path / "stdout").open("w") as stdout:
        log = open_log(tmp_path / "alex.jsonl", stdout=stdout)
        log.logger.info("server.started", port=1)
        log.close()

    assert (tmp_path / "stdout").read_bytes() == (tmp_path / "alex.jsonl").read_bytes() != b""


@pytest.mark.parametrize(
    ("environ", "colored"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_readable_lines_in_colour_unless_it_must_not(
    environ: dict[str, str], colored: bool
) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen, os.fdopen(theirs, "w") as terminal:
        log = open_log(None, stdout=terminal, environ=environ)
        log.logger.info("server.started", port=1)
        log.close()
        text = screen.read(1000).decode()

    assert ("\x1b[" in text) is colored
    assert "server.started" in text
    assert not text.startswith("{")


def test_a_terminal_that_is_stopped_holds_up_neither_those_who_log_nor_the_end() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        log = open_log(None, stdout=terminal)
        (writing,) = (thread for thread in threading.enumerate() if thread.name == "log-writer")

        for number in range(20_000):  # 1 MB: more than a terminal that nobody reads takes
            log.logger.info("x", number=number)
        flushed = log.flush(timeout=0.001)
        log.close(timeout=0.001)

        assert not flushed
        os.close(ours)  # the window is closed: the write fails
    writing.join(10)
    assert not writing.is_alive()


def test_what_is_flushed_has_been_written(tmp_path: Path) -> None:
    with (tmp_path / "stdout").open("w") as stdout:
        log = open_log(None, stdout=stdout)
        log.logger.info("server.aborted")

        flushed = log.flush(timeout=10)

        assert flushed
        assert "server.aborted" in (tmp_path / "stdout").read_text()
        log.close()


def test_a_log_without_any_output_takes_lines_and_loses_none() -> None:
    log = open_log(None)

    log.logger.info("server.started")
    log.close()

    assert log.lost == 0


def test_a_closed_log_counts_what_comes_too_late(opened: Opened) -> None:
    opened.log.close()

    opened.logger.info("too.late")

    assert opened.lines() == []
    assert opened.log.lost == 1


def test_the_lines_of_many_threads_do_not_mix(opened: Opened) -> None:
    def work(number: int) -> None:
        for count in range(200):
            opened.logger.info("x", number=number, count=count, fill="y" * 20_000 * (count % 50 == 0))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted((line["number"], line["count"]) for line in opened.lines()) == [
        (number, count) for number in range(8) for count in range(200)
    ]
