"""Who makes a request, as far as the server knows."""

from __future__ import annotations

from alex_actors.values import LOCAL_OWNER, Owner, Value
from alex_http.tokens import Scope


class Caller(Value, frozen=True):
    """For whom a request is made, and what it may do."""

    owner: Owner
    scope: Scope
    token_id: str = ""
    """``""``: it needed no token."""
    token_name: str = ""


class Denial(Value, frozen=True):
    """Why a request was not let in, for the log."""

    reason: str
    token_name: str = ""
    """``""``: it came with none that is known."""


LOCAL = Caller(LOCAL_OWNER, "admin")
"""Everybody on this machine, while there are no tokens."""
