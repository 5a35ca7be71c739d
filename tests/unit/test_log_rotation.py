"""The file of the log is rotated: whoever writes meanwhile, and whatever fails, each line is there once."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alex_actors.logs.file_writer import FileWriter
from alex_actors.logs.reading import log_files, read_lines
from alex_actors.logs.rotation import LogFile, Rotation
from tests.properties.effort import effort
from tests.unit.log_fakes import LONG, lost_line


class Seconds:
    """A clock that stands still until somebody sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Rotated:
    """A log that is full after ``max_bytes``. ``meanwhile`` is called before each renaming, as another thread."""

    def __init__(self, directory: Path, *, max_bytes: int = 20, keep_files: int = 50) -> None:
        self.path = directory / "alex.jsonl"
        self.seconds = Seconds()
        self.meanwhile: Callable[[], None] = lambda: None
        self.failure: OSError | None = None
        self.writer = FileWriter(
            LogFile(self.path),
            lost_line=lost_line,
            successor=Rotation(self.path, max_bytes=max_bytes, keep_files=keep_files, rename=self._rename),
            not_rotated=lambda error: f"not rotated: {error.strerror}\n".encode(),
            now=self.seconds,
        )

    def _rename(self, old: Path, new: Path) -> None:
        if old.exists():
            self.meanwhile()
        if self.failure and old.exists():
            raise self.failure
        os.replace(old, new)  # noqa: PTH105 - with the very function that the server uses

    def write(self, *lines: str) -> None:
        for line in lines:
            self.writer.write(f"{line}\n".encode())

    def lines(self) -> list[str]:
        return [line.decode() for line in read_lines(self.path)]

    def files(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in log_files(self.path)}

    def close(self) -> None:
        self.writer.close(timeout=LONG)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Rotated]:
    log = Rotated(tmp_path)
    yield log
    log.close()


def test_a_file_that_is_full_gets_a_number_and_those_before_it_the_next(log: Rotated) -> None:
    log.write("a" * 19, "b" * 10, "b" * 10, "c")

    assert log.files() == {
        "alex.jsonl.2": f"{'a' * 19}\n",
        "alex.jsonl.1": f"{'b' * 10}\n{'b' * 10}\n",
        "alex.jsonl": "c\n",
    }


def test_the_oldest_files_are_removed_once_there_are_too_many(tmp_path: Path) -> None:
    log = Rotated(tmp_path, keep_files=2)

    log.write(*(f"{number:019}" for number in range(5)), "last")
    log.close()

    assert log.lines() == [f"{3:019}", f"{4:019}", "last"]


def test_without_files_to_keep_a_full_one_is_thrown_away(tmp_path: Path) -> None:
    log = Rotated(tmp_path, keep_files=0)

    log.write("a" * 19, "b")
    log.close()

    assert log.files() == {"alex.jsonl": "b\n"}


def test_files_that_were_kept_under_another_setting_are_removed_with_the_next_rotation(tmp_path: Path) -> None:
    for number in range(1, 5):
        (tmp_path / f"alex.jsonl.{number}").write_text(f"{number}\n")
    log = Rotated(tmp_path, keep_files=2)

    log.write("a" * 19, "b")
    log.close()

    assert log.lines() == ["1", "a" * 19, "b"]


def test_a_number_that_is_free_is_taken_before_anything_is_thrown_away(tmp_path: Path) -> None:
    for number in (1, 3):
        (tmp_path / f"alex.jsonl.{number}").write_text(f"{number}\n")
    log = Rotated(tmp_path, keep_files=3)

    log.write("a" * 19, "b")
    log.close()

    assert log.lines() == ["3", "1", "a" * 19, "b"]


def test_compressed_files_move_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "alex.jsonl.2.gz").write_bytes(gzip.compress(b"oldest\n"))
    (tmp_path / "alex.jsonl.1.gz").write_bytes(gzip.compress(b"older\n"))
    log = Rotated(tmp_path, keep_files=2)

    log.write("a" * 19, "b")
    log.close()

    assert log.lines() == ["older", "a" * 19, "b"]
    assert [file.name for file in log_files(log.path)] == ["alex.jsonl.2.gz", "alex.jsonl.1", "alex.jsonl"]


