"""The Falcon application: the table of routes, and how what goes wrong becomes a reply."""

from __future__ import annotations

from typing import Any

import falcon
from falcon.routing import BaseConverter
from structlog.typing import FilteringBoundLogger

from alex_actors.ports import Clock, Ids
from alex_actors.replies import Runtime, Unavailable
from alex_http import errors
from alex_http.access import Access
from alex_http.approvals import ApprovalCollection, TaskApproval
from alex_http.catalog import Catalog
from alex_http.event_streams import EventStreams, NamedSessionEvents, SessionEvents, TaskEvents
from alex_http.exchange import Later, Request, for_log
from alex_http.login import Login, Logout
from alex_http.metrics import Metrics, MetricsResource
from alex_http.middleware import Gate
from alex_http.openapi import OpenApi
from alex_http.operations import Health, Readiness
from alex_http.pages import page_routes
from alex_http.session_copies import SessionExport, SessionFork, SessionImport
from alex_http.sessions import SessionCollection, SessionItem
from alex_http.tasks import TaskCancellation, TaskCollection, TaskItem

_Params = dict[str, Any]  # Falcon's type of a route's parameters


def create_app(
    *,
    runtime: Runtime,
    access: Access,
    catalog: Catalog,
    ids: Ids,
    clock: Clock,
    log: FilteringBoundLogger,
    version: str,
    max_body: int,
    max_import: int,
    metrics: Metrics | None = None,
) -> falcon.App[Request, falcon.Response]:
    """Return the WSGI application. ``max_body`` and ``max_import`` are in bytes, ``version`` is this program's.

    ``metrics`` has what others measure; None: there are only those of the application itself.
    """
    metrics = metrics or Metrics(version=version)
    streams = EventStreams(runtime=runtime, may_stay=access.may_stay, log=log, tally=metrics.streams)
    of_session = SessionEvents(runtime=runtime, streams=streams)
    routes: dict[str, object] = {
        "/api/tasks": TaskCollection(runtime=runtime, catalog=catalog, max_body=max_body),
        "/api/tasks/{task_id}": TaskItem(runtime=runtime),
        "/api/tasks/{task_id}/cancel": TaskCancellation(runtime=runtime, max_body=max_body),
        "/api/tasks/{task_id}/approvals/{call_id}": TaskApproval(runtime=runtime, max_body=max_body),
        "/api/tasks/{task_id}/events": TaskEvents(runtime=runtime, streams=streams),
        "/api/approvals": ApprovalCollection(runtime=runtime),
        "/api/sessions": SessionCollection(runtime=runtime, max_body=max_body),
        "/api/sessions/{session_id}": SessionItem(runtime=runtime),
        "/api/sessions/{session_id}/fork": SessionFork(runtime=runtime, max_body=max_body),
        "/api/sessions/{session_id}/export": SessionExport(runtime=runtime, clock=clock, max_import=max_import),
        "/api/import": SessionImport(runtime=runtime, clock=clock, max_body=max_import),
        "/api/sessions/{session_id}/events": of_session,
        "/api/sse": NamedSessionEvents(of_session=of_session),
        "/api/login": Login(access=access, max_body=max_body),
        "/api/logout": Logout(max_body=max_body),
        "/health": Health(runtime=runtime, version=version),
        "/ready": Readiness(runtime=runtime),
        "/metrics": MetricsResource(metrics=metrics),
        "/openapi.json": OpenApi(version=version, catalog=catalog),
        **page_routes(),
    }
    gate = Gate(access=access, ids=ids, clock=clock, log=log, requests=metrics.requests)
    app = falcon.App(request_type=Request, middleware=[gate])
    app.router_options.converters["name"] = Name
    for path, resource in routes.items():
        app.add_route(path.replace("_id}", "_id:name}"), resource)

    replies = ErrorReplies(log=log, routes=tuple(routes))
    app.add_error_handler(Later, replies.later)
    app.add_error_handler(errors.Problem, replies.problem)
    app.add_error_handler(Unavailable, replies.unavailable)
    app.add_error_handler(falcon.HTTPError, replies.falcon_error)
    app.add_error_handler(Exception, replies.fault)
    return app


class Name(BaseConverter):
    """A part of a path that is a name. Falcon alone takes ``/api/tasks/`` for a task whose name is empty."""

    def convert(self, value: str) -> str | None:
        """Return the name; None, which is no match, if there is none."""
        return value or None


class ErrorReplies:
    """Writes everything that went wrong as ``application/problem+json``."""

    def __init__(self, *, log: FilteringBoundLogger, routes: tuple[str, ...]) -> None:
        self._log = log
        self._routes = routes

    def later(self, req: Request, _resp: falcon.Response, _later: Later, _params: _Params) -> None:
        """Write nothing: this call of the application is not the one that answers."""
        req.later = True

    def problem(self, _req: Request, resp: falcon.Response, problem: errors.Problem, _params: _Params) -> None:
        """Write a problem."""
        resp.status = problem.status
        resp.content_type = errors.MEDIA_TYPE
        resp.data = problem.encode()
        resp.set_headers(problem.headers)

    def unavailable(self, req: Request, resp: falcon.Response, error: Unavailable, params: _Params) -> None:
        """Write that the runtime could not do it now."""
        self.problem(req, resp, errors.ServiceUnavailable(str(error)), params)

    def falcon_error(self, req: Request, resp: falcon.Response, error: falcon.HTTPError, params: _Params) -> None:
        """Write what Falcon found."""
        match error:
            case falcon.HTTPRouteNotFound():
                problem: errors.Problem = errors.UnknownPath(req.path, self._routes)
            case falcon.HTTPMethodNotAllowed():
                allow = dict(error.headers or {})["Allow"]
                problem = errors.MethodNotAllowed(req.method, req.path, allow)
            case _ if error.status_code < 500:
                problem = errors.MalformedRequest(error.description or error.title)
            case _:
                self.fault(req, resp, error, params)
                return
        self.problem(req, resp, problem, params)

    def fault(self, req: Request, resp: falcon.Response, error: Exception, params: _Params) -> None:
        """Log an error that nobody foresaw, with its traceback, and tell the client none of it."""
        self._log.error(
            "http.error",
            method=for_log(req.method),
            path=for_log(req.path),
            request_id=req.request_id,
            trace_id=req.trace_id,
            exc_info=error,
        )
        self.problem(req, resp, errors.InternalError(), params)
