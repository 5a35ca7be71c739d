"""Finds lines in a log without reading all of it: the last ones, or those of a time.

Lines stand in the order of their times, but for some milliseconds: threads do not take turns to write. What is no
line of a log ("garbage") may stand anywhere, and is as old as the line before it in its file; at the beginning, as
the one after it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from gzip import GzipFile
from tempfile import TemporaryFile
from typing import IO

from alex_actors.logs.reading import parse
from alex_actors.values import timestamp

DISORDER = timedelta(seconds=2)
"""By so much a line may be older than one before it and is found all the same."""

_BLOCK = 1 << 18
_SMALL_BLOCK = 1 << 13
"""Most lines end within it."""

_STAMP = re.compile(rb'(?:\xef\xbb\xbf)?\{"ts":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"')
"""How a line of ours begins: its time is had without parsing the rest."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file that can be sought in, in bytes; begins where a line does."""

    file: IO[bytes] | GzipFile
    start: int
    end: int


def unpacked(file: GzipFile, *, closing: ExitStack) -> Part:
    """Return what is in a compressed file, which can be sought in only once it is unpacked. Raises OSError."""
    copy = TemporaryFile()  # noqa: SIM115 - the stack closes it
    closing.callback(copy.close)
    shutil.copyfileobj(file, copy, _BLOCK)
    return Part(copy, 0, copy.tell())


def time_of(line: bytes) -> datetime | None:
    """Return when a line was logged; None for garbage."""
    if match := _STAMP.match(line):
        text = match[1].decode()
    elif line[:1] not in (b"{", b"\xef", b" ") or not isinstance(text := (parse(line) or {}).get("ts"), str):
        return None
    with suppress(ValueError, OverflowError):
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return None


def forwards(part: Part) -> Iterator[tuple[int, bytes]]:
    """Yield where each line begins, and the line without its newline, from the first to the last."""
    position = part.start
    part.file.seek(position)
    while position < part.end and (line := part.file.readline(part.end - position)):
        yield position, line.removesuffix(b"\n")
        position += len(line)


def backwards(part: Part) -> Iterator[tuple[int, bytes]]:
    """Yield the same from the last to the first, and read no more than is asked for."""
    position = part.end
    behind: list[bytes] = []  # what of a line has been read already, the last block first
    newline_due = True  # the one that ends the last line begins no other
    while position > part.start:
        size = min(_BLOCK, position - part.start)
        position -= size
        part.file.seek(position)
        block = part.file.read(size)
        if newline_due:
            block, newline_due = block.removesuffix(b"\n"), False
        end = len(block)
        while (newline := block.rfind(b"\n", 0, end)) >= 0:
            behind.append(block[newline + 1 : end])
            yield position + newline + 1, b"".join(reversed(behind))
            behind.clear()
            end = newline
        behind.append(block[:end])
    if part.end > part.start:
        yield part.start, b"".join(reversed(behind))


def first_from(part: Part, moment: datetime) -> int:
    """Return where the lines from a moment on begin: by bisection, so that a gigabyte takes some 30 readings.

    Exact if the lines are in the order of their times.
    """
    goal = timestamp(moment).encode()
    low, high = part.start, part.end  # what begins before low is older; what begins at high or later is not
    while low < high:
        middle = (low + high) // 2
        found = _first_stamped(replace(part, start=_line_from(part.file, low, middle, high)), high)
        if found is None or found[1] >= goal:
            high = middle
        else:
            low = found[0]
    return min(low, part.end)


def between(newest_first: Iterable[Part], *, since: datetime | None, until: datetime | None) -> Iterator[Part]:
    """Yield of each file the stretch from the first line since a moment to the last until another.

    The newest file first; those that lie wholly before are not asked for. Lines within that are out of order may
    be older or newer.
    """
    for whole in newest_first:
        part = _cut_end(whole, until) if until else whole
        yield _cut_start(part, since) if since else part
        if since and first_from(whole, since - DISORDER) > whole.start:
            return


def _cut_end(part: Part, until: datetime) -> Part:
    """Return a file without what comes after its last line until a moment; of garbage alone, all."""
    rough = replace(part, start=first_from(part, until + DISORDER))
    # Garbage behind that belongs to the line before it: it goes on to the next line that has a time.
    end = next((position for position, line in forwards(rough) if time_of(line)), part.end)
    stamped = end < part.end
    for position, line in backwards(replace(part, end=end)):
        if time := time_of(line):
            if time <= until:
                return replace(part, end=end)
            end, stamped = position, True
    return replace(part, end=part.start) if stamped else part


def _cut_start(part: Part, since: datetime) -> Part:
    """Return a file without what comes before its first line since a moment; garbage at its beginning stays."""
    rough = replace(part, start=first_from(part, since - DISORDER))
    stamped = rough.start > part.start
    for position, line in forwards(rough):
        if time := time_of(line):
            if time >= since:
                return replace(part, start=position if stamped else part.start)
            stamped = True
    return replace(part, start=part.end) if stamped else part


def _line_from(file: IO[bytes] | GzipFile, low: int, middle: int, high: int) -> int:
    """Return where the first line begins at ``middle`` or later, ``high`` if none does; one begins at ``low``."""
    if middle == low:
        return low
    position = middle - 1
    file.seek(position)
    while position < high and (block := file.read(min(_SMALL_BLOCK, high - position))):
        if (newline := block.find(b"\n")) >= 0:
            return min(position + newline + 1, high)
        position += len(block)
    return high


def _first_stamped(part: Part, high: int) -> tuple[int, bytes] | None:
    """Return where the first line with a time ends, and its time, as we write it; None if none is below high."""
    for position, line in forwards(part):
        if position >= high:
            break
        if match := _STAMP.match(line):
            return position + len(line) + 1, match[1]
        if time := time_of(line):
            return position + len(line) + 1, timestamp(time).encode()
    return None
