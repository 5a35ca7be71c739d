"""The outputs of the log: what a person sees, and what happens when nothing can be written."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import pytest

from alex_actors.log_sinks import ConsoleFormat, Entry, LineWriter


class Disk(FileIO):
    """A file on a disk that can be full: ``room`` bytes go in, then none; None is no limit."""

    room: int | None = None

    def write(self, line: bytes) -> int:  # type: ignore[override] # bytes are all that is written
        if self.room is None:
            return super().write(line)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(line[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with Disk(tmp_path / "log", "a") as disk:
        yield disk


def writer_to(file: FileIO) -> LineWriter:
    return LineWriter(file, lost_line=lambda count: b"lost %d\n" % count)


def content(disk: Disk) -> bytes:
    return Path(os.fsdecode(disk.name)).read_bytes()


# Lines that cannot be written.


def test_lines_that_a_full_disk_refuses_are_counted_and_told_once_there_is_room(disk: Disk) -> None:
    writer = writer_to(disk)
    writer.write(b"first\n")

    disk.room = 0
    writer.write(b"second\n")
    writer.write(b"third\n")
    disk.room = None
    writer.write(b"fourth\n")
    writer.write(b"fifth\n")

    assert content(disk) == b"first\nlost 2\nfourth\nfifth\n"
    assert writer.lost == 2


def test_a_line_that_was_written_in_part_is_ended_before_the_next(disk: Disk) -> None:
    writer = writer_to(disk)

    disk.room = 3
    writer.write(b"first\n")
    writer.write(b"second\n")
    disk.room = None
    writer.write(b"third\n")

    assert content(disk) == b"fir\nlost 2\nthird\n"


def test_a_report_of_lost_lines_that_was_written_in_part_is_made_again(disk: Disk) -> None:
    writer = writer_to(disk)

    disk.room = 0
    writer.write(b"first\n")
    disk.room = 3
    writer.write(b"second\n")
    disk.room = None
    writer.write(b"third\n")

    assert content(disk) == b"los\nlost 2\nthird\n"
    assert writer.lost == 2


def test_what_was_lost_last_is_told_at_the_end(disk: Disk) -> None:
    writer = writer_to(disk)

    disk.room = 0
    writer.write(b"first\n")
    disk.room = None
    writer.close()

    assert content(disk) == b"lost 1\n"


def test_a_pipe_that_nobody_reads_any_more_loses_lines_and_harms_nobody() -> None:
    reading, writing = os.pipe()
    writer = writer_to(FileIO(writing, "w"))
    os.close(reading)

    writer.write(b"first\n")
    writer.write(b"second\n")
    writer.close()

    assert writer.lost == 2


def test_a_pipe_that_refuses_to_wait_loses_lines_and_harms_nobody() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    writer = writer_to(FileIO(writing, "w"))

    for _ in range(30):
        writer.write(b"x" * 9_999 + b"\n")
    writer.close()
    os.close(reading)

    assert 0 < writer.lost < 30


def test_long_lines_of_many_threads_do_not_mix_in_a_pipe() -> None:
    reading, writing = os.pipe()
    writer = writer_to(FileIO(writing, "w"))
    threads = [
        threading.Thread(target=writer.write, args=(bytes([65 + number]) * 100_000 + b"\n",))
        for number in range(8)
    ]

    for thread in threads:
        thread.start()
    with os.fdopen(reading, "rb") as pipe:
        lines = [pipe.readline() for _ in threads]
    for thread in threads:
        thread.join()
    writer.close()

    assert sorted(lines) == [bytes([65 + number]) * 100_000 + b"\n" for number in range(8)]


class Interrupted(FileIO):
    """A file that somebody else writes a line to in the middle of a write, as a signal handler can."""

    handler: Callable[[], None] | None = None

    def write(self, line: bytes) -> int:  # type: ignore[override] # bytes are all that is written
        handler, self.handler = self.handler, None
        if handler:
            handler()
        return super().write(line)


def test_a_thread_that_is_interrupted_by_its_own_logging_does_not_wait_for_itself() -> None:
    reading, writing = os.pipe()
    file = Interrupted(writing, "w")
    writer = writer_to(file)
    file.handler = lambda: writer.write(b"within\n")

    writer.write(b"outer\n")
    writer.close()

    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"within\nouter\n"


# What a person sees.


def entry(**fields: object) -> Entry:
    return {"ts": "2026-01-02T03:04:05.678901Z", "level": "info", "event": "x", **fields}


def shown(**fields: object) -> str:
    return ConsoleFormat(color=False)(entry(**fields)).decode()


def test_a_readable_line_has_time_level_event_and_fields() -> None:
    line = shown(event="task.created", task_id="task-1", count=2, none=None, some=["a b"])

    assert line == ('03:04:05.678 info     task.created         task_id=task-1 count=2 none=null some=["a b"]\n')


def test_texts_that_could_be_misread_are_quoted() -> None:
    line = shown(empty="", space="a b", equals="a=b", quote="a'b")

    assert line.endswith(" empty='' space='a b' equals='a=b' quote=\"a'b\"\n")


@pytest.mark.parametrize(
    "nasty", ["\n", "\r", "\x1b[2J", "\x00", "\x7f", "\x9b2J", "\u202e", "\u2028", "\ud800", "\ufeff"]
)
def test_nothing_in_an_entry_can_fake_a_line_or_steer_the_terminal(nasty: str) -> None:
    text = f"a{nasty}b"

    line = shown(event=text, value=text, nested={text: [text]}, **{text: 1})

    assert line[:-1].isprintable()
    assert line.endswith("\n")


def test_the_lines_of_an_exception_stand_below_behind_a_bar() -> None:
    line = shown(exception="Traceback:\n  x\nValueError: a\x1b[2J\n03:04:05.678 info faked")

    assert line.splitlines()[1:] == [
        "  | Traceback:",
        "  |   x",
        "  | 'ValueError: a\\x1b[2J'",
        "  | 03:04:05.678 info faked",
    ]


def test_colours_change_nothing_but_the_colour() -> None:
    plain = shown(value="x")

    colored = ConsoleFormat(color=True)(entry(value="x")).decode()

    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m"):
        assert code in colored
        colored = colored.replace(code, "")
    assert colored == plain
