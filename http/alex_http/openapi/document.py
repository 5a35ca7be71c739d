"""The document as a whole."""

from __future__ import annotations

from alex_http.catalog import Catalog
from alex_http.openapi.parts import Json, operation_json, problem_replies
from alex_http.openapi.paths import COMMON, OPERATIONS
from alex_http.openapi.schemas import schemas

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
)

_HEADERS = {
    "X-Request-ID": ("The ID of the request, under which it is in the server's log.", {"type": "string"}),
    "X-Trace-ID": ("The ID of the trace that it belongs to.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    "Location": ("The path of what was made.", {"type": "string", "format": "uri-reference"}),
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 1}),
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
        "name": "alex_token",
        "description": "Set by `POST /api/login`, for browsers: an `EventSource` cannot send `Authorization`.",
    },
}


def openapi_document(*, version: str, catalog: Catalog) -> Json:
    """Return the contract as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html), with JSON Schema 2020-12.

    ``version`` is that of the program; ``catalog`` has what a client may choose from.
    """
    paths: Json = {}
    for (path, method), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method] = operation_json(operation, COMMON)
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
            "responses": problem_replies(COMMON),
            "headers": {
                name: {"description": says, "schema": schema} for name, (says, schema) in _HEADERS.items()
            },
            "securitySchemes": _SECURITY,
        },
    }
