"""What the document is written with: operations, their parameters and their replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, TypeAlias

import msgspec

from alex_http import errors
from alex_http.openapi.schemas import name_of

Json: TypeAlias = dict[str, Any]  # Any: a part of the document

JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream"

COMMON_HEADERS = ("X-Request-ID", "X-Trace-ID")
"""The headers of every reply."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter in the path, the query or a header. ``schema`` is a JSON Schema."""

    name: str
    where: Literal["path", "query", "header"]
    says: str
    schema: Json
    required: bool = False
    example: str | None = None

    def json(self) -> Json:
        """Return it as the document has it."""
        example = {} if self.example is None else {"example": self.example}
        return {
            "name": self.name,
            "in": self.where,
            "required": self.required or self.where == "path",
            "description": self.says,
            "schema": self.schema,
            **example,
        }


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that is no problem: its status, its body by media type, its headers beside those of every reply.

    A body is a wire struct, or a JSON Schema where there is none. ``example`` is a JSON body.
    """

    status: int
    says: str
    body: Mapping[str, type | Json] = {}
    headers: Sequence[str] = ()
    example: Json | None = None
    links: Mapping[str, tuple[str, str]] = {}
    """Calls that go on from here, by name: a parameter of each, and the member of the body that is its value."""

    def json(self) -> Json:
        """Return it as the document has it."""
        content = {
            media_type: {"schema": reference(body) if isinstance(body, type) else body}
            for media_type, body in self.body.items()
        }
        if self.example is not None:
            content[JSON_TYPE]["example"] = self.example
        reply: Json = {"description": self.says, "headers": _headers((*self.headers, *COMMON_HEADERS))}
        if content:
            reply["content"] = content
        if self.links:
            reply["links"] = {
                name: {"operationId": name, "parameters": {parameter: f"$response.body#/{member}"}}
                for name, (parameter, member) in self.links.items()
            }
        return reply


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A call: what it does, what it takes, and what it answers.

    ``problems`` are the errors that it has beside those of every call; a bare status is described by them.
    ``scope`` is what a token must allow; None: it needs no token.
    """

    name: str
    tag: str
    says: str
    more: str = ""
    scope: Literal["read", "write"] | None
    parameters: Sequence[Parameter] = ()
    body: type[msgspec.Struct] | Json | None = None
    body_required: bool = True
    body_examples: Mapping[str, Json] = {}
    replies: Sequence[Reply]
    problems: Sequence[type[errors.Problem]] = ()


def reference(struct: type) -> Json:
    """Return a reference to the schema of a struct."""
    return {"$ref": f"#/components/schemas/{name_of(struct)}"}


def problem_replies(problems: Sequence[type[errors.Problem]]) -> Json:
    """Return the replies that problems are, by status: each says what all of them say."""
    by_status = sorted(dict.fromkeys(problems), key=lambda problem: problem.status)
    return {
        str(status): {
            "description": f"{title}. " + " ".join(_first_line(problem) for problem in kinds),
            "headers": _headers((*_headers_of(status), *COMMON_HEADERS)),
            "content": {errors.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for (status, title), kinds in groupby(by_status, key=lambda problem: (problem.status, problem.title))
    }


def _headers_of(status: int) -> tuple[str, ...]:
    match status:
        case 401:
            return ("WWW-Authenticate",)
        case 429 | 503:
            return ("Retry-After",)
        case _:
            return ()


def _headers(names: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _first_line(problem: type[errors.Problem]) -> str:
    return (problem.__doc__ or "").partition("\n")[0].replace("``", "`")
