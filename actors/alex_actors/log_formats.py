"""How log lines look: JSON for programs, short lines for a person at a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

Entry: TypeAlias = dict[str, object]
"""A line before it is formatted: ``ts``, ``level``, ``event`` and the rest, of JSON's own types, no secrets."""
Format: TypeAlias = Callable[[Entry], bytes]
"""Returns one whole line, its newline included."""

_encode = msgspec.json.Encoder().encode

_CONTROLS = re.compile(rb"\xc2[\x80-\x9f]|\x7f")
"""U+007F to U+009F, in UTF-8."""

_DEEPEST = 8
_LONGEST_REPR = 2000


def json_line(entry: Entry) -> bytes:
    """Return the entry as one line of JSON. No value can break the line, nor steer a terminal that shows the file.

    JSON escapes the control characters below U+0020; of the others, a terminal takes U+009B for an escape, too.
    """
    line = _json(entry)
    if b"\xc2" in line or b"\x7f" in line:
        line = _CONTROLS.sub(lambda found: b"\\u00%02x" % found[0][-1], line)
    return line + b"\n"


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
        event = f"{plain(rest.pop('event')):<{self._EVENT_WIDTH}}"
        trace = str(rest.pop("exception", "")).splitlines()

        level_color = self._levels.get(level, "")
        head = f"{self._dim}{time}{self._reset} {level_color}{level:<8}{self._reset if level_color else ''}"
        fields = "".join(f" {self._dim}{plain(key)}={self._reset}{plain(value)}" for key, value in rest.items())
        # Indented behind a bar: the text of an exception may have lines that look like those of the log.
        below = "".join(f"\n  | {line if line.isprintable() else ascii(line)}" for line in trace)
        return f"{head} {self._bold}{event}{self._reset}{fields}{below}\n".encode()


def plain(value: object) -> str:
    """Show a value in printable characters; a text is quoted if it is empty or has a space, a quote or "="."""
    text = value if isinstance(value, str) else _json(value).decode()
    ambiguous = isinstance(value, str) and (not text or any(mark in text for mark in " =\"'"))
    return repr(text) if ambiguous or not text.isprintable() else text
