"""Reads a log: the lines of its file and of those that it was rotated into, and what a line says."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from gzip import GzipFile
from io import BufferedIOBase, BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec

Opened: TypeAlias = BufferedReader | GzipFile

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

LONGEST = 1024 * 1024
"""Bytes of a line that are read: what has no end of a line, such as a device, must not fill the memory."""

_ROTATED = re.compile(r"\.([1-9][0-9]{0,5})(\.gz)?")
"""What follows the name of the log: the number of a rotated file, the larger the older; it may be compressed."""


class LogLine(msgspec.Struct):
    """What most lines have. What a line does not have is empty; times are RFC 3339, UTC, as they are logged."""

    ts: str = ""
    level: str = ""
    event: str = ""
    task_id: str = ""
    session_id: str = ""
    trace_id: str = ""


_decode_object = msgspec.json.Decoder(dict[str, Any]).decode  # Any: a line may hold whatever JSON can
_decode_head = msgspec.json.Decoder(LogLine).decode

_NO_LINE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what is no JSON, or is not what was asked for: RecursionError for what is too deep."""


def parse(line: bytes) -> dict[str, Any] | None:  # Any: a line may hold whatever JSON can
    """Return what a line says; None if it is no JSON object, such as one that was cut short."""
    try:
        return _decode_object(line.removeprefix(BYTE_ORDER_MARK))
    except _NO_LINE:
        return None


def parse_head(line: bytes) -> LogLine | None:
    """Return what most lines have, in half of the time of ``parse``; None if it is no line of a log."""
    try:
        return _decode_head(line.removeprefix(BYTE_ORDER_MARK))
    except _NO_LINE:
        return None


def log_files(path: Path) -> list[Path]:
    """Return the log and the files that it was rotated into, as far as they exist, the oldest first."""
    found = dict(rotated(path))
    there = [found[number] for number in sorted(found, reverse=True)]
    return [*there, path] if path.is_file() else there


def rotated(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the number and the path of each file that the log was rotated into, in no order."""
    try:
        beside = list(path.parent.iterdir())
    except OSError:
        return
    for file in beside:
        if file.name.startswith(path.name) and (match := _ROTATED.fullmatch(file.name, len(path.name))):
            yield int(match[1]), file


def older_names(path: Path) -> Iterator[Path]:
    """Yield the names that rotated files may have, the newest first, whether they are there or not."""
    highest = max((number for number, _ in rotated(path)), default=0)
    for number in range(1, highest + 2):  # one more than there were: a rotation may be going on
        yield path.parent / f"{path.name}.{number}"
        yield path.parent / f"{path.name}.{number}.gz"


def open_log(path: Path) -> list[Opened]:
    """Open the log and its rotated files, the oldest first, each once, also if it is rotated meanwhile.

    Raises OSError if the log is there and cannot be read; FileNotFoundError if there is none of the files.
    """
    opened: dict[tuple[int, int], Opened] = {}
    with ExitStack() as on_failure:
        # The newest first: a rotation meanwhile makes one come twice, where the other way it would be missed.
        for name in chain((path,), older_names(path)):
            try:
                file = _open(name)
            except FileNotFoundError:
                continue
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) in opened:
                file.close()
            else:
                on_failure.enter_context(file)
                opened[status.st_dev, status.st_ino] = file
        if not opened:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        on_failure.pop_all()
    return list(opened.values())[::-1]


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield each line of the log, without its newline, from the oldest file on; a file that is no log as well.

    The last one may be half a line, which is being written. Raises OSError, at the first line, as ``open_log``.
    """
    with ExitStack() as closing:
        files = [closing.enter_context(file) for file in open_log(path)]
        for file in files:
            yield from lines_of(file)


def lines_of(file: BufferedIOBase | BinaryIO) -> Iterator[bytes]:
    """Yield each line of a file from where it is, without its newline; of a long one the first `LONGEST` bytes."""
    cut = False
    while line := file.readline(LONGEST):
        if not cut:
            yield line.removesuffix(b"\n")
        cut = not line.endswith(b"\n")


def _open(name: Path) -> Opened:
    return GzipFile(name, "rb") if name.suffix == ".gz" else name.open("rb")
