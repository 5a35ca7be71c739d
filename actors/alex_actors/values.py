"""What all messages, events and records are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NewType, TypeAlias

import msgspec

TaskId = NewType("TaskId", str)
SessionId = NewType("SessionId", str)
Owner = NewType("Owner", str)
"""To whom sessions and tasks belong: what another owner has does not exist for one."""

LOCAL_OWNER = Owner("local")
"""Who works on this machine without a token."""

SessionName: TypeAlias = tuple[Owner, SessionId]
"""What tells a session from all others: two owners may give theirs the same ID."""

Timestamp = NewType("Timestamp", str)
"""RFC 3339, UTC, always with microseconds and ``Z``: fixed width, so that it sorts as text."""


class Value(msgspec.Struct, frozen=True):
    """Immutable data that may cross threads, the wire and the store."""


class Context(Value, frozen=True):
    """Whose work a message is: travels in every message, because contextvars stop at a mailbox."""

    trace_id: str
    task_id: str = ""
    session_id: str = ""
    sender: str = ""
    owner: Owner = LOCAL_OWNER

    @property
    def session(self) -> SessionName:
        """Return the name of the session that it is about."""
        return self.owner, SessionId(self.session_id)

    def sent_by(self, sender: str) -> Context:
        """Return the same context with another sender."""
        return Context(self.trace_id, self.task_id, self.session_id, sender, self.owner)

    def about(self, task_id: TaskId, session_id: SessionId) -> Context:
        """Return the same context about a task of a session."""
        return Context(self.trace_id, task_id, session_id, self.sender, self.owner)


def not_local(owner: Owner) -> dict[str, str]:
    """Return the field of a log line that says whose it is; none of who needs no token: there is nobody else."""
    return {} if owner == LOCAL_OWNER else {"owner": owner}


def timestamp(moment: datetime) -> Timestamp:
    """Format an aware moment as this project's timestamps are written."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    if moment.microsecond:  # msgspec leaves out a fraction of nought, and takes a tenth of isoformat's time
        return Timestamp(msgspec.to_builtins(moment))
    return Timestamp(moment.isoformat(timespec="microseconds")[:-6] + "Z")


def moment(text: Timestamp) -> datetime:
    """Read a timestamp back."""
    return datetime.fromisoformat(text)


def before(at: Timestamp, time: timedelta) -> Timestamp:
    """Return the moment that was so long before another."""
    return timestamp(moment(at) - time)


def milliseconds_between(start: Timestamp | None, end: Timestamp) -> float:
    """Return how long that was; 0 if it never started, or the wall clock was set back."""
    if start is None:
        return 0.0
    return max(0.0, (moment(end) - moment(start)).total_seconds() * 1000)
