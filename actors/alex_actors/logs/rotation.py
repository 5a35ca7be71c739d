"""Rotation of the log: the file that is full gets a number, those before it the next, and a new one is begun.

A thread that writes to the old file at that moment is not disturbed: it has the file, whatever the file's name is.
So nobody waits for a rotation, and a thread's lines stay in their order: it never goes back to an older file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from alex_actors.logs.reading import rotated

MODE, DIRECTORY_MODE = 0o600, 0o700
"""For its owner only: a log tells what people ask for."""


class LogFile(FileIO):
    """A file that lines are appended to. It is closed when the last thread that still writes to it has let it go.

    Closing it at once could hand its descriptor's number, and with it another thread's line, to another file.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises OSError."""
        super().__init__(path, "a", opener=lambda name, flags: os.open(name, flags, MODE))

    def __del__(self) -> None:
        """Close it, which is how it is meant to end: without a warning."""
        self.close()


class Rotation:
    """Keeps the file of a log from growing without end. For one thread at a time.

    What is full becomes ``alex.jsonl.1``, what had that name ``alex.jsonl.2``, and so on; what would get a number
    above ``keep_files`` is removed. Files that somebody has compressed (``.gz``) move with the others.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, keep_files: int, rename: Callable[[Path, Path], object] = os.replace
    ) -> None:
        """``max_bytes``: from this size on the file is full; 0: never. ``keep_files``: how many full ones stay."""
        self._path = path
        self._max_bytes = max_bytes
        self._keep_files = keep_files
        self._rename = rename

    def room_in(self, file: FileIO) -> float:
        """Return how many bytes the file takes until it is full. Raises OSError."""
        return self._max_bytes - os.fstat(file.fileno()).st_size if self._max_bytes else float("inf")

    def next_file(self, file: FileIO) -> FileIO | None:
        """Return the file to go on in; None: this one, which is not full and has its name still.

        Raises OSError, and what was full may have its number by then: the next call goes on from there.
        """
        if self._has_its_name(file):
            if self.room_in(file) > 0:
                return None
            self._make_way()
        # Somebody may have removed the directory. Not those above it: without them the server has no data, either.
        self._path.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        return LogFile(self._path)

    def _has_its_name(self, file: FileIO) -> bool:
        """Return whether the file is the one at the log's path, and not renamed or removed by somebody else."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(file.fileno()))

    def _make_way(self) -> None:
        """Give the file a number, and those before it the next; remove what is above the last number."""
        there = {number for number, _ in rotated(self._path)}
        # A number that is free ends the row: what is above it stays as it is, and nothing is thrown away early.
        free = next(number for number in range(1, len(there) + 2) if number not in there)
        for number in range(min(free, self._keep_files + 1), 1, -1):
            for suffix in ("", ".gz"):
                # Both may be there, while it is compressed; neither, if it was removed meanwhile.
                with suppress(FileNotFoundError):
                    self._rename(self._numbered(number - 1, suffix), self._numbered(number, suffix))
        self._rename(self._path, self._numbered(1))
        for number, file in list(rotated(self._path)):
            if number > self._keep_files:
                file.unlink(missing_ok=True)

    def _numbered(self, number: int, suffix: str = "") -> Path:
        return self._path.with_name(f"{self._path.name}.{number}{suffix}")
