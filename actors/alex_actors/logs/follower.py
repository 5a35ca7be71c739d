"""Follows a log: what is appended to it, also when it is rotated, truncated, removed or made anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import IO

from alex_actors.logs.reading import older_names

_BLOCK = 1 << 20


@dataclass(eq=False)
class _Followed:
    """A file, and how far it was read. As long as it is open, no other file can be taken for it."""

    file: IO[bytes] | FileIO
    position: int
    half: bytearray = field(default_factory=bytearray)
    """The beginning of a line whose end is not there yet."""

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self.file.fileno())


class Follower:
    """Yields each line that is appended, once; those of one thread in their order.

    Files that get a number are followed as long as they are there: a thread may write to one for a moment longer,
    and one that was renamed by somebody else for a second. What is written between two looks and truncated away,
    or is removed, is not seen.
    """

    def __init__(self, path: Path, files: Iterable[tuple[IO[bytes] | FileIO, int]]) -> None:
        """``files``: what was read already, and how far, the oldest first; they are closed by the follower."""
        self._path = path
        self._files = [_Followed(file, position) for file, position in files]

    def new_lines(self) -> Iterator[bytes]:
        """Yield the lines that were completed since the last call, without their newlines. Never waits."""
        self._find_new_files()
        # The newest first, but read the oldest first: what is in an older file by the time when the newer one had
        # this size, is there when it is read. So no thread's line comes before the one that it wrote earlier.
        sizes = [followed.status.st_size for followed in reversed(self._files)][::-1]
        for followed, size in zip(self._files, sizes, strict=True):
            yield from self._appended_to(followed, size, newest=followed is self._files[-1])
        self._let_go()

    def close(self) -> None:
        """Close all files."""
        for followed in self._files:
            followed.file.close()

    def _find_new_files(self) -> None:
        """Open what was made since: the log, and what was the log between two looks."""
        known = [followed.status for followed in self._files]
        new: list[os.stat_result] = []
        found: list[_Followed] = []
        for name in (self._path, *older_names(self._path)):
            if name.suffix == ".gz":  # what was compressed has been read before
                continue
            with suppress(OSError):  # it has another name by now, or cannot be read yet
                file = name.open("rb")
                status = os.fstat(file.fileno())
                if any(os.path.samestat(status, one) for one in known):
                    file.close()
                    break
                if any(os.path.samestat(status, one) for one in new):  # it was rotated just now
                    file.close()
                    continue
                new.append(status)
                found.insert(0, _Followed(file, 0))
        self._files += found

    def _appended_to(self, followed: _Followed, size: int, *, newest: bool) -> Iterator[bytes]:
        half = followed.half
        if size < followed.position:  # truncated, after a copy of it was made
            followed.position = 0
            yield from self._ended(half)
        elif size == followed.position and not newest:  # a line that was torn there gets no end any more
            yield from self._ended(half)
        followed.file.seek(followed.position)
        while followed.position < size and (data := followed.file.read(min(_BLOCK, size - followed.position))):
            followed.position += len(data)
            whole, newline, rest = data.rpartition(b"\n")
            if newline:
                lines = (bytes(half) + whole).split(b"\n")
                half[:] = rest
                yield from lines
            else:
                half += rest

    def _ended(self, half: bytearray) -> Iterator[bytes]:
        if half:
            line = bytes(half)
            half.clear()
            yield line

    def _let_go(self) -> None:
        """Close what was removed, but for the newest: it may be written to until there is another."""
        for followed in self._files[:-1]:
            if followed.status.st_nlink == 0 and not followed.half:
                followed.file.close()
                self._files.remove(followed)
