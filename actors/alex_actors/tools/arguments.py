"""Checks a tool's arguments against its schema, so that a model is told what to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alex_actors.ports import ToolError, ToolSpec

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}
"""Python's types of JSON Schema's. A bool is no number, although Python says so."""


def check_arguments(spec: ToolSpec, arguments: Mapping[str, Any]) -> None:  # JSON, as the model wrote it
    """Raise ToolError if an argument is missing, unknown or of a wrong type.

    Only the first level is checked: a tool with nested arguments checks those itself.
    """
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})  # JSON Schemas by name
    for name in spec.parameters.get("required", ()):
        if name not in arguments:
            raise ToolError(f"{spec.name!r} needs the argument {name!r}. {_takes(properties)}")
    for name, value in arguments.items():
        schema = properties.get(name)
        if schema is not None:
            _check_type(spec.name, name, value, schema.get("type"))
        elif spec.parameters.get("additionalProperties") is False:
            raise ToolError(f"{spec.name!r} has no argument {name!r}. {_takes(properties)}")


def _check_type(tool: str, name: str, value: object, wanted: str | list[str] | None) -> None:
    if wanted is None:
        return
    names = [wanted] if isinstance(wanted, str) else wanted
    if not any(_is(value, kind) for kind in names):
        raise ToolError(
            f"The argument {name!r} of {tool!r} must be of type {' or '.join(names)}, not {_json_type(value)}."
        )


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, (object,)))


def _json_type(value: object) -> str:
    return next((kind for kind in _TYPES if _is(value, kind)), type(value).__name__)


def _takes(properties: Mapping[str, Any]) -> str:  # JSON Schemas by name
    return f"It takes: {', '.join(properties)}." if properties else "It takes no arguments."
