"""Where log lines go, and how they look: JSON for programs, short lines for a person at a terminal.

Nothing here raises in the one who logs: a line that cannot be written is counted, and said to be lost once
writing works again.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from os import fstat
from typing import TypeAlias

import msgspec

Entry: TypeAlias = dict[str, object]
"""A line before it is formatted: ``ts``, ``level``, ``event`` and the rest, of JSON's own types, no secrets."""
Format: TypeAlias = Callable[[Entry], bytes]
"""Returns one whole line, its newline included."""

_encode = msgspec.json.Encoder().encode

_DEEPEST = 8
_LONGEST_REPR = 2000


def json_line(entry: Entry) -> bytes:
    """Return the entry as one line of JSON. JSON escapes newlines, so no value can break the line."""
    return _json(entry) + b"\n"


def _json(value: object) -> bytes:
    try:
        return _encode(value)
    except Exception:  # noqa: BLE001 - half a surrogate pair, for one: whatever it is, the line must come out
        return _encode(presentable(value))


def presentable(value: object, depth: int = _DEEPEST) -> object:
    """Return a likeness of any value that is sure to be JSON: slow, for what the fast way refuses.

    What JSON does not know, and what is nested more than ``depth`` deep, is shown as its repr.
    """
    match value:
        case None | bool() | float():
            return value
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case int() if value.bit_length() <= 64:
            return value
        case dict() if depth:
            return {
                str(presentable(key if isinstance(key, str) else repr_of(key))): presentable(each, depth - 1)
                for key, each in value.items()
            }
        case list() | tuple() | set() | frozenset() if depth:
            return [presentable(each, depth - 1) for each in value]
        case _:
            return repr_of(value)


def repr_of(value: object) -> str:
    """Return ``repr(value)`` as valid Unicode, shortened to 2,000 characters; never raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - somebody else's __repr__
        text = f"<{type(value).__name__} whose repr fails>"
    return text[:_LONGEST_REPR].encode("utf-8", "backslashreplace").decode()


class ConsoleFormat:
    """Formats for a terminal: time of day (UTC), level, event, then ``key=value``; a traceback below.

    Everything that is not printable is escaped, so that a value can neither fake a line nor steer the terminal.
    """

    _EVENT_WIDTH = 20
    _LEVEL_COLORS: Mapping[str, str] = {
        "debug": "\x1b[2m",
        "info": "\x1b[32m",
        "warning": "\x1b[33m",
        "error": "\x1b[31m",
        "critical": "\x1b[1;31m",
    }

    def __init__(self, *, color: bool) -> None:
        self._levels = self._LEVEL_COLORS if color else {}
        self._bold, self._dim, self._reset = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if color else ("", "", "")

    def __call__(self, entry: Entry) -> bytes:
        """Return the entry as a line of text, and a line for each line of its ``exception``."""
        rest = entry.copy()
        time = str(rest.pop("ts"))[11:23]
        level = str(rest.pop("level"))
        event = f"{_plain(rest.pop('event')):<{self._EVENT_WIDTH}}"
        trace = str(rest.pop("exception", "")).splitlines()

        level_color = self._levels.get(level, "")
        head = f"{self._dim}{time}{self._reset} {level_color}{level:<8}{self._reset if level_color else ''}"
        fields = "".join(f" {self._dim}{_plain(key)}={self._reset}{_plain(value)}" for key, value in rest.items())
        # Indented behind a bar: the text of an exception may have lines that look like those of the log.
        below = "".join(f"\n  | {line if line.isprintable() else ascii(line)}" for line in trace)
        return f"{head} {self._bold}{event}{self._reset}{fields}{below}\n".encode()


def _plain(value: object) -> str:
    """Show a value in printable characters; a text is quoted if it is empty or has a space, a quote or "="."""
    text = value if isinstance(value, str) else _json(value).decode()
    ambiguous = isinstance(value, str) and (not text or any(mark in text for mark in " =\"'"))
    return repr(text) if ambiguous or not text.isprintable() else text


class LineWriter:
    """Appends whole lines to a file, a pipe or a terminal, from any thread; never raises.

    A line goes out as one ``write`` to an unbuffered descriptor. For a regular file that was opened to append,
    the kernel writes it at the end in one piece, so no lock is taken: with eight threads a lock costs 7.5 µs
    a line, where the bare write costs one. Pipes and terminals promise that only for short lines
    (4,096 bytes on Linux), and take a lock.
    """

    def __init__(self, file: FileIO, *, lost_line: Callable[[int], bytes], torn: bool = False) -> None:
        """``lost_line`` makes the line that says how many were lost; ``torn``: the file ends within a line."""
        self._file = file
        self._lost_line = lost_line
        self._torn = torn
        self._lost = 0
        self._lost_before = 0
        self._appends_whole = stat.S_ISREG(fstat(file.fileno()).st_mode)
        # Re-entrant: a signal handler or a finaliser that logs may interrupt its own thread in here.
        self._lock = threading.RLock()

    @property
    def lost(self) -> int:
        """Return how many lines could not be written, in all."""
        return self._lost_before + self._lost

    def write(self, line: bytes) -> None:
        """Write one line, after a line that says what was lost before it."""
        if self._appends_whole and not self._lost and not self._torn:
            if not self._put(line):
                with self._lock:
                    self._lost += 1
            return
        with self._lock:
            if not self._mended() or not self._put(line):
                self._lost += 1

    def close(self) -> None:
        """Say what was lost, if that can be written now, and close the file. Later lines are lost."""
        with self._lock:
            self._mended()
            self._file.close()

    def _mended(self) -> bool:
        """End a torn line and report lost ones. Return whether that is done, or was not needed."""
        reported = self._lost
        mending = b"\n" * self._torn + (self._lost_line(reported) if reported else b"")
        if not mending:
            return True
        if not self._put(mending):
            return False
        self._torn = False
        # Subtracted, not set to nought: a thread that took no lock may have lost one meanwhile.
        self._lost -= reported
        self._lost_before += reported
        return True

    def _put(self, line: bytes) -> bool:
        try:
            # FileIO, and not a bare descriptor: after close() it refuses, where the number might by then be
            # another file's, the database's for one.
            written = self._file.write(line)
        except (OSError, ValueError):  # no space, closed pipe, closed file
            return False
        if written == len(line):
            return True
        self._torn = self._torn or bool(written)
        return False


class Sinks:
    """What structlog's bound loggers write to: formats an entry once a format, and writes it everywhere."""

    def __init__(self, outputs: Sequence[tuple[Format, Sequence[LineWriter]]]) -> None:
        self._outputs = outputs

    def msg(self, entry: Entry) -> None:
        """Write an entry."""
        for format_entry, writers in self._outputs:
            line = format_entry(entry)
            for writer in writers:
                writer.write(line)

    # structlog calls the method that is named like the level.
    debug = info = warning = error = critical = msg

    @property
    def lost(self) -> int:
        """Return how many lines could not be written, over all outputs."""
        return sum(writer.lost for _, writers in self._outputs for writer in writers)

    def close(self) -> None:
        """Close all outputs."""
        for _, writers in self._outputs:
            for writer in writers:
                writer.close()
