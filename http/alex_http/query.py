"""Query parameters: each known, each once, each in its range."""

from __future__ import annotations

import re
from typing import cast, get_args

from alex_actors.tasks import Status
from alex_actors.values import SessionId
from alex_http.errors import BadParameters, FieldError, Problem, listed
from alex_http.exchange import Request
from alex_http.wire import ID_PATTERN

LARGEST = 2**63 - 1
"""The largest integer that the store has."""

LONGEST_WAIT = 60
"""Seconds. Proxies tend to give up on a reply after as much."""

# As programs print what is left of a time: 30, 2.5, 33.300000000000004, 1e-05.
_SECONDS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,20})?(?:e-[0-9]{1,3})?")
_ID = re.compile(ID_PATTERN)
_STATUSES: tuple[str, ...] = get_args(Status)


class Query:
    """The parameters of a request, of which only ``known`` may be there.

    This and every reader raise BadParameters, which says what would be right.
    """

    def __init__(self, req: Request, *known: str) -> None:
        given = req.params if req.query_string else {}
        for name, value in given.items():
            if name not in known:
                raise _unknown(name, known)
            if not isinstance(value, str):
                raise _bad(name, f"is there {len(value)} times; send it once")
            if not value:
                raise _bad(name, "is empty; give it a value, or leave it out")
        self._req = req
        self._given = cast(dict[str, str], given)  # every value was seen to be one

    def limit(self, default: int) -> int:
        """Return how many items a page may have: 1 to 1000."""
        return self._integer("limit", default, least=1, most=1000)

    def offset(self) -> int:
        """Return how many items to skip."""
        return self._integer("offset", 0, least=0, most=LARGEST)

    def after(self) -> int:
        """Return the event ID above which to begin."""
        return self._integer("after", 0, least=0, most=LARGEST)

    def cursor(self) -> int:
        """Return the event ID that a page ended at, 0 for the first page."""
        text = self._given.get("cursor")
        if text is not None and not _is_integer(text, least=0, most=LARGEST):
            raise _bad("cursor", "must be the next_cursor of the page before; leave it out for the first page")
        return int(text or 0)

    def position(self) -> int:
        """Return the event ID above which a stream begins: the header Last-Event-ID beats ``after``."""
        after = self.after()  # also if it is not used: what is wrong is said
        header = self._req.env.get("HTTP_LAST_EVENT_ID")
        return _integer_of("Last-Event-ID", header, least=0, most=LARGEST) if header else after

    def wait(self) -> float:
        """Return for how many seconds the reply may be held back: 0 to 60."""
        text = self._given.get("wait", "0")
        if not _SECONDS.fullmatch(text) or float(text) > LONGEST_WAIT:
            raise _bad("wait", f"must be a number of seconds from 0 to {LONGEST_WAIT}, such as 30 or 2.5")
        return float(text)

    def session_id(self) -> SessionId | None:
        """Return the session to which the answer is limited, None for all."""
        text = self._given.get("session_id")
        if text is not None and not _ID.fullmatch(text):
            raise _bad(
                "session_id",
                "must be at most 128 letters, digits, '.', '_' and '-', and not begin with '.'",
            )
        return None if text is None else SessionId(text)

    def status(self) -> Status | None:
        """Return the status to which the answer is limited, None for all."""
        text = self._given.get("status")
        if text is not None and text not in _STATUSES:
            raise _bad("status", f"must be one of {listed(_STATUSES)}")
        return cast("Status | None", text)  # it is one of the five, which no type checker can see

    def required_session_id(self) -> SessionId:
        """Return the session that is asked for."""
        session_id = self.session_id()
        if session_id is None:
            raise _bad("session_id", "is missing; it says whose events are wanted")
        return session_id

    def _integer(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self._given.get(name)
        return default if text is None else _integer_of(name, text, least=least, most=most)


def _integer_of(name: str, text: str, *, least: int, most: int) -> int:
    if _is_integer(text, least=least, most=most):
        return int(text)
    raise _bad(name, f"must be an integer from {least} to {most}")


def _is_integer(text: str, *, least: int, most: int) -> bool:
    # int() alone would take '1_000', ' 5' and the digits of other scripts.
    return text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST)) and least <= int(text) <= most


def _unknown(name: str, known: tuple[str, ...]) -> Problem:
    if not known:
        return _bad(name, "is not known here: this call takes no query parameters")
    return _bad(name, f"is not known here; the query parameters are {listed(known)}")


def _bad(name: str, reason: str) -> BadParameters:
    return BadParameters([FieldError(name, reason)])
