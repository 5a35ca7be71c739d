"""Reads entries of a log as far as spans need them, and refuses those that somebody else must have written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias

import msgspec

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Milliseconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""At most some thirty years: nothing takes longer."""
Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e12)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = 2**63 // 1000 - 1
"""Microseconds since 1970, in the year 2262: as nanoseconds, the most that a signed integer of 64 bits holds."""
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What entries have of which spans are made; what one does not have is empty."""

    ts: str
    event: str = ""
    trace_id: str = ""
    task_id: str = ""
    session_id: str = ""
    event_id: Count = 0
    # Tasks.
    parent_task_id: str = ""
    ahead: Count | None = None
    agent: str = ""
    status: str | Count = ""
    """How a task ended, or a reply's HTTP status."""
    reason: str = ""
    # Models, tools and questions.
    at: str = ""
    """When it happened; ``ts`` is when it was logged, after the commit."""
    iteration: Count | None = None
    model: str = ""
    duration: Milliseconds | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost_usd: Dollars | None = None
    tool: str = ""
    call_id: str = ""
    error: bool | str = False
    approved: bool | None = None
    # Requests.
    method: str = ""
    path: str = ""
    request_id: str = ""
    parent_span_id: str = ""
    # Messages.
    sender: str = ""
    receiver: str = ""
    type: str = ""
    waited: Milliseconds | None = None
    took: Milliseconds | None = None


def read(entry: Mapping[str, object]) -> Line | None:
    """Return an entry as a line; None if it has no trace, or fields of other types than the server's entries."""
    try:
        line = msgspec.convert(entry, Line)
    except msgspec.ValidationError:
        return None
    return line if _TRACE_ID.fullmatch(line.trace_id) else None


def nanoseconds(moment: str) -> int | None:
    """Return a timestamp as nanoseconds since 1970; None if it is none, or not of the years 1970 to 2262."""
    try:
        # In whole microseconds: a float has not enough digits.
        microseconds = (datetime.fromisoformat(moment) - _EPOCH) // _MICROSECOND
    except (ValueError, TypeError):  # no timestamp; one without a time zone
        return None
    return microseconds * 1000 if 0 <= microseconds <= _LAST else None


def began(end: int, milliseconds: float | None) -> int:
    """Return when what was over at ``end`` began; the same moment if it is not known how long it took."""
    return max(0, end - round((milliseconds or 0.0) * 1e6))


def remote_span(text: str) -> int | None:
    """Return the ID of another program's span; None if it is none."""
    return int(text, 16) if _SPAN_ID.fullmatch(text) else None
