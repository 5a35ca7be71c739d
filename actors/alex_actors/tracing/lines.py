"""A line of the log as the check reads it: the few fields that it looks at, typed, so that it is fast."""

from __future__ import annotations

import datetime
import re

import msgspec

from alex_actors.logs.reading import BYTE_ORDER_MARK

_TASK_ID = re.compile(r"task-([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-")


class Line(msgspec.Struct):
    """What a line says, as far as a rule looks at it; None and empty are what it does not say."""

    event: str
    ts: str = ""
    task_id: str = ""
    session_id: str | None = None
    event_id: int | None = None
    place: int | None = None
    ahead: int | None = None
    strategy: str = ""
    status: str | int | None = None
    owner: str = ""
    actor: str = ""
    method: str = ""
    path: str = ""
    exit_code: int | None = None
    lines: int = 0


_decode = msgspec.json.Decoder(Line).decode
_decode_any = msgspec.json.Decoder(dict[str, object]).decode


def line_of(text: bytes) -> Line | None:
    """Return what a line says; None if it is none of a log, such as one that was cut short."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd(text)


def _odd(text: bytes) -> Line | None:
    """Read a line whose fields are of other types than ours have: what is not ours is left aside."""
    try:
        said = _decode_any(text.removeprefix(BYTE_ORDER_MARK))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    texts = {name: value for name, value in said.items() if isinstance(value, str)}
    if "event" not in texts:
        return None
    ours = ("event", "ts", "task_id", "session_id", "owner", "actor", "method", "path", "strategy")
    return msgspec.convert({name: texts[name] for name in ours if name in texts}, Line)


def seconds_of(ts: str) -> float | None:
    """Return the time of a line in seconds since 1970; None if it is no time."""
    try:
        return datetime.datetime.fromisoformat(ts).timestamp()
    except ValueError:
        return None


def made_at(task_id: str) -> float | None:
    """Return when a task's ID was made, in seconds since 1970, to the millisecond; None if it does not say that.

    A UUID of version 7 begins with 48 bits of milliseconds (RFC 9562, section 5.7). The ID of a sub-agent's task
    is of version 5, made of other names.
    """
    match = _TASK_ID.match(task_id)
    return int(match[1] + match[2], 16) / 1000 if match else None