def test_every_file_is_for_its_owner_alone(log: Rotated) -> None:
    log.write("a" * 19, "b")

    assert [stat.S_IMODE(file.stat().st_mode) for file in log_files(log.path)] == [0o600, 0o600]


def test_a_file_that_is_full_already_at_the_start_is_rotated_with_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "alex.jsonl").write_text("a" * 99 + "\n")
    log = Rotated(tmp_path)

    log.write("b", "c")
    log.close()

    assert log.files() == {"alex.jsonl.1": f"{'a' * 99}\nb\n", "alex.jsonl": "c\n"}


def test_without_a_size_nothing_is_rotated(tmp_path: Path) -> None:
    log = Rotated(tmp_path, max_bytes=0)

    log.write("a" * 10_000, "b")
    log.close()

    assert [file.name for file in log_files(log.path)] == ["alex.jsonl"]


# What fails.


def test_a_log_that_cannot_be_rotated_goes_on_in_the_same_file_and_says_so_once(log: Rotated) -> None:
    log.failure = OSError(errno.EACCES, "Permission denied")

    for second in range(5):
        log.seconds.now = second
        log.write("a" * 19)

    assert log.files() == {"alex.jsonl": f"{'a' * 19}\nnot rotated: Permission denied\n" + f"{'a' * 19}\n" * 4}
    assert log.writer.lost == 0


def test_a_rotation_that_fails_is_tried_again_each_second_and_not_with_each_line(log: Rotated) -> None:
    attempts: list[None] = []
    log.meanwhile = lambda: attempts.append(None)
    log.failure = OSError(errno.EACCES, "Permission denied")

    for second in (0.0, 0.5, 1.0, 1.9, 2.0):
        log.seconds.now = second
        log.write(*["a" * 19] * 10)

    assert len(attempts) == 3


def test_a_log_that_could_not_be_rotated_is_as_soon_as_it_can(log: Rotated) -> None:
    log.failure = OSError(errno.EACCES, "Permission denied")
    log.write("a" * 19)

    log.failure = None
    log.seconds.now = 1.0
    log.write("b", "c")
    log.failure = OSError(errno.EROFS, "Read-only file system")
    log.write("d" * 19)

    assert log.lines() == ["a" * 19, "not rotated: Permission denied", "b", "c", "d" * 19, (
        "not rotated: Read-only file system"
    )]  # fmt: skip
    assert len(log.files()) == 2


def test_a_rotation_that_stopped_half_way_is_ended_by_the_next(log: Rotated) -> None:
    log.write("a" * 19)

    def fail() -> None:
        log.meanwhile = lambda: None
        raise OSError(errno.EIO, "Input/output error")

    log.meanwhile = fail  # with the first of two renames done
    log.write("b" * 19)
    log.seconds.now = 1.0
    log.write("c" * 19, "d")

    assert log.lines() == ["a" * 19, "b" * 19, "not rotated: Input/output error", "c" * 19, "d"]


def test_a_file_that_was_removed_is_made_anew_within_a_second(log: Rotated) -> None:
    log.write("a")
    log.path.unlink()

    log.write("b")
    log.seconds.now = 1.0
    log.write("c", "d")

    assert log.lines() == ["d"]


def test_lines_go_on_in_the_new_file_after_another_program_has_renamed_the_old_one(log: Rotated) -> None:
    log.write("a")
    moved = log.path.rename(log.path.with_name("alex.jsonl-20261122"))
    log.path.touch()  # as logrotate's `create` does

    log.write("b")
    log.seconds.now = 1.0
    log.write("c", "d")

    assert moved.read_text() == "a\nb\nc\n"
    assert log.lines() == ["d"]


