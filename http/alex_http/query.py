"""Query parameters: each known, each once, each in its range."""

from __future__ import annotations

import re
from typing import cast, get_args

from alex_actors.tasks import Status
from alex_actors.values import SessionId
from alex_http.errors import BadParameters, FieldError, NotSupportedYet, Problem, listed
from alex_http.exchange import Request
from alex_http.wire import ID_PATTERN

LARGEST = 2**63 - 1
"""The largest integer that the store has."""

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

    def _integer(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self._given.get(name)
        if text is None:
            return default
        # int() alone would take '1_000', ' 5' and the digits of other scripts.
        if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST)) and least <= int(text) <= most:
            return int(text)
        raise _bad(name, f"must be an integer from {least} to {most}")


def _unknown(name: str, known: tuple[str, ...]) -> Problem:
    if name == "wait":
        return NotSupportedYet("the query parameter 'wait'", "Ask for the task again until it has ended.")
    if not known:
        return _bad(name, "is not known here: this call takes no query parameters")
    return _bad(name, f"is not known here; the query parameters are {listed(known)}")


def _bad(name: str, reason: str) -> BadParameters:
    return BadParameters([FieldError(name, reason)])
