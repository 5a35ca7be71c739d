"""One request and its reply: who is who in the log, and the headers that every reply has."""

from __future__ import annotations

import re
from typing import Any

import falcon

from alex_actors.ports import Ids
from alex_actors.values import Context, SessionId, TaskId

LONGEST_LOGGED = 1000
"""Characters of what a client sent that a log line has. A path or a method may be as long as all headers."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

# W3C Trace Context: version, trace ID, parent ID, flags. Versions above 00 may add more, ff is none.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?"
)


class Request(falcon.Request):
    """A request, and what its log line will tell of it."""

    # Falcon's base has a __dict__ as well; slots only make these faster and known to type checkers.
    __slots__ = ("began", "request_id", "session_id", "task_id", "trace_id")

    def __init__(
        self,
        env: dict[str, Any],  # WSGI's environment has values of many types
        options: falcon.RequestOptions | None = None,
    ) -> None:
        super().__init__(env, options)
        self.began = 0.0
        """When it reached the application, on the clock that never goes back. 0: not identified yet."""
        self.request_id = ""
        self.trace_id = ""
        self.task_id: str | None = None
        self.session_id: str | None = None

    def about(self) -> Context:
        """Return the context of the messages that this request causes."""
        return Context(trace_id=self.trace_id, sender="http")

    def concerns(self, task_id: TaskId | None, session_id: SessionId | None) -> None:
        """Say whose work this request is about, for its log line: once it is known to be there."""
        self.task_id = task_id
        self.session_id = session_id


def for_log(sent: str) -> str:
    """Return what a client sent as a log line may have it."""
    return sent[:LONGEST_LOGGED]


def request_id(given: str | None, ids: Ids) -> str:
    """Return the client's ``X-Request-ID`` if it is one, else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else ids.trace()


def trace_id(traceparent: str | None, ids: Ids) -> str:
    """Return the trace ID of a W3C ``traceparent`` header, or a new one: 32 hexadecimal digits."""
    if traceparent is None:
        return ids.trace()
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[3]):
        return ids.trace()
    return match[2]


def common_headers(request_id: str, trace_id: str) -> list[tuple[str, str]]:
    """Return the headers of every reply."""
    return [
        ("X-Request-ID", request_id),
        ("X-Trace-ID", trace_id),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
