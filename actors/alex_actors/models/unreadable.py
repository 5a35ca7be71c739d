"""Calls whose arguments nobody can read: what a model wrote is kept, so that it can be told what was wrong.

A tool is called with a JSON object. What a model writes may be something else: JSON that was cut off, a list, or
prose. Such a call is a call all the same, with one argument of a name that no tool has; whoever runs calls looks
for it with ``unreadable`` first, and answers the model with what that returns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from alex_actors.text import encodable, shortened

UNREADABLE = "__unreadable__"
"""The only argument of such a call: what the model wrote."""

_LONGEST = 4_000
"""Characters that are kept of it."""
_EXCERPT = 300
"""Characters that the model is shown of it."""


def arguments_of(written: str) -> dict[str, Any]:  # JSON, as the model wrote it
    """Return the object that a model wrote as a call's arguments; nothing at all is an empty one."""
    if not written.strip():
        return {}
    try:
        value = _decoded(written)
        if isinstance(value, str):  # some write JSON into a string of JSON
            value = _decoded(value)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {UNREADABLE: shortened(encodable(written), _LONGEST)}


def unreadable(arguments: Mapping[str, Any]) -> str | None:  # JSON, as the model wrote it
    """Return what to tell a model whose arguments could not be read; None if they could."""
    written = arguments.get(UNREADABLE)
    if written is None:
        return None
    return (
        "The tool was not run: the arguments of this call are not a whole JSON object. If they were cut off, "
        f"write less at once. They begin: {shortened(str(written), _EXCERPT)}"
    )


def _decoded(written: str) -> object:
    try:
        return msgspec.json.decode(written)
    except (ValueError, RecursionError):  # stricter than some models: line breaks in strings, half surrogates
        value: object = json.loads(written, strict=False, parse_constant=_no_json)
        return json.loads(encodable(json.dumps(value, ensure_ascii=False)))


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