def test_a_file_that_was_truncated_is_filled_from_its_beginning(log: Rotated) -> None:
    log.write("a" * 15)
    os.truncate(log.path, 0)

    log.seconds.now = 1.0
    log.write("b", "c" * 10)

    assert log.files() == {"alex.jsonl": f"b\n{'c' * 10}\n"}


def test_a_log_that_is_closed_while_it_is_rotated_stays_closed(log: Rotated) -> None:
    log.meanwhile = log.close

    log.write("a" * 19, "b", "c")

    assert log.lines() == ["a" * 19]
    assert log.writer.lost == 2


# Others write meanwhile. What another thread, or a signal handler, does within a rotation is done here in a call
# from within it: nothing in a writer knows which thread it is on.


def test_who_writes_while_the_log_is_rotated_does_not_wait_and_its_lines_are_in_order(log: Rotated) -> None:
    log.write("a" * 19)
    numbers = iter(range(100))
    log.meanwhile = lambda: log.write(f"within {next(numbers)}", f"within {next(numbers)}")

    log.write("b" * 19, "c")

    assert log.lines() == ["a" * 19, "b" * 19, "within 0", "within 1", "within 2", "within 3", "c"]


def test_a_directory_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    log = Rotated(directory, max_bytes=1000)
    log.write("before")
    shutil.rmtree(directory)

    log.seconds.now = 2
    log.write("notices", "after")
    log.close()

    assert log.lines() == ["after"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_data_directory_that_somebody_removed_is_not(tmp_path: Path) -> None:
    directory = tmp_path / "data" / "logs"
    directory.mkdir(parents=True)
    log = Rotated(directory, max_bytes=1000)
    shutil.rmtree(tmp_path / "data")

    log.seconds.now = 2
    log.write("notices")
    log.close()

    assert not (tmp_path / "data").exists()


@effort(150)
@given(
    sizes=st.lists(st.integers(1, 40), max_size=30),
    others=st.lists(st.integers(0, 3), max_size=60),
    failures=st.lists(st.booleans(), max_size=20),
    max_bytes=st.integers(1, 80),
)
def test_whatever_is_written_while_the_log_is_rotated_is_read_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    others: list[int],
    failures: list[bool],
    max_bytes: int,
) -> None:
    log = Rotated(tmp_path_factory.mktemp("log"), max_bytes=max_bytes, keep_files=1000)
    written: dict[str, list[str]] = {"own": [], "other": []}

    def write(who: str, size: int) -> None:
        line = f"{who} {len(written[who])}".ljust(size, ".")
        written[who].append(line)
        log.write(line)

    def meanwhile() -> None:
        for _ in range(others.pop() if others else 0):
            write("other", 9)
        if failures and failures.pop():
            raise OSError(errno.EIO, "Input/output error")

    log.meanwhile = meanwhile
    for second, size in enumerate(sizes):
        log.seconds.now = second
        write("own", size)
    log.close()

    lines = log.lines()
    assert [line for line in lines if line.startswith("own")] == written["own"]
    assert [line for line in lines if line.startswith("other")] == written["other"]
    assert log.writer.lost == 0


@pytest.mark.usefixtures("hasty_threads")
def test_many_threads_that_rotate_the_log_lose_no_line_and_none_overtakes_itself(tmp_path: Path) -> None:
    log = Rotated(tmp_path, max_bytes=2000, keep_files=1000)

    def work(name: int) -> None:
        for number in range(400):
            log.write(f"{name} {number} {'.' * (number % 50)}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()

    numbers: dict[str, list[int]] = {}
    for line in log.lines():
        name, number, _ = line.split(" ")
        numbers.setdefault(name, []).append(int(number))
    assert numbers == {str(name): list(range(400)) for name in range(6)}
    assert len(log_files(log.path)) > 2


def test_a_file_is_closed_when_its_last_writer_lets_it_go(tmp_path: Path) -> None:
    file: FileIO | None = LogFile(tmp_path / "alex.jsonl")
    assert file is not None
    descriptor = file.fileno()

    file = None

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
