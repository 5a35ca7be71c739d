"""The file of the log: what happens when its disk is full, and that no thread waits for another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from alex_actors.logs.file_writer import FileWriter
from tests.unit.log_fakes import LONG, Disk, Flaky, Interrupted, content, lost_line


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with Disk(tmp_path / "log", "a") as disk:
        yield disk


def writer_to(file: FileIO) -> FileWriter:
    return FileWriter(file, lost_line=lost_line)


# The file, when its disk is full.


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
    assert writer.lost == 2


def test_a_line_of_which_only_the_end_was_not_written_is_not_lost(disk: Disk) -> None:
    writer = writer_to(disk)

    disk.room = len(b"first")
    writer.write(b"first\n")
    disk.room = None
    writer.write(b"second\n")

    assert content(disk) == b"first\nsecond\n"
    assert writer.lost == 0


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


def test_the_end_of_a_torn_line_is_written_once(disk: Disk) -> None:
    writer = writer_to(disk)

    disk.room = 3
    writer.write(b"first\n")
    disk.room = 1
    writer.write(b"second\n")
    disk.room = None
    writer.write(b"third\n")

    assert content(disk) == b"fir\nlost 2\nthird\n"


def test_what_was_lost_last_is_told_at_the_end(disk: Disk) -> None:
    writer = writer_to(disk)

    disk.room = 0
    writer.write(b"first\n")
    disk.room = None
    writer.close(timeout=LONG)

    assert content(disk) == b"lost 1\n"


def test_a_closed_file_counts_what_comes_too_late(disk: Disk) -> None:
    writer = writer_to(disk)
    writer.close(timeout=LONG)

    writer.write(b"first\n")
    writer.write(b"second\n")

    assert writer.lost == 2
    assert writer.flush(timeout=LONG)


# The file, when several threads meet a full disk. What another thread does within a write is done here in a
# call from within it: nothing in a writer knows which thread it is on.


@pytest.fixture
def interrupted(tmp_path: Path) -> Iterator[Interrupted]:
    with Interrupted(tmp_path / "log", "a") as disk:
        yield disk


def test_a_line_that_comes_while_another_is_written_does_not_wait_for_it(interrupted: Interrupted) -> None:
    writer = writer_to(interrupted)
    interrupted.meanwhile = lambda: writer.write(b"within\n")

    writer.write(b"outer\n")

    assert content(interrupted) == b"within\nouter\n"


def test_lines_that_come_while_another_thread_mends_are_written_by_that_one_in_their_order(
    interrupted: Interrupted,
) -> None:
    writer = writer_to(interrupted)
    interrupted.room = 3
    writer.write(b"first\n")
    interrupted.room = None

    def meanwhile() -> None:
        writer.write(b"third\n")
        writer.write(b"fourth\n")

    interrupted.meanwhile = meanwhile
    writer.write(b"second\n")
    writer.write(b"fifth\n")

    assert content(interrupted) == b"fir\nlost 1\nsecond\nthird\nfourth\nfifth\n"


def test_a_write_that_fails_while_others_fail_is_counted_too(interrupted: Interrupted) -> None:
    writer = writer_to(interrupted)
    interrupted.room = 0
    interrupted.meanwhile = lambda: writer.write(b"second\n")

    writer.write(b"first\n")
    interrupted.room = None
    writer.write(b"third\n")

    assert content(interrupted) == b"lost 2\nthird\n"


def test_lines_wait_in_bounds_for_a_thread_that_is_stuck_in_a_write(interrupted: Interrupted) -> None:
    writer = FileWriter(interrupted, lost_line=lost_line, torn=True, most_waiting=2)

    def while_stuck() -> None:
        for number in range(5):
            writer.write(b"%d\n" % number)

    interrupted.meanwhile = while_stuck
    writer.write(b"first\n")

    assert content(interrupted) == b"\nfirst\nlost 3\n0\n1\n"
    assert writer.lost == 3


@pytest.mark.usefixtures("hasty_threads")
def test_many_threads_lose_no_line_uncounted_and_none_overtakes_itself(tmp_path: Path) -> None:
    disk = Flaky(tmp_path / "log")
    writer = writer_to(disk)

    def work(name: int) -> None:
        for number in range(500):
            writer.write(b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    disk.repaired = True
    writer.close(timeout=LONG)

    numbers: dict[str, list[int]] = {}
    for line in content(disk).decode().splitlines():
        name, number = line.split(" ")
        numbers.setdefault(name, []).append(int(number))
    told = sum(numbers.pop("lost"))
    assert told == writer.lost == 8 * 500 - sum(map(len, numbers.values()))
    assert all(written == sorted(written) for written in numbers.values())
