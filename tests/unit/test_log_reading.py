"""Reading a log: its files in their order, what a line says, and lines found without reading all of it."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alex_actors.logs.reading import LONGEST, log_files, open_log, parse, parse_head, read_lines
from alex_actors.logs.searching import DISORDER, Part, backwards, between, first_from, forwards, time_of, unpacked
from alex_actors.values import timestamp
from tests.properties.effort import effort

START = datetime(2026, 11, 22, 20, tzinfo=UTC)


def line_at(seconds: float, **fields: str) -> bytes:
    more = "".join(f',"{key}":"{value}"' for key, value in fields.items())
    return f'{{"ts":"{timestamp(START + timedelta(seconds=seconds))}","level":"info"{more}}}'.encode()


def part_of(data: bytes) -> Part:
    return Part(io.BytesIO(data), 0, len(data))


class Counting(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data

    def readline(self, size: int | None = -1) -> bytes:
        data = super().readline(size)
        self.count += len(data)
        return data


# Files and lines.


def test_the_files_of_a_log_are_read_from_the_oldest_to_the_newest(tmp_path: Path) -> None:
    log = tmp_path / "alex.jsonl"
    log.write_bytes(b"newest\nhalf")
    for number in (1, 9, 10):
        (tmp_path / f"alex.jsonl.{number}").write_text(f"{number}\n")
    (tmp_path / "alex.jsonl.11.gz").write_bytes(gzip.compress(b"oldest\n"))
    for stranger in ("alex.jsonl.0", "alex.jsonl.1x", "alex.jsonl.bak", "alexXjsonl.1", "other.jsonl.2"):
        (tmp_path / stranger).write_text("of somebody else\n")

    assert list(read_lines(log)) == [b"oldest", b"10", b"9", b"1", b"newest", b"half"]
    assert [file.name for file in log_files(log)] == [
        "alex.jsonl.11.gz", "alex.jsonl.10", "alex.jsonl.9", "alex.jsonl.1", "alex.jsonl",
    ]  # fmt: skip


def test_the_rotated_files_are_read_while_there_is_no_new_one_yet(tmp_path: Path) -> None:
    (tmp_path / "alex.jsonl.1").write_text("1\n")

    assert list(read_lines(tmp_path / "alex.jsonl")) == [b"1"]


def test_a_file_that_has_two_names_for_a_moment_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "alex.jsonl").write_text("1\n")
    (tmp_path / "alex.jsonl.1").hardlink_to(tmp_path / "alex.jsonl")

    assert list(read_lines(tmp_path / "alex.jsonl")) == [b"1"]


@pytest.mark.parametrize("around", [-1, 0, 1, LONGEST])
def test_of_a_line_without_end_no_more_is_read_into_memory_than_a_log_has(around: int, tmp_path: Path) -> None:
    log = tmp_path / "alex.jsonl"
    long = b"x" * (LONGEST + around)
    log.write_bytes(b"first\n" + long + b"\nlast\n")

    assert list(read_lines(log)) == [b"first", long[:LONGEST], b"last"]


def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_lines(tmp_path / "alex.jsonl"))
    with pytest.raises(FileNotFoundError):
        list(read_lines(tmp_path / "no" / "alex.jsonl"))
    with pytest.raises(IsADirectoryError):
        list(read_lines(tmp_path))


@pytest.mark.parametrize(
    "garbage",
    [b"", b"null", b"[]", b'{"ts":"2026', b"\x00\x00", b'{"event":"\xff"}', b"[" * 100_000, b'{"a":' * 100_000],
    ids=["nothing", "no object", "a list", "half a line", "NUL", "no UTF-8", "deep", "deep objects"],
)
def test_what_is_no_line_of_a_log_is_told_as_such(garbage: bytes) -> None:
    assert parse(garbage) is None
    assert parse_head(garbage) is None or garbage == b"[]"


@pytest.mark.parametrize("around", [b"%s", b"\xef\xbb\xbf%s", b"%s\r", b"  %s  "], ids=["", "BOM", "CR", "spaces"])
def test_a_line_says_what_was_logged(around: bytes) -> None:
    line = around % line_at(1, event="task.created", task_id="task-1", status="pending")

    entry, head = parse(line), parse_head(line)

    assert entry is not None
    assert head is not None
    assert (entry["event"], entry["status"]) == ("task.created", "pending")
    assert (head.event, head.task_id, head.session_id, head.ts) == ("task.created", "task-1", "", entry["ts"])
    assert time_of(line) == START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("ts", "seconds"),
    [
        ('"2026-11-22T20:00:00Z"', 0),
        ('"2026-11-22T21:00:01+01:00"', 1),
        ('"2026-11-22T20:00:02"', 2),
        ('"soon"', None),
        ("3", None),
    ],
)
def test_times_that_others_write_are_understood(ts: str, seconds: int | None) -> None:
    time = time_of(f'{{"level":"info","ts":{ts}}}'.encode())

    assert time == (None if seconds is None else START + timedelta(seconds=seconds))


# Lines from the end, and of a time.


@effort(150)
@given(st.lists(st.sampled_from([b"\n", b"a", b"bc\r", b"\x00", b"x" * 300_000]), max_size=12).map(b"".join))
@example(b"\n")
@example(b"\n\n")
def test_lines_from_the_end_are_those_from_the_beginning(data: bytes) -> None:
    part = part_of(data)

    assert list(backwards(part))[::-1] == list(forwards(part))
    assert b"\n".join(line for _, line in forwards(part)) == data.removesuffix(b"\n")


def test_the_last_lines_of_a_long_file_are_found_in_its_last_block() -> None:
    file = Counting(b"".join(line_at(number) + b"\n" for number in range(40_000)))
    part = Part(file, 0, len(file.getvalue()))

    last = next(backwards(part))[1]

    assert last == line_at(39_999)
    assert file.count < part.end / 4


def test_a_time_is_found_in_a_long_file_with_few_readings() -> None:
    file = Counting(b"".join(line_at(number) + b"\n" for number in range(40_000)))
    part = Part(file, 0, len(file.getvalue()))

    start = first_from(part, START + timedelta(seconds=27_777))

    assert next(forwards(Part(file, start, part.end)))[1] == line_at(27_777)
    assert file.count < part.end / 10


def in_time(lines: list[bytes], since: datetime | None, until: datetime | None) -> list[bytes]:
    """Return the lines of a file from the first since a moment to the last until another, by looking at each."""
    times = [time_of(line) for line in lines]
    if not any(times):
        return lines
    first, end = 0, len(lines)
    if since is not None:
        inside = [number for number, time in enumerate(times) if time and time >= since]
        first = inside[0] if inside else len(lines)
        if not any(times[:first]):
            first = 0
    if until is not None:
        inside = [number for number, time in enumerate(times) if time and time <= until]
        end = inside[-1] + 1 if inside else 0
        while inside and end < len(lines) and times[end] is None:
            end += 1
    return lines[first:end]


def test_garbage_in_which_a_time_is_looked_for_is_not_read_over_and_over() -> None:
    file = Counting(line_at(0) + b"\n" + b"garbage\n" * 50_000 + line_at(9) + b"\n")
    part = Part(file, 0, len(file.getvalue()))

    start = first_from(part, START + timedelta(seconds=5))

    assert next(forwards(Part(file, start, part.end)))[1] in (b"garbage", line_at(9))
    assert file.count < 4 * part.end


garbage = st.sampled_from([b"", b"what?", b"\x00" * 9, b"{", b'{"ts":"then"}', b"z" * 9000])
jitters = st.integers(0, int(DISORDER.total_seconds() * 1000) - 1)
moments = st.none() | st.integers(-3000, 60_000).map(lambda ms: START + timedelta(milliseconds=ms))


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """Draw lines whose times grow but for two seconds, with garbage among them."""
    now, lines = 0, []
    for step in draw(st.lists(st.none() | st.tuples(st.integers(0, 9000), jitters), max_size=25)):
        if step is None:
            lines.append(draw(garbage))
        else:
            now += step[0]
            lines.append(line_at((now - step[1]) / 1000))
    return lines


@effort(250)
@given(lines=logs(), since=moments, until=moments)
def test_lines_of_a_time_are_those_that_are_found_by_looking_at_each(
    lines: list[bytes], since: datetime | None, until: datetime | None
) -> None:
    part = part_of(b"".join(line + b"\n" for line in lines))

    (found,) = list(between([part], since=since, until=until)) or [Part(part.file, 0, 0)]

    assert [line for _, line in forwards(found)] == in_time(in_time(lines, None, until), since, None)


def hour(number: int) -> Part:
    """Return a file with a line in each of the first nine seconds of an hour."""
    return part_of(b"".join(line_at(number * 3600 + second) + b"\n" for second in range(9)))


def test_files_that_lie_before_the_time_are_not_asked_for() -> None:
    def parts() -> Iterator[Part]:
        yield hour(1)
        raise AssertionError("an older file is asked for")

    found = between(parts(), since=START + timedelta(seconds=3604), until=None)

    assert [line for part in found for _, line in forwards(part)] == [line_at(3600 + each) for each in range(4, 9)]


def test_a_time_may_begin_in_one_file_and_end_in_another() -> None:
    since, until = START + timedelta(seconds=8), START + timedelta(seconds=3600)

    found = list(between([hour(1), hour(0)], since=since, until=until))

    assert [line for part in reversed(found) for _, line in forwards(part)] == [line_at(8), line_at(3600)]


def test_a_compressed_file_is_sought_in_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "alex.jsonl.1.gz").write_bytes(gzip.compress(b"one\ntwo\n"))

    with ExitStack() as closing:
        (file,) = open_log(tmp_path / "alex.jsonl")
        closing.enter_context(file)
        assert isinstance(file, gzip.GzipFile)
        part = unpacked(file, closing=closing)

        assert [line for _, line in backwards(part)] == [b"two", b"one"]
        assert cast("IO[bytes]", part.file).seekable()  # cast: mypy does not know which of the two it is
