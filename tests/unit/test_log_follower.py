"""A log that is followed: each line once, whatever becomes of its file meanwhile."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alex_actors.logs.file_writer import FileWriter
from alex_actors.logs.follower import Follower
from alex_actors.logs.rotation import LogFile, Rotation
from tests.properties.effort import effort
from tests.unit.log_fakes import LONG, lost_line


class Followed:
    """A log, and a follower that has read what is there."""

    def __init__(self, directory: Path, *, before: bytes = b"") -> None:
        self.path = directory / "alex.jsonl"
        self.path.write_bytes(before)
        self.follower = Follower(self.path, [(self.path.open("rb"), len(before))])

    def append(self, data: bytes, *, to: Path | None = None) -> None:
        with (to or self.path).open("ab") as file:
            file.write(data)

    def new(self) -> list[bytes]:
        return list(self.follower.new_lines())

    def numbered(self, number: int) -> Path:
        return self.path.with_name(f"alex.jsonl.{number}")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Followed]:
    log = Followed(tmp_path, before=b"before\n")
    yield log
    log.follower.close()


def test_what_is_appended_is_told_once(log: Followed) -> None:
    log.append(b"one\ntwo\n")

    assert log.new() == [b"one", b"two"]
    assert log.new() == []


def test_half_a_line_is_told_when_it_is_whole(log: Followed) -> None:
    log.append(b"one\nha")
    first = log.new()
    log.append(b"l")
    second = log.new()
    log.append(b"f\r\n\nthree\n")

    assert (first, second, log.new()) == ([b"one"], [], [b"half\r", b"", b"three"])


def test_a_rotation_is_followed_and_who_still_writes_to_the_old_file_is_heard(log: Followed) -> None:
    log.append(b"one\n")
    log.path.rename(log.numbered(1))
    between = log.new()
    log.path.write_bytes(b"three\n")
    log.append(b"two\n", to=log.numbered(1))
    after = log.new()
    log.append(b"four\n", to=log.numbered(1))
    log.append(b"five\n")

    assert (between, after, log.new()) == ([b"one"], [b"two", b"three"], [b"four", b"five"])


def test_files_that_came_and_were_numbered_between_two_looks_are_read(log: Followed) -> None:
    log.append(b"one\n")
    log.path.rename(log.numbered(3))
    log.numbered(2).write_bytes(b"two\n")
    log.numbered(1).write_bytes(b"three\n")
    log.path.write_bytes(b"four\n")

    assert log.new() == [b"one", b"two", b"three", b"four"]


def test_a_log_that_was_copied_and_truncated_is_followed(log: Followed) -> None:
    log.append(b"one\nhalf")
    first = log.new()
    shutil.copy(log.path, log.numbered(1))
    os.truncate(log.path, 0)
    log.append(b"two\n")

    assert (first, log.new()) == ([b"one"], [b"half", b"two"])


def test_a_log_that_is_removed_and_made_again_is_followed(log: Followed) -> None:
    log.path.unlink()
    without = log.new()
    log.path.write_bytes(b"one\n")
    again = log.new()
    log.path.unlink()
    log.path.write_bytes(b"two\n")

    assert (without, again, log.new()) == ([], [b"one"], [b"two"])


def test_a_log_that_another_program_renamed_as_it_likes_is_followed(log: Followed) -> None:
    log.append(b"one\n")
    log.path.rename(log.path.with_name("alex.jsonl-20261122"))
    log.path.write_bytes(b"two\n")

    assert log.new() == [b"one", b"two"]


def test_a_file_that_was_compressed_is_not_told_again(log: Followed) -> None:
    log.path.rename(log.numbered(1))
    log.path.write_bytes(b"one\n")
    first = log.new()
    log.numbered(1).rename(log.path.with_name("alex.jsonl.1.gz"))

    assert (first, log.new()) == ([b"one"], [])


def test_a_line_that_was_torn_at_the_end_of_an_old_file_is_told(log: Followed) -> None:
    log.append(b"torn")
    log.new()
    log.path.rename(log.numbered(1))
    log.path.write_bytes(b"one\n")

    assert log.new() == [b"torn", b"one"]


def test_a_file_that_has_two_names_for_a_moment_is_told_once(log: Followed) -> None:
    log.path.unlink()
    log.path.write_bytes(b"one\n")
    log.numbered(1).hardlink_to(log.path)

    assert log.new() == [b"one"]
    assert log.new() == []


class Watched(FileIO):
    """A file at each look at which something happens."""

    def __init__(self, path: Path, looked_at: Callable[[], None]) -> None:
        super().__init__(path, "r")
        self._looked_at = looked_at

    def fileno(self) -> int:
        self._looked_at()
        return super().fileno()


@pytest.mark.parametrize("moment", range(8))
def test_a_thread_that_goes_on_in_the_new_file_is_told_in_order_whenever_that_happens(
    tmp_path: Path, moment: int
) -> None:
    path, old = tmp_path / "alex.jsonl", tmp_path / "alex.jsonl.1"
    looks = itertools.count()

    def write() -> None:
        if next(looks) == moment:
            old.write_bytes(b"one\n")
            path.write_bytes(b"two\n")

    for file in (path, old):
        file.touch()
    follower = Follower(path, [(Watched(old, write), 0), (Watched(path, write), 0)])

    told = [line for _ in range(4) for line in follower.new_lines()]
    follower.close()

    assert told == [b"one", b"two"]


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
def test_files_that_are_gone_are_let_go(log: Followed) -> None:
    for number in range(50):
        log.path.unlink()
        log.path.write_bytes(b"%d\n" % number)
        assert log.new() == [b"%d" % number]

    assert len([name for name in _open_files() if name.startswith(str(log.path))]) <= 2


def _open_files() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that iterdir had
            yield str(descriptor.readlink())


@effort(150)
@given(
    steps=st.lists(st.sampled_from(["write", "write", "look", "late"]), max_size=60), max_bytes=st.integers(4, 60)
)
def test_every_line_is_told_once_and_in_order_however_looks_and_rotations_mix(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], max_bytes: int
) -> None:
    directory = tmp_path_factory.mktemp("log")
    path = directory / "alex.jsonl"
    told: list[bytes] = []
    written: list[bytes] = []
    looks: list[Callable[[], None]] = []

    def rename(old: Path, new: Path) -> None:
        for look in looks:  # between any two steps of a rotation
            look()
        os.replace(old, new)  # noqa: PTH105 - as the server does

    rotation = Rotation(path, max_bytes=max_bytes, keep_files=1000, rename=rename)
    writer = FileWriter(LogFile(path), lost_line=lost_line, successor=rotation, now=lambda: 0.0)
    follower = Follower(path, [(path.open("rb"), 0)])

    def look() -> None:
        told.extend(follower.new_lines())

    for step in steps:
        if step == "write":
            written.append(b"%d" % len(written))
            writer.write(written[-1] + b"\n")
        elif step == "late":
            looks[:] = [] if looks else [look]
        else:
            look()
    writer.close(timeout=LONG)
    look()
    follower.close()

    assert told == written
