"""How a line of the log looks to a person: when, how long after the one before, who, what, and with which values.

Everything that is not printable is escaped: what a stranger wrote can neither fake a line nor steer the terminal.
"""

from __future__ import annotations

import json
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from alex_actors.log_formats import plain
from alex_actors.logs.reading import BYTE_ORDER_MARK, parse
from alex_actors.logs.searching import time_of

WIDE = 200
"""Columns from which on IDs are shown in full."""
NARROW = 120
"""Columns below which a level is one letter."""
SMALL = 100
"""Columns below which times are without milliseconds, which are in the time since the line before."""
SHOWN_OF_ID = 6
"""The last characters of an ID, which are random: of a thousand tasks hardly two have them in common."""

_WHO_WIDTH, _EVENT_WIDTH, _DELTA_WIDTH = 16, 20, 8
_IDS = frozenset({"task_id", "session_id", "trace_id"})
_PLACES: Mapping[str, int] = {
    "task_id": 0, "method": 2, "path": 2, "event_id": 3, "session_id": 4, "trace_id": 5,
}  # fmt: skip
"""Where a field stands in the line; all others, in their order, at 1."""

_WHO: Mapping[str, str] = {
    "http": "http",
    "stream": "http",
    "session": "SessionActor",
    "task": "TaskStoreActor",
    "store": "TaskStoreActor",
    "retention": "TaskStoreActor",
    "agent": "AgentActor",
    "model": "AgentActor",
    "tool": "AgentActor",
    "process": "server",
    "thread": "server",
}
"""Who tells of an event, by its first word; others are the word itself."""

_WHO_BY_FIELD: Mapping[str, str] = {
    "message": "sender",
    "message.undelivered": "receiver",
    "message.dropped": "receiver",
    "actor.crashed": "actor",
    "actor.restarted": "actor",
    "log": "logger",
}
"""The field that says who it is."""

