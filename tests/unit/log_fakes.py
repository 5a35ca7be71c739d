"""Files that fail, and a terminal that is stopped."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from queue import SimpleQueue

LONG = 10.0
"""Seconds that only a test which fails waits."""


def lost_line(count: int) -> bytes:
    return b"lost %d\n" % count


def content(file: FileIO) -> bytes:
    return Path(os.fsdecode(file.name)).read_bytes()


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


class Interrupted(Disk):
    """A disk; somebody else does something in the middle of the next write."""

    meanwhile: Callable[[], None] | None = None

    def write(self, line: bytes) -> int:  # type: ignore[override] # bytes are all that is written
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return super().write(line)


class Flaky(FileIO):
    """A disk that is full for three writes of every ten."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "a")
        self.attempts = itertools.count()
        self.repaired = False

    def write(self, line: bytes) -> int:  # type: ignore[override] # bytes are all that is written
        if not self.repaired and next(self.attempts) % 10 in (4, 5, 6):
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(line)


class Terminal(FileIO):
    """A terminal that is stopped, as with Ctrl-S, until it goes on. Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__(os.devnull, "w")
        self.writes: list[bytes] = []
        self._begun: SimpleQueue[None] = SimpleQueue()
        self._allowed: SimpleQueue[None] = SimpleQueue()

    def write(self, line: bytes) -> int:  # type: ignore[override] # bytes are all that is written
        self._begun.put(None)
        self._allowed.get(timeout=LONG)
        self.writes.append(line)
        return len(line)

    def wait_until_written_to(self) -> None:
        self._begun.get(timeout=LONG)

    def go_on(self) -> None:
        for _ in range(1000):  # more writes than any test has
            self._allowed.put(None)
