"""Makes spans of HTTP requests, after the semantic conventions of OpenTelemetry for HTTP servers.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

from alex_actors.tracing.spans_lines import Line, began, remote_span
from alex_actors.tracing.spans_values import Span, known, span_id

SUBMIT = "submit"
"""What names the span of the request that submitted a task: known to the task before the request is answered."""

PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Asked every few seconds by whoever watches the server: no spans."""

ROUTES = (
    "/", "/page/{file}", "/docs", "/docs/{file}", "/favicon.ico", "/openapi.json",
    "/api/tasks", "/api/tasks/{task_id}", "/api/tasks/{task_id}/cancel", "/api/tasks/{task_id}/events",
    "/api/tasks/{task_id}/approvals/{call_id}", "/api/approvals",
    "/api/sessions", "/api/sessions/{session_id}", "/api/sessions/{session_id}/fork",
    "/api/sessions/{session_id}/export", "/api/sessions/{session_id}/events", "/api/import", "/api/sse",
    "/api/login", "/api/logout",
)  # fmt: skip
"""Paths, and what they have names in; the HTTP layer has the table that counts."""

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_SEGMENTS = tuple((route, tuple(route.split("/"))) for route in ROUTES)


def request_span(line: Line, end: int) -> Span | None:
    """Return the span of a request that was answered at ``end``; None if none is made of it.

    Its parent is the span that the client's ``traceparent`` named, if it sent one.
    """
    if line.path in PROBES or not isinstance(line.status, int):
        return None
    method = line.method if line.method in _METHODS else "_OTHER"
    route = route_of(line.path)
    error = str(line.status) if line.status >= 500 else None
    parent = remote_span(line.parent_span_id)
    attributes = {
        "http.request.method": method,
        "http.request.method_original": line.method if method == "_OTHER" else None,
        "http.route": route,
        "http.response.status_code": line.status,
        "url.path": line.path,
        "url.scheme": "http",
        "error.type": error,
        "gen_ai.conversation.id": line.session_id,
        "alex.task_id": line.task_id,
        "alex.request_id": line.request_id,
    }
    # A name is to be one of few: a path that nobody knows may be anything.
    name = "HTTP" if method == "_OTHER" else method
    return Span(
        name=name if route is None else f"{name} {route}",
        kind="server",
        trace_id=line.trace_id,
        span_id=_own_id(line, method),
        parent_id=parent,
        remote_parent=parent is not None,
        start=began(end, line.duration),
        end=end,
        attributes=known(attributes),
        error=error,
    )


def route_of(path: str) -> str | None:
    """Return the route of a path, with the names of what varies; None if there is no such route."""
    given = path.split("/")
    for route, segments in _SEGMENTS:
        if len(segments) == len(given) and all(
            one == other or (one.startswith("{") and other) for one, other in zip(segments, given, strict=True)
        ):
            return route
    return None


def _own_id(line: Line, method: str) -> int:
    if (method, line.path, line.status) == ("POST", "/api/tasks", 201) and line.task_id:
        return span_id(line.trace_id, line.task_id, SUBMIT)
    return span_id(line.trace_id, "request", line.request_id, line.ts)
