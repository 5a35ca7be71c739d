"""The schemas of the document, made from the structs that the server reads and writes: they cannot drift."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from alex_actors.events import AnyEvent, Usage
from alex_http import wire
from alex_http.catalog import Catalog
from alex_http.documents import DocumentIn, DocumentOut
from alex_http.login import LoginIn

Json: TypeAlias = dict[str, Any]  # Any: a part of the document

REQUESTS: tuple[type[msgspec.Struct], ...] = (
    wire.SubmitIn,
    wire.ApprovalIn,
    wire.SessionIn,
    wire.EmptyIn,
    LoginIn,
    DocumentIn,
)
REPLIES: tuple[type[msgspec.Struct], ...] = (
    wire.TaskOut,
    wire.TasksOut,
    wire.ApprovalOut,
    wire.ApprovalsOut,
    wire.CancelledOut,
    wire.EventsOut,
    wire.SessionOut,
    wire.SessionsOut,
    wire.SessionDetailOut,
    DocumentOut,
    wire.HealthOut,
    wire.ReadyOut,
)
EVENTS: tuple[type[msgspec.Struct], ...] = get_args(AnyEvent)
IN_EVENTS: tuple[type[msgspec.Struct], ...] = (Usage,)

_REF = "#/components/schemas/{name}"
_MOMENT = "RFC 3339, UTC, with microseconds"


class EventHeader(msgspec.Struct, frozen=True):
    """What every event has, beside the fields of its type. Ids grow over the whole server."""

    event_id: int
    task_id: str
    session_id: str
    parent_task_id: str | None
    timestamp: str
    agent_level: Literal["core", "subagent"]


class FieldFault(msgspec.Struct, frozen=True):
    """One bad field: its name, and what it must be and was."""

    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error (RFC 9457). ``detail`` says what was wrong and what would be right; ``errors`` name bad fields."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    errors: list[FieldFault] | msgspec.UnsetType = msgspec.UNSET


def name_of(struct: type) -> str:
    """Return the name of a struct in the document: a client generator makes a class of it."""
    return _public(struct.__name__)


def schemas(catalog: Catalog) -> Json:
    """Return all schemas, by name."""
    found = _components((*REQUESTS, *REPLIES, *EVENTS, EventHeader, Problem))
    for struct in (*REPLIES, *EVENTS, *IN_EVENTS):
        _require_all(found, struct)
    _join_headers(found)
    del found["HeadBody"]
    for page in ("Events", "Document", "DocumentBody"):
        found[page]["properties"]["events"]["items"] = {"$ref": _REF.format(name="Event")}
    _name_choices(found["SubmitBody"]["properties"], catalog)
    return dict(sorted(found.items()))


def _components(structs: Iterable[type]) -> Json:
    _, components = msgspec.json.schema_components(structs, ref_template=_REF)
    return {_public(name): _rewritten(schema) for name, schema in components.items()}


def _public(name: str) -> str:
    return f"{name.removesuffix('In')}Body" if name.endswith("In") else name.removesuffix("Out")


def _rewritten(part: Any) -> Any:  # Any: a part of a schema
    """Return a part of a schema as others read it: public names, patterns of ECMA-262, Markdown."""
    if isinstance(part, list):
        return [_rewritten(item) for item in part]
    if not isinstance(part, dict):
        return part
    told = {key: _rewritten(value) for key, value in part.items()}
    match told:
        case {"$ref": str(target)}:
            told["$ref"] = _public(target)
        case {"pattern": str(pattern)}:
            told["pattern"] = pattern.replace(r"\A", "^").replace(r"\Z", "$")
        case {"title": str(title), "properties": dict(properties)}:
            told["title"] = _public(title)
            for name, value in properties.items():
                _say_moment(name, value)
    if isinstance(told.get("description"), str):
        told["description"] = told["description"].replace("``", "`")
    return told


def _say_moment(name: str, schema: Json) -> None:
    """Say of a timestamp that it is one."""
    if not name.endswith("_at") and name != "timestamp":
        return
    for kind in schema.get("anyOf", [schema]):
        if kind.get("type") == "string":
            kind |= {"format": "date-time", "description": _MOMENT}


def _require_all(found: Json, struct: type[msgspec.Struct]) -> None:
    """Say that all fields are there: of what the server writes, a default is mostly no reason to leave one out."""
    schema = found[name_of(struct)]
    optional = _left_out(struct)
    for value in schema.get("properties", {}).values():
        value.pop("default", None)
    schema["required"] = [name for name in schema.get("properties", {}) if name not in optional]


def _left_out(struct: type[msgspec.Struct]) -> frozenset[str]:
    """Return the fields that are left out where they would say nothing."""
    if not struct.__struct_config__.omit_defaults:
        return frozenset()
    return frozenset(field.name for field in msgspec.structs.fields(struct) if not field.required)


def _join_headers(found: Json) -> None:
    """Give each event what all events have, and the whole of them a name."""
    header = found.pop("EventHeader")
    mapping = {}
    for struct in EVENTS:
        schema, tag = found[name_of(struct)], str(struct.__struct_config__.tag)
        schema["properties"] = header["properties"] | schema["properties"]
        schema["required"] = [*header["properties"], *schema["required"]]
        mapping[tag] = _REF.format(name=name_of(struct))
    found["Event"] = {
        "title": "Event",
        "description": f"An event. {header['description']}",
        "oneOf": [{"$ref": target} for target in mapping.values()],
        "discriminator": {"propertyName": "event_type", "mapping": mapping},
    }


def _name_choices(properties: Json, catalog: Catalog) -> None:
    """Name the presets and models that this server has, and what is taken if none is chosen."""
    for field, known, default in (
        ("agent_preset", catalog.agent_presets, catalog.agent_preset),
        ("tool_preset", catalog.tool_presets, catalog.tool_preset),
        ("model", catalog.models, catalog.model),
    ):
        properties[field] = {
            "description": f"{properties[field]['description']}, which means `{default}` here",
            "anyOf": [{"enum": ["", *known]}, {"type": "null"}],
            "default": None,
        }
    properties["max_iterations"]["description"] += f" for {catalog.max_iterations}"
