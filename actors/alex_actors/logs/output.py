"""A file that log lines are appended to, which may be full, stuck or closed."""

from __future__ import annotations

import select
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from io import FileIO
from itertools import accumulate
from threading import get_ident

MOST_WAITING = 10_000
"""Lines that may wait for an output: 3 MB of usual ones, and half a second of a server under full load."""


class Output:
    """A file that lines are appended to: how many were lost, and whether the last one has its end.

    ``put``, ``lose`` and ``lost`` are for all threads, the rest is for one at a time.
    """

    def __init__(self, file: FileIO, *, lost_line: Callable[[int], bytes], torn: bool = False) -> None:
        """``lost_line`` makes the line that says how many were lost; ``torn``: the file ends within a line."""
        self.torn = torn
        self._file = file
        self._lost_line = lost_line
        self._told = 0
        # Each thread counts for itself: ``+=`` on a number that threads share is not sure to be exact.
        self._lost: defaultdict[int, int] = defaultdict(int)

    @property
    def lost(self) -> int:
        """Return how many lines were lost, in all."""
        return sum(tuple(self._lost.values()))

    def lose(self, lines: int) -> None:
        """Count lines as lost."""
        self._lost[get_ident()] += lines

    def put(self, data: bytes) -> int | None:
        """Write what can be written at once. Return how many bytes; None if the file is full for the moment."""
        try:
            # FileIO, and not a bare descriptor: after close() it refuses, where the number might by then be
            # another file's, the database's for one.
            return self._file.write(data)
        except (OSError, ValueError):  # no space, closed pipe, closed file
            return 0

    def append(self, lines: Sequence[bytes]) -> bool:
        """Write lines, after a line that says what was lost before them. Return whether nothing is lost now."""
        if not self._mended():
            self.lose(len(lines))
            return False
        ends = list(accumulate(map(len, lines), initial=0))
        written = self._put_all(b"".join(lines))
        if written == ends[-1]:
            return True
        whole = bisect_right(ends, written + 1) - 1  # one that lacks but its newline is whole: it gets it later
        self.torn = written != ends[whole]
        self.lose(len(lines) - whole)
        return False

    @property
    def file(self) -> FileIO:
        """Return the file."""
        return self._file

    def go_on_in(self, file: FileIO) -> None:
        """Append to another file. Threads that are about to write to the one before may still do so."""
        self._file = file
        self.torn = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _mended(self) -> bool:
        """End a torn line and report lost ones. Return whether that is done, or was not needed."""
        lost = self.lost - self._told
        mending = b"\n" * self.torn + (self._lost_line(lost) if lost else b"")
        written = self._put_all(mending)
        if written < len(mending):
            self.torn = written != int(self.torn)  # unless nothing but the missing end was written
            return False
        self.torn = False
        self._told += lost
        return True

    def _put_all(self, data: bytes) -> int:
        """Write all of it, unless that fails, for as long as it takes. Return how many bytes were written."""
        rest = data
        while rest and (written := self.put(rest)) != 0:
            if written is None:  # a pipe or a terminal that somebody else has made non-blocking
                select.select((), (self._file,), ())
            else:
                rest = rest[written:]
        return len(data) - len(rest)
