"""What can go wrong with one call of a model, in the terms of no provider's package, and what it means.

``Fault`` is what happened; ``failure_of`` makes of it what an agent is told: a ModelFailure, which says whether to
try again, or a ContextOverflow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from alex_actors.events import Usage
from alex_actors.models.overflow import says_overflow
from alex_actors.models.spec import ModelSpec
from alex_actors.ports import ContextOverflow, ModelError
from alex_actors.text import shortened

FaultKind: TypeAlias = Literal["unreachable", "timeout", "cut", "status", "moved", "refused", "length", "empty"]

CONNECT_SECONDS = 30.0
"""For a connection to come about: one takes less than a second if the server is there, a thousand take some."""

_LONGEST_QUOTE = 500
"""Characters of what a provider said."""

_PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may be gone the next time: the same as the official SDKs', and Too Early."""

_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""Codes of a 429 that no waiting mends: the account has no money left."""

_STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Of errors that come in the middle of a stream, whose own status was 200: as OpenAI and Anthropic name them."""


class Fault(Exception):
    """What happened to one call.

    ``said`` is the provider's text, ``status`` the HTTP status of its error, ``codes`` its names for it. A status
    that is a redirect's makes it "moved".
    """

    def __init__(
        self,
        kind: FaultKind,
        said: str = "",
        *,
        status: int | None = None,
        codes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(said)
        self.said = said
        self.codes = codes
        self.status = _status(status, codes)
        is_redirect = self.status is not None and self.status < 400
        self.kind: FaultKind = "moved" if is_redirect else kind
        self.headers: Mapping[str, str] = headers or {}


class ModelFailure(ModelError):
    """Raised by a model whose call failed.

    ``what`` says so without a full stop at its end. ``again``: it may go well the next time, ``after`` so many
    seconds if the provider asked for that. ``is_down``: the server does not work, whoever asks.
    """

    def __init__(
        self,
        what: str,
        *,
        again: bool = False,
        after: float | None = None,
        is_down: bool = False,
        spent: Usage | None = None,
    ) -> None:
        super().__init__(f"{what}.", spent=spent)
        self.what = what
        self.again = again
        self.after = after
        self.is_down = is_down


def failure_of(
    fault: Fault, spec: ModelSpec, *, now: datetime, began: bool = False, spent: Usage | None = None
) -> ModelFailure | ContextOverflow:
    """Return what a fault means to whoever asked. ``began``: part of the answer was there."""
    failure = _meaning(fault, spec, now=now, began=began)
    failure.spent = spent
    return failure


def _meaning(fault: Fault, spec: ModelSpec, *, now: datetime, began: bool) -> ModelFailure | ContextOverflow:
    who = f"The model {spec.name} at {spec.place}"
    match fault.kind:
        case "status":
            return _refusal(fault, spec, who, now=now)
        case "moved":
            return ModelFailure(
                f"{who} answers with a redirect ({fault.status}){_target(fault, spec)}, which is not followed: "
                f"the conversation and the key are for that address alone. Check {spec.section}.base_url"
            )
        case "unreachable":
            hint = f"{_quoted(fault, spec)}; is the server at {spec.section}.base_url running?"
            return ModelFailure(f"{who} cannot be reached{hint}", again=True, is_down=True)
        case "timeout":
            silence = "fell silent in the middle of its answer for" if began else "did not answer within"
            return ModelFailure(f"{who} {silence} {spec.timeout_seconds:g} seconds", again=True, is_down=True)
        case "cut":
            return ModelFailure(
                f"{who} broke off before the end of its answer{_quoted(fault, spec)}",
                again=True,
                is_down=True,
            )
        case "empty":
            return ModelFailure(f"{who} answered with nothing", again=True)
        case "refused":
            return ModelFailure(f"{who} refused to answer{_quoted(fault, spec) or ': its filter says no'}")
        case "length":
            limit = f"raise {spec.section}.max_output_tokens"
            return ModelFailure(f"{who} used up its output tokens before it said anything: {limit}")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how many seconds a server asks to be left alone (RFC 9110, section 10.2.3); None if it does not.

    ``retry-after-ms`` is OpenAI's and Azure's, and more exact.
    """
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) / scale
        except ValueError:
            seconds = _seconds_until(text, now)
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _seconds_until(date: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())


def _status(status: int | None, codes: tuple[str, ...]) -> int | None:
    if status is not None and status >= 300:
        return status
    for code in codes:
        if code in _STATUSES:
            return _STATUSES[code]
        if code.isascii() and code.isdigit() and 400 <= int(code) < 600:
            return int(code)
    return None


def _target(fault: Fault, spec: ModelSpec) -> str:
    """Return where a redirect leads, for people: without a name, a password or a query."""
    try:
        parts = urlsplit(" ".join(fault.headers.get("location", "").split()))
    except ValueError:
        return ""
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
    target = spec.without_key(host + parts.path)
    return f" to {shortened(target, _LONGEST_QUOTE)}" if target else ""


def _refusal(fault: Fault, spec: ModelSpec, who: str, *, now: datetime) -> ModelFailure | ContextOverflow:
    """Return what an error means that the provider reported."""
    status = fault.status
    said = f" ({status if status is not None else 'error'}){_quoted(fault, spec)}"
    if says_overflow(fault.said, fault.codes, status):
        return ContextOverflow(f"The conversation is too long for the model {spec.name} at {spec.place}{said}.")
    if status is None or status >= 500 or status in _PASSING:
        if _SPENT.intersection(fault.codes):
            return ModelFailure(f"{who} is not paid for{said}: see to the account's credit")
        trouble = "is asked too often" if status == 429 else "has trouble"
        is_down = status is None or status >= 500
        after = retry_after(fault.headers, now)
        return ModelFailure(f"{who} {trouble}{said}", again=True, after=after, is_down=is_down)
    return ModelFailure(f"{who} {_remedy(status, spec, said)}")


def _remedy(status: int, spec: ModelSpec, said: str) -> str:
    """Return what is wrong with a request that would fail again, and what to do."""
    match status:
        case 401:
            what = "refuses the API key" if spec.api_key else "wants an API key"
            return f"{what}{said}: check {spec.section}.api_key"
        case 402:
            return f"is not paid for{said}: see to the account's credit"
        case 403:
            return f"does not let this API key in{said}: check what the account may use"
        case 404:
            return f"is not known there{said}: check {spec.section}.name and {spec.section}.base_url"
        case _:
            return f"refuses the request{said}"


def _quoted(fault: Fault, spec: ModelSpec) -> str:
    """Return what the provider said, after a colon; nothing if it said nothing."""
    said = " ".join(spec.without_key(fault.said).split()).rstrip(".")
    return f": {shortened(said, _LONGEST_QUOTE)}" if said else ""
