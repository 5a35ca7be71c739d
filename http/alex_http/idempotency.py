"""The header ``Idempotency-Key``: what tells a repeated submit from a new one."""

from __future__ import annotations

import hashlib
import re

import msgspec

from alex_actors.tasks import IdempotencyKey
from alex_http.errors import BadParameters, FieldError
from alex_http.exchange import Request

_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(req: Request, body: bytes) -> IdempotencyKey | None:
    """Return the key of a request with this body, which is known to be JSON; None if it has none.

    Raises BadParameters.
    """
    text = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise BadParameters([FieldError("Idempotency-Key", "must be 1 to 255 visible ASCII characters, once")])
    return IdempotencyKey(text, fingerprint(body))


def fingerprint(body: bytes) -> str:
    """Return what two bodies have in common that are the same JSON: whatever their spaces and their order."""
    value = _without_integral_floats(msgspec.json.decode(body))
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def _without_integral_floats(value: object) -> object:
    """JSON has one kind of number: 30 and 30.0 are the same."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _without_integral_floats(one) for name, one in value.items()}
        case list():
            return [_without_integral_floats(one) for one in value]
        case _:
            return value
