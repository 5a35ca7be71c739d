"""Checks the files of a log, and says in which of them, and where, a rule was broken."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from alex_actors.logs.reading import LONGEST, Opened, open_log
from alex_actors.tracing.check import check_lines
from alex_actors.tracing.findings import Checked, Place
from alex_actors.tracing.lines import line_of


def check_files(paths: Sequence[Path]) -> Checked:
    """Check logs as one, each with what it was rotated into, in the order of the times that they begin with.

    Raises OSError if one cannot be read.
    """
    began = time.perf_counter()
    with ExitStack() as closing:
        files: list[Opened] = []
        for path in paths:
            for file in open_log(path):
                closing.callback(file.close)
                files.append(file)
        files = _in_order(files)
        ends: list[int] = []
        checked = check_lines(_lines(files, ends))
        _name_places([place for one in checked.violations for place in one.lines], files, ends)
        for violation in checked.violations:
            task = violation.task_id.encode()
            for place in violation.lines:
                if task not in (place.text or "").encode() and violation.rule != "ended-before-deleted":
                    place.text = None  # the log was rotated meanwhile: it is another line
        checked.files = [str(file.name) for file in files]
    checked.seconds = round(time.perf_counter() - began, 3)
    return checked


def check_stream(stream: Opened | BinaryIO, *, name: str) -> Checked:
    """Check what can be read only once. Lines are told by their numbers."""
    began = time.perf_counter()
    checked = check_lines(_lines_of(stream))
    for violation in checked.violations:
        for place in violation.lines:
            place.file = name
    checked.files = [name]
    checked.seconds = round(time.perf_counter() - began, 3)
    return checked


def _in_order(files: Sequence[Opened]) -> list[Opened]:
    """Put files into the order of their first lines' times: `alex.jsonl.1` comes before `alex.jsonl`."""
    known: dict[str, Opened] = {}
    for file in files:
        known.setdefault(str(Path(file.name).resolve()), file)
    if len(known) < 2:
        return [*known.values()]
    firsts: dict[Opened, str] = {}
    for file in known.values():
        line = line_of(file.readline(LONGEST))
        firsts[file] = line.ts if line else ""
        file.seek(0)
    return sorted(known.values(), key=firsts.__getitem__)  # a stable sort


def _lines(files: Sequence[Opened], ends: list[int]) -> Iterator[bytes]:
    """Yield all lines, and put into ``ends`` how many there were at the end of each file."""
    number = 0
    for file in files:
        for line in _lines_of(file):
            if not line.endswith(b"\n") and len(line) < LONGEST and file is files[-1]:
                break  # it is being written
            number += 1
            yield line
        ends.append(number)


def _lines_of(file: Opened | BinaryIO) -> Iterator[bytes]:
    # One that is longer is taken for several, none of which can be read.
    return iter(lambda: file.readline(LONGEST), b"")


def _name_places(places: Sequence[Place], files: Sequence[Opened], ends: Sequence[int]) -> None:
    """Say of each place in which file it is, at which line there, and what it says: by reading them again."""
    wanted: dict[int, dict[int, list[Place]]] = {}
    for place in places:
        index = bisect_left(ends, place.number)
        place.file = str(files[index].name)
        place.number -= ends[index - 1] if index else 0
        wanted.setdefault(index, {}).setdefault(place.number, []).append(place)
    for index, of_file in wanted.items():
        files[index].seek(0)
        last = max(of_file)
        for number, line in enumerate(_lines_of(files[index]), 1):
            for place in of_file.get(number, ()):
                place.text = line.decode(errors="replace").rstrip("\n")
            if number >= last:
                break
