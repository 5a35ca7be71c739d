"""One request, its reply, and what the reply says: a value of the contract, or an error of the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar

import msgspec

from alex_http.client.errors import (
    ApiError,
    BadReply,
    BadRequest,
    Conflict,
    FieldError,
    Forbidden,
    KeyReused,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from alex_http.client.values import UNREADABLE

LONGEST_QUOTE = 200
"""Characters of a body that is no reply of the server which an error repeats."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to send, and when: ``pause`` seconds from now. ``read_timeout`` in seconds; None: the client's."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    read_timeout: float | None = None
    pause: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back. The names in ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """Which errors a 404 and a 409 of the server are: it depends on the call."""

    not_found: type[NotFound] = NotFound
    conflict: type[Conflict] = Conflict


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The members of RFC 9457 that are used here."""

    title: str
    detail: str
    errors: Sequence[FieldError] = ()


def check(reply: Reply, refusals: Refusals) -> None:
    """Raise the ApiError that a reply is, if it is one."""
    if not 200 <= reply.status < 300:
        raise refusal(reply, refusals)


def read(reply: Reply, shape: type[T], refusals: Refusals) -> T:
    """Return what a reply tells. Raises the ApiError that it is, or BadReply."""
    check(reply, refusals)
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except UNREADABLE as error:
        raise bad_reply(reply, str(error)) from error


def bad_reply(reply: Reply, reason: str) -> BadReply:
    """Return the error that tells of a reply which no server of ours sends."""
    return BadReply(f"This is no reply of Alex Runtime ({reason}): {reply.status} {_quote(reply.body)}")


def refusal(reply: Reply, refusals: Refusals) -> ApiError:
    """Return the error that a reply is. One that a proxy wrote has no ``detail`` of the server."""
    problem = _problem(reply)
    kind = _kind(reply.status)
    if problem is None:
        problem = _Problem(title=_phrase(reply.status), detail=f"{_phrase(reply.status)}: {_quote(reply.body)}")
    elif kind is NotFound:
        kind = refusals.not_found
    elif kind is Conflict:
        kind = refusals.conflict
    return kind(
        problem.detail,
        status=reply.status,
        title=problem.title,
        errors=problem.errors,
        retry_after=_retry_after(reply.headers),
        request_id=reply.headers.get("x-request-id"),
    )


def _kind(status: int) -> type[ApiError]:
    match status:
        case 400:
            return BadRequest
        case 401:
            return Unauthorized
        case 403:
            return Forbidden
        case 404:
            return NotFound
        case 409:
            return Conflict
        case 422:
            return KeyReused
        case 429:
            return TooManyRequests
        case 502 | 503 | 504:
            return Unavailable
        case _:
            return ServerError if status >= 500 else ApiError


def _problem(reply: Reply) -> _Problem | None:
    """Return the server's own words; None if it is not the server that speaks."""
    if reply.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/problem+json":
        return None
    try:
        return msgspec.json.decode(reply.body, type=_Problem)
    except UNREADABLE:
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After, which may be a moment, too (RFC 9110, 10.2.3).

    A moment is compared with the reply's own Date, so that the clocks of the two machines need not agree.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment, sent = (parsedate_to_datetime(text) for text in (value, headers.get("date", "")))
        return max(0.0, (moment - sent).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def _quote(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…")
