"""Every error that the server can answer with, as a tree; the only place that gives an error its status code.

Problem
├── BadRequest 400
│   ├── MissingHost          no Host header
│   ├── MalformedRequest     what the HTTP parser cannot read
│   ├── BadBody              no body, not UTF-8, no JSON, no object
│   ├── BadFields            a field of the body: unknown, missing, wrong type, out of range
│   └── BadParameters        a query parameter, or a header: unknown, doubled, out of range
├── TokenMissing 401         with WWW-Authenticate
├── Forbidden 403            these are in denials.py, as are TokenMissing and TooManyRequests
│   ├── ForeignHost          a Host that is not this machine
│   ├── ForeignOrigin        a page of another site
│   ├── ForeignSite          the same, by Sec-Fetch-Site
│   ├── WrongToken           unknown, or revoked
│   ├── ScopeTooSmall        it may only read
│   └── NotAdmin             it may not act for another owner
├── NotFound 404
│   ├── UnknownPath
│   ├── UnknownTask
│   └── UnknownSession
├── MethodNotAllowed 405     with Allow
├── NotAcceptable 406        nothing that is there is accepted
├── RequestTimeout 408       half a request; in refusals.py
├── Conflict 409
│   ├── SessionIsBusy        and the strategy is reject
│   ├── SessionIsBeingDeleted
│   ├── SessionIsThere       no fork and no import under its ID; in copy_problems.py, as are the next three
│   ├── TaskIsThere          no import that brings another one of its ID
│   ├── SessionTooLarge      to be exported
│   ├── WorkspaceTooLarge    to be copied for a fork
│   ├── NoSuchCallWaits      for approval; in approvals.py
│   └── TaskHasEnded         too late to cancel it
├── BodyTooLarge 413
├── UrlTooLong 414           in refusals.py
├── NotJson 415              the Content-Type is another one
├── IdempotencyKeyReused 422 with another body
├── TooManyTasks 429         with Retry-After
├── TooManyRequests 429      with Retry-After
│   └── TooManyWrongTokens
├── HeadersTooLarge 431
├── InternalError 500        a fault of the server; its log tells more
├── UnknownTransferCoding 501
└── ServiceUnavailable 503   with Retry-After
    ├── TooManyStreams       in all, or from one address
    ├── TooManyConnections   from one address; in refusals.py
    ├── TooMuchAtOnce        large requests; in refusals.py
    ├── TokensUnreadable     nobody can come in
    └── NotReady             starting, stopping, or its store cannot be written

All are written as ``application/problem+json`` (RFC 9457). Their ``type`` is ``about:blank``: the status says what
kind of problem it is, ``title`` is the status's name, and ``detail`` is for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import ClassVar

import msgspec

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"
"""What is over its limit or is restarted here is so for moments."""

LONGEST_QUOTE = 100
"""Characters of what a client sent that are repeated to it."""
MOST_ERRORS = 20
"""Bad fields that are named in one reply."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class FieldError(msgspec.Struct, frozen=True):
    """One bad field: its name, and what it must be and was."""

    field: str
    reason: str


class _ProblemOut(msgspec.Struct, frozen=True, kw_only=True):
    """The members of RFC 9457, and ``errors`` where single fields are at fault."""

    type: str
    title: str
    status: int
    detail: str
    errors: Sequence[FieldError] | msgspec.UnsetType = msgspec.UNSET


_encode = msgspec.json.Encoder().encode


def quoted(text: str) -> str:
    """Return ``text`` in quotes, shortened, for a sentence."""
    return f"'{shortened(text)}'"


def shortened(text: str) -> str:
    """Return ``text``, cut where it is longer than a quote may be."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


def listed(names: Sequence[str]) -> str:
    """Return ``names`` as they stand in a sentence: ``a, b, c``."""
    return ", ".join(names)


def first_errors(errors: Iterable[FieldError]) -> list[FieldError]:
    """Return as many as are named, and one that tells that there are more: a body may have 100,000."""
    return list(islice(errors, MOST_ERRORS + 1))


class Problem(Exception):
    """An answer that is not what the client asked for. ``detail`` says what was wrong and what would be right."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(
        self, detail: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] = _NO_HEADERS
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def encode(self) -> bytes:
        """Return the reply's body."""
        out = _ProblemOut(
            type="about:blank",
            title=self.title,
            status=self.status,
            detail=self.detail,
            errors=self.errors or msgspec.UNSET,
        )
        return _encode(out)


class BadRequest(Problem):
    """The request cannot be understood, or asks for what cannot be."""

    status = 400
    title = "Bad Request"


class MissingHost(BadRequest):
    """HTTP/1.1 requires a Host; without it, this machine cannot be told from another."""

    def __init__(self) -> None:
        super().__init__("The request has no Host header. Send one, such as 'Host: localhost'.")


class MalformedRequest(BadRequest):
    """The HTTP parser gave up; ``reason`` is its own word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"This is not a valid HTTP request: {reason.rstrip('.')}.")


class BadBody(BadRequest):
    """The body as a whole is not what it should be."""


class BadFields(BadRequest):
    """Fields of the body, or query parameters, are not what they should be."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        found = first_errors(errors)
        named = [FieldError(shortened(error.field), error.reason) for error in found[:MOST_ERRORS]]
        more = " And there are more." if len(found) > len(named) else ""
        told = "; ".join(f"'{error.field}' {error.reason}" for error in named)
        super().__init__(f"{told}.{more}", errors=named)