_LEVELS: Mapping[str, tuple[str, str]] = {
    "debug": ("debug", "\x1b[2m"),
    "info": ("info", "\x1b[32m"),
    "warning": ("warn", "\x1b[33m"),
    "error": ("error", "\x1b[31m"),
    "critical": ("CRIT", "\x1b[1;31m"),
}
_ID_COLORS = ("36", "35", "34", "33", "32", "96", "95", "94", "93", "92")
_BOLD, _DIM, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class LineFormat:
    """Formats lines one after another.

    With a ``width``, in columns, for a terminal: the time of day, and the date with its zone on a line of its own
    where it begins; IDs are shortened and lines are cut. Without, for a file or a program: the date in each line,
    and everything in full.
    """

    def __init__(
        self, *, color: bool, width: int | None, zone: tzinfo | None = None, full_ids: bool = False
    ) -> None:
        """``zone`` None is that of this machine."""
        self._color = color
        self._width = width
        self._zone = zone
        self._full_ids = full_ids
        self._before: datetime | None = None
        self._day = ""

    def __call__(self, line: bytes) -> str:
        """Return the lines that show a line, the newline included; nothing for an empty one."""
        entry = parse(line)
        if entry is None or "event" not in entry:
            text = line.removeprefix(BYTE_ORDER_MARK).rstrip(b"\r").decode(errors="backslashreplace")
            shown = [self._cut([("", printable(text.expandtabs()))])] if text.strip() else []
        else:
            time = self._local(time_of(line))
            shown = [*self._new_day(time), self._cut(self._pieces(entry, time))]
            shown += [self._cut([("", f"    | {printable(each)}")]) for each in _below(entry)]
        return "".join(f"{each}\n" for each in shown)

    def resize(self, width: int) -> None:
        """Take another width from now on: somebody has changed the size of the terminal."""
        self._width = width

    def _pieces(self, entry: dict[str, Any], time: datetime | None) -> Iterator[tuple[str, str]]:
        """Yield the parts of a line, each with the colour that it has, if there are colours."""
        event, level = plain(entry["event"]), entry.get("level")
        word, color = _LEVELS.get(level, (plain(level or "-"), "")) if isinstance(level, str) else ("-", "")
        yield _DIM, f"{self._time(time, entry.get('ts'))} {self._delta(time):>{_DELTA_WIDTH}} "
        yield color, f"{word[:1].upper()} " if self._width and self._width < NARROW else f"{word:<5} "
        left_out = {"ts", "level", "event", "exception"}
        if event == "message":
            left_out |= {"sender", "receiver", "type"}
            yield "", f"{_name(entry, 'sender'):<{_WHO_WIDTH}} "
            yield _BOLD, f"→ {_name(entry, 'receiver')} {_name(entry, 'type')}"
        else:
            yield "", f"{_who(event, entry):<{_WHO_WIDTH}} "
            yield _BOLD, event if self._is_small else f"{event:<{_EVENT_WIDTH}}"
        # Whose it is comes first, and what many lines have in common last: that is what is cut off.
        values = {key: each for key, each in entry.items() if key not in left_out}
        for key in sorted(values, key=lambda key: _PLACES.get(key, 1)):
            value = values[key]
            is_id = key in _IDS and isinstance(value, str) and value != ""
            yield _DIM, f" {key.removesuffix('_id') if is_id else plain(key)}="
            yield (_id_color(value), self._id(value)) if is_id else ("", self._value(key, entry))

    @property
    def _is_small(self) -> bool:
        return self._width is not None and self._width < SMALL

    def _local(self, time: datetime | None) -> datetime | None:
        """Return a time in the zone that is shown; None if it has no such time: it is of the year 1, or 9999."""
        try:
            return None if time is None else time.astimezone(self._zone)
        except (OverflowError, ValueError):
            return None

    def _time(self, local: datetime | None, text: object) -> str:
        if local is None:
            return plain(text)[:23] if text else "-"
        if self._width is None:
            return local.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return local.isoformat(timespec="milliseconds")[11 : 19 if self._is_small else 23]

    def _new_day(self, local: datetime | None) -> Iterator[str]:
        if local is None or self._width is None:
            return
        day = f"{local:%A, %Y-%m-%d}, times are {_zone_name(local)}"
        if day != self._day:
            self._day = day
            yield self._cut([(_DIM, day)])

    def _delta(self, time: datetime | None) -> str:
        """Return how long after the line before it is; nothing if it is the first."""
        if time is None:
            return ""
        before, self._before = self._before, time
        return "" if before is None else _duration(time - before)

    def _id(self, text: str) -> str:
        text = plain(text)
        full = self._full_ids or self._width is None or self._width >= WIDE
        return text if full or len(text) <= SHOWN_OF_ID + 1 else f"…{text[-SHOWN_OF_ID:]}"

    def _value(self, key: str, entry: dict[str, Any]) -> str:
        """Return a value; an ID of the line in the path of a request is as long as it is elsewhere."""
        value = entry[key]
        if key != "path" or not isinstance(value, str):
            return plain(value)
        ids = [entry.get(each) for each in _IDS]
        return plain("/".join(self._id(part) if part in ids else part for part in value.split("/")))

    def _cut(self, pieces: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> str:
        """Join the pieces, with their colours, as far as there is room; "…" where they are cut."""
        room = self._width
        shown = []
        for color, text in pieces:
            piece = text if room is None else _fitting(text, room)
            shown.append(f"{color}{piece}{_RESET}" if self._color and color and piece else piece)
            if room is not None:
                if piece != text:
                    break
                room -= columns(piece)
        return "".join(shown).rstrip()


def columns(text: str) -> int:
    """Return how many columns of a terminal a printable text takes (Unicode Standard Annex 11)."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitting(text: str, room: int) -> str:
    """Return the text, or as much as has room with an ellipsis."""
    if columns(text) <= room:
        return text
    kept, taken = [], 1
    for character in text:
        taken += _columns_of(character)
        if taken > room:
            break
        kept.append(character)
    return "".join(kept) + "…"[:room]


def printable(text: str) -> str:
    """Return the text with an escape for each character that is not printable, as Python writes it."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _who(event: str, entry: dict[str, Any]) -> str:
    if (key := _WHO_BY_FIELD.get(event)) and key in entry:
        return _name(entry, key)
    word = event.partition(".")[0]
    return _WHO.get(word, word)


def _name(entry: dict[str, Any], key: str) -> str:
    return plain(entry.get(key) or "-")


def _below(entry: dict[str, Any]) -> list[str]:
    """Return the lines of a traceback."""
    exception = entry.get("exception")
    if exception is None:
        return []
    return (exception if isinstance(exception, str) else json.dumps(exception)).splitlines()


def _id_color(text: str) -> str:
    return f"\x1b[{_ID_COLORS[zlib.crc32(text.encode(errors='replace')) % len(_ID_COLORS)]}m"


def _zone_name(local: datetime) -> str:
    offset = local.utcoffset()
    if not offset:
        return "UTC"
    return f"{local:%Z} (UTC{local.strftime('%z')[:3]}:{local.strftime('%z')[3:5]})"


def _duration(time: timedelta) -> str:
    """Return a time with its sign, short: ``+1.2ms``, ``+4.5s``, ``+2m05s``, ``+3h07m``, ``+2d03h``."""
    sign, seconds = ("-", -time.total_seconds()) if time < timedelta() else ("+", time.total_seconds())
    if seconds < 0.99995:
        return f"{sign}{seconds * 1000:.1f}ms"
    if seconds < 59.95:
        return f"{sign}{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if not hours:
        return f"{sign}{minutes}m{rest:02}s"
    days, hours_left = divmod(hours, 24)
    return f"{sign}{hours}h{minutes_left:02}m" if not days else f"{sign}{days}d{hours_left:02}h"
