"""Standard output of the log: written by a thread of its own, so that one that is stuck holds up nobody."""

from __future__ import annotations

import fcntl
import os
import threading
from collections import Counter
from io import FileIO
from pathlib import Path

import pytest

from alex_actors.log_sinks import BATCH, QueuedWriter
from tests.unit.log_fakes import LONG, Disk, Terminal, content, lost_line


def stuck(*, most_waiting: int = 10_000) -> tuple[Terminal, QueuedWriter]:
    """Return a stopped terminal and its writer, which is within the write of a first line."""
    terminal = Terminal()
    writer = QueuedWriter(terminal, lost_line=lost_line, most_waiting=most_waiting)
    writer.write(b"first\n")
    terminal.wait_until_written_to()
    return terminal, writer


def test_what_waits_is_joined_into_one_write() -> None:
    terminal, writer = stuck()
    for line in (b"second\n", b"third\n", b"fourth\n"):
        writer.write(line)

    terminal.go_on()
    writer.close(timeout=LONG)

    assert terminal.writes == [b"first\n", b"second\nthird\nfourth\n"]


def test_a_write_is_not_joined_without_end() -> None:
    terminal, writer = stuck()
    line = b"x" * (BATCH // 2) + b"\n"
    for _ in range(5):
        writer.write(line)

    terminal.go_on()
    writer.close(timeout=LONG)

    assert terminal.writes == [b"first\n", line * 2, line * 2, line]


def test_a_terminal_that_is_stuck_loses_lines_above_the_bound_and_tells_when_it_goes_on() -> None:
    terminal, writer = stuck(most_waiting=2)
    for line in (b"second\n", b"third\n", b"fourth\n", b"fifth\n"):
        writer.write(line)

    lost = writer.lost
    terminal.go_on()
    flushed = writer.flush(timeout=LONG)
    writer.write(b"sixth\n")
    writer.close(timeout=LONG)

    assert b"".join(terminal.writes) == b"first\nlost 2\nsecond\nthird\nsixth\n"
    assert flushed
    assert writer.lost == lost == 2


def test_a_flush_waits_for_what_was_logged_before_it() -> None:
    terminal, writer = stuck()
    writer.write(b"second\n")
    terminal.go_on()

    flushed = writer.flush(timeout=LONG)

    assert flushed
    assert b"".join(terminal.writes) == b"first\nsecond\n"
    writer.close(timeout=LONG)


def test_a_terminal_that_is_stuck_holds_up_neither_flush_nor_close() -> None:
    terminal, writer = stuck()
    writer.write(b"second\n")

    flushed = writer.flush(timeout=0.001)
    writer.close(timeout=0.001)
    writer.write(b"too late\n")
    still_flushed = writer.flush(timeout=0.001)

    assert (flushed, still_flushed) == (False, False)
    assert writer.lost == 1
    terminal.go_on()
    writer.close(timeout=LONG)
    assert b"".join(terminal.writes) == b"first\nlost 1\nsecond\n"
    assert writer.flush(timeout=LONG)


def test_nothing_is_left_after_close() -> None:
    before = Counter(thread.name for thread in threading.enumerate())
    terminal, writer = stuck()

    terminal.go_on()
    writer.close(timeout=LONG)

    assert terminal.closed
    assert Counter(thread.name for thread in threading.enumerate()) == before


def test_a_pipe_that_nobody_reads_any_more_loses_lines_and_harms_nobody() -> None:
    reading, writing = os.pipe()
    writer = QueuedWriter(FileIO(writing, "w"), lost_line=lost_line)
    os.close(reading)

    writer.write(b"first\n")
    writer.write(b"second\n")
    writer.close(timeout=LONG)

    assert writer.lost == 2


@pytest.mark.parametrize(
    ("room", "written", "lost"),
    [
        (8, b"one\ntwo\nlost 2\n", 2),
        (9, b"one\ntwo\nt\nlost 2\n", 2),
        (13, b"one\ntwo\nthree\nlost 1\n", 1),
    ],
)
def test_lines_of_one_write_that_were_written_are_not_lost(
    tmp_path: Path, room: int, written: bytes, lost: int
) -> None:
    disk = Disk(tmp_path / "log", "a")
    writer = QueuedWriter(disk, lost_line=lost_line)
    disk.room = room
    for line in (b"one\n", b"two\n", b"three\n", b"four\n"):
        writer.write(line)
    writer.flush(timeout=LONG)

    disk.room = None
    writer.close(timeout=LONG)

    assert content(disk) == written
    assert writer.lost == lost


def test_a_pipe_that_does_not_wait_is_waited_for() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    writer = QueuedWriter(FileIO(writing, "w"), lost_line=lost_line)
    lines = [bytes([65 + number]) * 100_000 + b"\n" for number in range(8)]

    for line in lines:
        writer.write(line)
    with os.fdopen(reading, "rb") as pipe:
        read = [pipe.readline() for _ in lines]
        writer.close(timeout=LONG)

    assert read == lines
    assert writer.lost == 0