class BadParameters(BadFields):
    """Query parameters are not what they should be."""


class Forbidden(Problem):
    """The request comes from where none is taken from."""

    status = 403
    title = "Forbidden"


class NotFound(Problem):
    """There is no such thing."""

    status = 404
    title = "Not Found"


class UnknownPath(NotFound):
    """No route leads there."""

    def __init__(self, path: str, routes: Sequence[str]) -> None:
        super().__init__(f"There is nothing at {quoted(path)}. There is {listed(routes)}.")


class UnknownTask(NotFound):
    """No task has this ID."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"There is no task {quoted(task_id)}. GET /api/tasks lists those that there are.")


class UnknownSession(NotFound):
    """No session has this ID."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"There is no session {quoted(session_id)}. GET /api/sessions lists those that there are."
        )


class MethodNotAllowed(Problem):
    """There is such a path, and it takes other methods."""

    status = 405
    title = "Method Not Allowed"

    def __init__(self, method: str, path: str, allow: str) -> None:
        super().__init__(
            f"{quoted(path)} does not take {quoted(method)}. It takes {allow}.", headers={"Allow": allow}
        )


class NotAcceptable(Problem):
    """No representation that the client accepts is there."""

    status = 406
    title = "Not Acceptable"

    def __init__(self, there: Sequence[str]) -> None:
        super().__init__(f"The header Accept excludes what there is here: {' and '.join(there)}.")


class Conflict(Problem):
    """It cannot be done in the state that things are in."""

    status = 409
    title = "Conflict"


class SessionIsBusy(Conflict):
    """The strategy was ``reject``."""

    def __init__(self, session_id: str, unfinished: Sequence[str]) -> None:
        tasks = "1 unfinished task" if len(unfinished) == 1 else f"{len(unfinished)} unfinished tasks"
        super().__init__(
            f"The session {quoted(session_id)} has {tasks}, and 'multitask_strategy' is 'reject'."
            " Wait until it has none, or choose another strategy: enqueue, interrupt, parallel."
        )


class SessionIsBeingDeleted(Conflict):
    """Nothing new comes into it, and nothing new under its ID yet."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"The session {quoted(session_id)} is being deleted. Wait until it is gone: then its ID is free again."
        )


class IdempotencyKeyReused(Problem):
    """The key came with another body before."""

    status = 422
    title = "Unprocessable Content"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The Idempotency-Key {quoted(key)} came with another body within the last 24 hours. "
            "Send the same body to repeat that request, or another key for a new one."
        )


class TaskHasEnded(Conflict):
    """There is nothing left to cancel."""

    def __init__(self, task_id: str, status: str) -> None:
        super().__init__(
            f"The task {quoted(task_id)} has ended already, as {quoted(status)}. It cannot be cancelled."
        )


class BodyTooLarge(Problem):
    """More than ``limit`` bytes, however they are sent."""

    status = 413
    title = "Content Too Large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit:,} bytes, which is the most that is taken here.")


class NotJson(Problem):
    """The body has another type, or does not say which."""

    status = 415
    title = "Unsupported Media Type"

    def __init__(self, content_type: str | None) -> None:
        said = "is not said" if content_type is None else f"is {quoted(content_type)}"
        super().__init__(
            f"The Content-Type of the body {said}. Send JSON in UTF-8, with 'Content-Type: application/json'.",
            headers={"Accept": "application/json"},
        )


class TooManyTasks(Problem):
    """The configured number of unfinished tasks is reached."""

    status = 429
    title = "Too Many Requests"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit:,} tasks are unfinished, which is as many as this server is configured to take."
            " Try again when some have ended.",
            headers={"Retry-After": RETRY_AFTER_SECONDS},
        )


class HeadersTooLarge(Problem):
    """The request line and the headers together."""

    status = 431
    title = "Request Header Fields Too Large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The request line and the headers take {limit:,} bytes or more, which is too large."
            " Send fewer or shorter ones."
        )


class InternalError(Problem):
    """A fault of the server."""

    def __init__(self) -> None:
        super().__init__(
            "The server met a fault of its own. Its log says more, under the request ID of this reply."
        )


class UnknownTransferCoding(Problem):
    """A Transfer-Encoding that HTTP/1.1 does not require."""

    status = 501
    title = "Not Implemented"

    def __init__(self) -> None:
        super().__init__("The only Transfer-Encoding that is understood here is 'chunked'.")


class ServiceUnavailable(Problem):
    """It could not be done now; later it may be."""

    status = 503
    title = "Service Unavailable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


class TooManyStreams(ServiceUnavailable):
    """As many streams are open as the configuration allows."""

    def __init__(self) -> None:
        super().__init__(
            "As many event streams are open as this server allows, in all or for one client address. Close some,"
            " or raise limits.max_streams and limits.max_streams_per_client in its settings."
        )


class NotReady(ServiceUnavailable):
    """Starting, stopping, or without a store that can be written."""

    def __init__(self) -> None:
        super().__init__(
            "The server takes no tasks now: it is starting or stopping, or its store cannot be written, which"
            " /health tells. Try again in a moment."
        )
