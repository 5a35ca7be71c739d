"""What the log takes in: the logging of libraries, warnings, exceptions that nobody caught."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alex_actors.log import Level, Log


class Capture:
    """A log that takes in what is not logged through it, and writes to a file, which is read back."""

    def __init__(self, path: Path, level: Level = "info") -> None:
        self.path = path
        self.log = Log.open(
            level=level, log_file=path, stdout=None, environ={}, now=lambda: datetime(2026, 1, 2, tzinfo=UTC)
        )

    def lines(self) -> list[dict[str, Any]]:  # Any: JSON
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]

    def line(self) -> dict[str, Any]:  # Any: JSON
        (line,) = self.lines()
        return line


@pytest.fixture
def captured(tmp_path: Path) -> Iterator[Capture]:
    captured = Capture(tmp_path / "alex.jsonl")
    captured.log.capture()
    yield captured
    captured.log.close()


def test_the_logging_of_libraries_is_taken_in_from_warning_on(captured: Capture) -> None:
    logging.getLogger("waitress").info("quiet")
    logging.getLogger("waitress").warning("%d sockets", 3)

    line = captured.line()

    assert (line["level"], line["event"], line["logger"], line["message"]) == (
        "warning",
        "log",
        "waitress",
        "3 sockets",
    )


def test_at_level_debug_libraries_are_heard_from_info_on(tmp_path: Path) -> None:
    debugged = Capture(tmp_path / "alex.jsonl", level="debug")
    debugged.log.capture()

    logging.getLogger("pykka").info("hello")
    logging.getLogger("pykka").debug("quiet")
    debugged.log.close()

    assert debugged.line()["message"] == "hello"


def test_a_librarys_exception_is_one_field(captured: Capture) -> None:
    try:
        int("no")
    except ValueError:
        logging.getLogger("asyncio").exception("it failed")

    line = captured.line()

    assert (line["level"], line["message"]) == ("error", "it failed")
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'no'")


def test_a_library_that_logs_wrongly_is_still_heard(tmp_path: Path) -> None:
    captured = Capture(tmp_path / "alex.jsonl")
    captured.log.capture()
    handler = logging.getLogger().handlers[-1]  # ours alone: that of pytest raises

    handler.handle(logging.LogRecord("odd", logging.WARNING, "a.py", 1, "%d sockets", ("no number",), None))
    handler.handle(logging.LogRecord("odd", 35, "a.py", 1, "odd level", None, None))
    captured.log.close()

    first, second = captured.lines()

    assert first["message"] == "%d sockets ('no number',)"
    assert (second["level"], second["message"]) == ("warning", "odd level")


def test_the_servers_warnings_of_a_full_queue_are_left_out(captured: Capture) -> None:
    logging.getLogger("waitress.queue").warning("Task queue depth is %d", 5)

    assert captured.lines() == []


def test_warnings_are_taken_in(captured: Capture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn_explicit("old", DeprecationWarning, "a.py", 5)

    line = captured.line()

    assert (line["logger"], line["message"], line["file"], line["line"]) == (
        "py.warnings",
        "DeprecationWarning: old",
        "a.py",
        5,
    )


def test_an_exception_that_ends_a_thread_is_taken_in(captured: Capture) -> None:
    thread = threading.Thread(target=lambda: [][0], name="worker")

    thread.start()
    thread.join()

    line = captured.line()
    assert (line["level"], line["event"], line["thread"]) == ("critical", "thread.crashed", "worker")
    assert line["exception"].endswith("IndexError: list index out of range")


def test_a_thread_that_exits_has_not_crashed(captured: Capture) -> None:
    thread = threading.Thread(target=sys.exit)

    thread.start()
    thread.join()

    assert captured.lines() == []


def test_an_exception_that_ends_the_process_is_taken_in_and_printed(
    captured: Capture, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ValueError("no")

    sys.excepthook(ValueError, error, None)

    assert (captured.line()["event"], captured.line()["exception"]) == ("process.crashed", "ValueError: no")
    assert capsys.readouterr().err == "ValueError: no\n"


def test_an_interrupt_by_the_keyboard_is_no_crash(captured: Capture) -> None:
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)

    assert captured.lines() == []


def test_close_gives_back_everything_that_capture_took(tmp_path: Path) -> None:
    root = logging.getLogger()

    def state() -> tuple[object, ...]:
        queue = logging.getLogger("waitress.queue").level
        hooks = (sys.excepthook, threading.excepthook, warnings.showwarning)
        return (*hooks, root.level, list(root.handlers), queue)

    before = state()
    log = Capture(tmp_path / "alex.jsonl").log

    log.capture()
    during = state()
    log.close()

    assert state() == before
    assert all(now != then for now, then in zip(during, before, strict=True) if now is not root.level)
