"""Reads what a server sent, as JSON or as the SDK's objects: any field may be missing, or of another type."""

from __future__ import annotations

from typing import Any


def field(thing: object, name: str) -> Any:  # Any: what a server sent in that place, whatever it is
    """Return what has that name in a thing; None if nothing has."""
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


def listed(value: object) -> list[Any]:  # Any: as above
    """Return a list as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """Return a text, or the text of a list of parts, as Mistral's reasoning models send it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text_of(field(part, "text")) for part in value if field(part, "type") in (None, "text"))
    return ""


def count(thing: object, name: str) -> int | None:
    """Return how many of something a server counted; None if it says none that can be."""
    value = field(thing, name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
