"""Spans as plain values: what the OpenTelemetry SDK, which need not be installed, is given later."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias

from alex_actors.text import encodable
from alex_actors.values import Value

Attribute: TypeAlias = str | bool | int | float
Kind: TypeAlias = Literal["internal", "client", "server"]


class AskedModel(NamedTuple):
    """What a model is called where it is asked, and whose that is, in the words of the semantic conventions."""

    name: str
    provider: str | None = None
    """None: not known."""


class Span(Value, frozen=True, kw_only=True):
    """A piece of work: when it began and ended, in nanoseconds since 1970, and what it was a part of."""

    name: str
    kind: Kind = "internal"
    trace_id: str
    """32 hexadecimal digits."""
    span_id: int
    parent_id: int | None
    """None: it is the first of its trace."""
    remote_parent: bool = False
    """Its parent is a span of another program."""
    start: int
    end: int
    attributes: dict[str, Attribute]
    error: str | None = None
    """What went wrong, in a word; None if nothing did."""


def span_id(trace_id: str, *of: str) -> int:
    """Return the ID, 64 bits and not 0, of the span of a trace that is named by ``of``: always the same one."""
    digest = blake2b("\0".join((trace_id, *of)).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def known(attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    """Return the attributes that say something, as a message can have them."""
    return {
        name: encodable(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None and value != ""
    }
