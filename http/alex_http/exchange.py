"""One request and its reply: who is who in the log, and the headers that every reply has."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import falcon

from alex_actors.ports import Ids
from alex_actors.replies import Awaited, Unavailable
from alex_actors.values import LOCAL_OWNER, Context, Owner, SessionId, TaskId
from alex_http.callers import LOCAL, Caller, Denial
from alex_http.transport import HOLD, Hold

R = TypeVar("R")

LONGEST_LOGGED = 1000
"""Characters of what a client sent that a log line has. A path or a method may be as long as all headers."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

# W3C Trace Context: version, trace ID, parent ID, flags. Versions above 00 may add more, ff is none.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?"
)


class Later(Exception):
    """The request is answered by a later call of the application: it waits, and no thread with it."""


class Kept:
    """What a request has from one call of the application to the next."""

    __slots__ = ("awaited", "began", "parent_span_id", "request_id", "trace_id", "watching")

    def __init__(self, began: float, request_id: str, trace_id: str, parent_span_id: str) -> None:
        self.began = began
        self.request_id = request_id
        self.trace_id = trace_id
        self.parent_span_id = parent_span_id
        self.awaited: Awaited[Any] | None = None  # Any: whatever was asked for
        self.watching = False


class Request(falcon.Request):
    """A request, and what its log line will tell of it."""

    # Falcon's base has a __dict__ as well; slots only make these faster and known to type checkers.
    __slots__ = (
        "began", "caller", "denial", "later", "owner", "parent_span_id", "request_id", "session_id", "task_id",
        "trace_id",
    )  # fmt: skip

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
        self.parent_span_id = ""
        """The client's span that it is a part of, if it said so: 16 hexadecimal digits."""
        self.caller: Caller = LOCAL
        """Who makes it, once the gate has let it in."""
        self.denial: Denial | None = None
        """Why it was not let in."""
        self.owner: Owner = LOCAL_OWNER
        """For whom it is made: that of its caller, unless an administrator acts for another."""
        self.task_id: str | None = None
        self.session_id: str | None = None
        self.later = False
        """Whether it is not answered by this call of the application."""

    @property
    def hold(self) -> Hold:
        """What keeps this request over several calls of the application."""
        hold: Hold = self.env[HOLD]
        return hold

    @property
    def address(self) -> str:
        """From which it comes: that of the client, if a trusted proxy asks for it."""
        return str(self.env.get("REMOTE_ADDR", ""))

    @property
    def is_repeated(self) -> bool:
        """Whether the application was called for it before, and had it wait."""
        hold: Hold | None = self.env.get(HOLD)
        return hold is not None and hold.kept is not None

    def reply_to(self, call: Callable[[Callable[[], None]], Awaited[R]]) -> R:
        """Make a call whose reply comes later, given what wakes its caller, and return the reply.

        Raises Later while it is not there: the responder is called again. Raises Unavailable if it does not come.
        """
        hold = self.hold
        kept = self._kept()
        if kept.awaited is None:
            kept.awaited = call(hold.wake)
        awaited: Awaited[R] = kept.awaited
        reply = awaited.poll()
        if reply is not None:
            return reply
        if hold.overdue:
            raise Unavailable(awaited.late)
        hold.wait(awaited.within)
        raise Later

    def wait_for_news(self, seconds: float, watch: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """Raise Later, to be called again when there is news; but return when so many seconds are over.

        ``watch`` is given what is to be called when there is news, and returns what ends the watching.
        """
        hold = self.hold
        if hold.overdue or hold.ending:
            return
        kept = self._kept()
        if not kept.watching:
            kept.watching = True
            hold.at_the_end = watch(hold.wake)
        hold.wait(seconds)
        raise Later

    def identify(self, ids: Ids, now: float) -> None:
        """Give the request its IDs: the client's, or new ones; those of the first call if this is another one."""
        hold: Hold | None = self.env.get(HOLD)
        kept = None if hold is None else hold.kept
        if isinstance(kept, Kept):
            self.began, self.request_id = kept.began, kept.request_id
            self.trace_id, self.parent_span_id = kept.trace_id, kept.parent_span_id
            return
        self.began = now
        self.request_id = request_id(self.env.get("HTTP_X_REQUEST_ID"), ids)
        self.trace_id, self.parent_span_id = trace_context(self.env.get("HTTP_TRACEPARENT"), ids)

    def _kept(self) -> Kept:
        hold = self.hold
        if not isinstance(hold.kept, Kept):
            hold.kept = Kept(self.began, self.request_id, self.trace_id, self.parent_span_id)
        return hold.kept

    def about(self) -> Context:
        """Return the context of the messages that this request causes."""
        return Context(trace_id=self.trace_id, sender="http", owner=self.owner)

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


def trace_context(traceparent: str | None, ids: Ids) -> tuple[str, str]:
    """Return the trace ID (32 hexadecimal digits) and the span ID (16) of a W3C ``traceparent`` header.

    If there is none, or it is malformed: a new trace ID, and no span ID.
    """
    match = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[4]):
        return ids.trace(), ""
    return match[2], match[3]


CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""What a browser that is shown a reply may load for it, and who may show it in a frame: nothing, and nobody."""

OF_PAGES = ("Content-Security-Policy", "Cache-Control")
"""The headers of every reply of which pages have their own."""

_SECURITY = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),  # for what is fetched without CORS, such as an image
    ("Content-Security-Policy", CONTENT_POLICY),
)


def common_headers(request_id: str, trace_id: str) -> list[tuple[str, str]]:
    """Return the headers of every reply."""
    return [("X-Request-ID", request_id), ("X-Trace-ID", trace_id), *_SECURITY]
