"""A disk that fails when a test wants it to, under a real server: see shim.c."""

from __future__ import annotations

import mmap
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

_CONTROL = struct.Struct("<ii")


class Fault(IntEnum):
    """What fails; the shim has the same numbers."""

    NONE = 0
    FULL = 1
    SYNC_FAILS = 2
    WRITE_TEARS = 3
    WRITE_IS_SHORT = 4
    READ_ONLY = 5
    WRITE_FAILS = 6


def compile_shim(directory: Path) -> Path:
    """Compile the shim; ``gcc`` has to be there."""
    source, shim = Path(__file__).with_name("shim.c"), directory / "shim.so"
    command = [
        "gcc",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-shared",
        "-fPIC",
        "-o",
        str(shim),
        str(source),
        "-ldl",
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return shim


class FaultyDisk:
    """What a server process is started with, so that its disk fails when it is told to."""

    def __init__(self, shim: Path, directory: Path) -> None:
        """``directory`` is what ``ServerProcess`` is given: the disk is its data directory."""
        self._shim = shim
        self._below = directory / "data"
        self.journal = directory / "journal"
        self._control = directory / "control"
        self._control.write_bytes(bytes(mmap.PAGESIZE))

    def shell(self, *, recorded: bool = False) -> str:
        """Return the script that starts a server on this disk; ``recorded``: with the journal."""
        variables = {"LD_PRELOAD": self._shim, "FAULTS_BELOW": self._below, "FAULTS_CONTROL": self._control}
        if recorded:
            variables["FAULTS_JOURNAL"] = self.journal
        return "".join(f'export {name}="{value}"; ' for name, value in variables.items()) + 'exec "$@"'

    def set(self, fault: Fault, *, after: int = 0) -> None:
        """Let a fault begin, once ``after`` calls that it could have met are done."""
        with self._control.open("r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as control:
            control[: _CONTROL.size] = _CONTROL.pack(fault, after)

    @contextmanager
    def with_fault(self, fault: Fault, *, after: int = 0) -> Iterator[None]:
        """Let it fail in a block."""
        self.set(fault, after=after)
        try:
            yield
        finally:
            self.set(Fault.NONE)

    def written(self) -> int:
        """Return how long the journal is: a moment, from which everything before it has happened."""
        return self.journal.stat().st_size
