"""A reply against the OpenAPI document: its status, its media type, its headers, its body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from openapi_schema_validator import OAS31Validator, oas31_format_checker

from tests.live.process import Json

_PLACE = re.compile(r"\{\w+\}")


class Contract:
    """The document, read more strictly than clients should: of what is not in it, nothing may come.

    ``seen`` has what was looked at: path, method and status.
    """

    def __init__(self, document: Json) -> None:
        self._document = closed(deepcopy(document))
        self.seen: set[tuple[str, str, str]] = set()
        paths = sorted(document["paths"], key=lambda path: path.count("{"))
        self._paths = {re.compile(_PLACE.sub("[^/]+", path)): path for path in paths}

    def operations(self) -> set[tuple[str, str]]:
        """Return the path and the method of each."""
        return {(path, method) for path, item in self._document["paths"].items() for method in item}

    def scope(self, path: str, method: str) -> str | None:
        """Return the scope that a call needs of a token, None if it needs no token."""
        security = self._document["paths"][path][method]["security"]
        return security[0]["bearer"][0] if security else None

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Assert that this reply to this request is in the document. Header names are in lower case."""
        template = next(known for pattern, known in self._paths.items() if pattern.fullmatch(path))
        replies = self._document["paths"][template][method.lower()]["responses"]
        assert str(status) in replies, f"{method} {template}: {status} is not in the document: {body[:500]!r}"
        self.seen.add((template, method.lower(), str(status)))
        reply = self._resolved(replies[str(status)])
        for name, header in reply.get("headers", {}).items():
            assert name.lower() in headers, f"{method} {path}: {status} without {name}"
            text = headers[name.lower()]
            schema = self._resolved(header)["schema"]
            self._validate(int(text) if schema["type"] == "integer" else text, schema)
        content = reply.get("content", {})
        assert bool(content) == bool(body), f"{method} {path}: {status} with {len(body)} bytes"
        if content:
            media_type = headers["content-type"].partition(";")[0]
            assert media_type in content, f"{method} {path}: {status} as {media_type}"
            if media_type.endswith("json"):
                self._validate(json.loads(body), content[media_type]["schema"])

    def validate(self, value: object, schema: Json) -> None:
        """Assert that a value fits a schema of the document."""
        self._validate(value, closed(deepcopy(schema)))

    def _validate(self, value: object, schema: Json) -> None:
        whole = schema | {"components": self._document["components"]}
        errors = [error.message for error in _validator(whole).iter_errors(value)]
        assert errors == [], f"{value!r:.1000}"

    def _resolved(self, part: Json) -> Json:
        if "$ref" not in part:
            return part
        found: Json = self._document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return found


def closed(part: Any) -> Any:  # Any: a part of a JSON Schema
    """Return it with every object closed that says which members it has."""
    if isinstance(part, list):
        for item in part:
            closed(item)
    if isinstance(part, dict):
        for item in part.values():
            closed(item)
        if part.get("type") == "object" and "properties" in part:
            part.setdefault("additionalProperties", False)
    return part


def _validator(schema: Json) -> Any:  # Any: jsonschema has no types
    return OAS31Validator(schema, format_checker=oas31_format_checker)
