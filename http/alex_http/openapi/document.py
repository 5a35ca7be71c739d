"""The document as a whole."""

from __future__ import annotations

from types import MappingProxyType

from alex_http.access import COOKIE
from alex_http.catalog import Catalog
from alex_http.openapi.page_calls import PAGE_CALLS
from alex_http.openapi.parts import JSON_TYPE, Json, Operation, problem_replies, reference
from alex_http.openapi.schemas import schemas
from alex_http.openapi.server_calls import SERVER_CALLS
from alex_http.openapi.session_calls import SESSION_CALLS
from alex_http.openapi.shared import COMMON, OWNER, WITH_TOKEN
from alex_http.openapi.task_calls import TASK_CALLS

_ABOUT = (
    "Submit tasks to AI agents, follow them, cancel them.\n\n"
    "Every path that takes `GET` takes `HEAD`, too. Every reply has `X-Request-ID` (the request's own if it had"
    " one) and `X-Trace-ID` (that of a W3C `traceparent`). Errors are `application/problem+json` (RFC 9457). A"
    " path that is not here is a 404, a method that is not here a 405 with `Allow`."
)

_TAGS = (
    ("tasks", "Work for agents."),
    ("events", "What happens to tasks, as server-sent events or in pages."),
    ("sessions", "Tasks that belong together: they share a conversation and a workspace."),
    ("server", "Its health, and this document."),
    ("pages", "For people with a browser."),
)

_HEADERS = {
    "X-Request-ID": ("The ID of the request, under which it is in the server's log.", {"type": "string"}),
    "X-Trace-ID": ("The ID of the trace that it belongs to.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    "Location": ("The path of what was made.", {"type": "string", "format": "uri-reference"}),
    "ETag": ("Which version of the file it is.", {"type": "string"}),
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 1}),
    "Set-Cookie": ("`alex_token`: HttpOnly, SameSite=Strict.", {"type": "string"}),
    "WWW-Authenticate": ("How to say who is asking.", {"type": "string"}),
}

_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token, made with `alex token create`. Each call names the scope that it needs.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "Set by `POST /api/login`, for browsers: an `EventSource` cannot send `Authorization`.",
    },
}

_SHARED = MappingProxyType(problem_replies((*WITH_TOKEN, *COMMON)))
"""The replies that say the same in every call that needs a token, by status."""


def openapi_document(*, version: str, catalog: Catalog) -> Json:
    """Return the contract as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html), with JSON Schema 2020-12.

    ``version`` is that of the program; ``catalog`` has what a client may choose from.
    """
    paths: Json = {}
    for (path, method), operation in {**TASK_CALLS, **SESSION_CALLS, **SERVER_CALLS, **PAGE_CALLS}.items():
        paths.setdefault(path, {})[method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Alex Runtime",
            "version": version,
            "summary": "A task server for AI agents.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": says} for name, says in _TAGS],
        "paths": paths,
        "components": {
            "schemas": schemas(catalog),
            "responses": dict(_SHARED),
            "headers": {
                name: {"description": says, "schema": schema} for name, (says, schema) in _HEADERS.items()
            },
            "securitySchemes": _SECURITY,
        },
    }


def _operation(operation: Operation) -> Json:
    """Return an operation as the document has it, with what is so of every call.

    A reply that says the same in every call stands among the components, under its status.
    """
    found: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.says,
        "security": _security(operation.scope),
    }
    if operation.more:
        found["description"] = operation.more
    parameters = (*operation.parameters, OWNER) if operation.scope else operation.parameters
    if parameters:
        found["parameters"] = [parameter.json() for parameter in parameters]
    if operation.body is not None:
        found["requestBody"] = _request_body(operation)
    replies = {str(reply.status): reply.json() for reply in operation.replies}
    common = (*WITH_TOKEN, *COMMON) if operation.scope else COMMON
    for status, problem in problem_replies((*operation.problems, *common)).items():
        if status in replies:
            replies[status] = _either(replies[status], problem)
        elif problem == _SHARED.get(status):
            replies[status] = {"$ref": f"#/components/responses/{status}"}
        else:
            replies[status] = problem
    found["responses"] = dict(sorted(replies.items()))
    return found


def _either(reply: Json, problem: Json) -> Json:
    """Return a reply that may be what was asked for, or a problem: ``/health`` has its 503 in both forms."""
    return {
        **reply,
        "description": f"{reply['description']} {problem['description']}",
        "headers": reply["headers"] | problem["headers"],
        "content": reply["content"] | problem["content"],
    }


def _request_body(operation: Operation) -> Json:
    body = operation.body
    media: Json = {"schema": reference(body) if isinstance(body, type) else body}
    if operation.body_examples:
        media["examples"] = {name: {"value": value} for name, value in operation.body_examples.items()}
    return {"required": operation.body_required, "content": {JSON_TYPE: media}}


def _security(scope: str | None) -> list[Json]:
    # The last one, empty: a server without tokens asks for none. From OpenAPI 3.1 on any scheme may name roles.
    return [] if scope is None else [{"bearer": [scope]}, {"cookie": [scope]}, {}]
