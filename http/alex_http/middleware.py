"""What every request goes through: who is asking, from where, and what the log says of it."""

from __future__ import annotations

import re

import falcon
from structlog.typing import FilteringBoundLogger

from alex_actors.ports import Clock, Ids
from alex_http.errors import ForeignHost, ForeignOrigin, MethodNotAllowed, MissingHost, NotSupportedYet
from alex_http.exchange import Request, common_headers, for_log
from alex_http.hosts import LOOPBACK

HOSTS = tuple(f"[{name}]" if ":" in name else name for name in LOOPBACK)
"""The names of this machine that nobody else can point elsewhere, as a Host header has them."""

_HOST = re.compile(rf"(?:{'|'.join(map(re.escape, HOSTS))})(?::[0-9]{{0,5}})?", re.IGNORECASE)
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_KNOWN_METHODS = frozenset(falcon.COMBINED_METHODS)


class Gate:
    """Identifies a request, refuses what may not come in, and logs each reply.

    One class instead of three: Falcon calls every method of every middleware for each request.
    """

    def __init__(self, *, ids: Ids, clock: Clock, log: FilteringBoundLogger) -> None:
        self._ids = ids
        self._clock = clock
        self._log = log

    def process_request(self, req: Request, _resp: falcon.Response) -> None:
        """Let a request in, or raise the Problem that keeps it out."""
        req.identify(self._ids, self._clock.monotonic())
        env = req.env
        host = env.get("HTTP_HOST")
        if not host:
            raise MissingHost
        if not _HOST.fullmatch(host):
            raise ForeignHost(host, HOSTS)
        origin = env.get("HTTP_ORIGIN")
        if origin is not None and origin.lower() != f"http://{host}".lower():
            raise ForeignOrigin(origin, host)
        if req.path.startswith("//") or not req.path.startswith("/"):
            raise falcon.HTTPRouteNotFound  # its router strips what stands before the first name
        if "HTTP_IDEMPOTENCY_KEY" in env and req.method == "POST":
            raise NotSupportedYet("the header 'Idempotency-Key'", "Leave it out, and take care not to repeat.")

    def process_resource(
        self, req: Request, _resp: falcon.Response, resource: object, _params: dict[str, str]
    ) -> None:
        """Refuse a method that no standard knows, which Falcon takes for a bad request."""
        if req.method not in _KNOWN_METHODS:
            raise MethodNotAllowed(req.method, req.path, _allowed(resource))

    def process_response(
        self,
        req: Request,
        resp: falcon.Response,
        resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - Falcon's signature
    ) -> None:
        """Put the headers of every reply on it, and log it."""
        if req.later:
            return
        if not req.began:  # Falcon refused it before process_request
            req.identify(self._ids, self._clock.monotonic())
        resp.set_headers(common_headers(req.request_id, req.trace_id))
        if req.method == "OPTIONS" and resource is not None:
            resp.set_header("Allow", _allowed(resource))  # Falcon leaves OPTIONS out here, and names it in a 405
        about = {"task_id": req.task_id} if req.task_id is not None else {}
        if req.session_id is not None:
            about["session_id"] = req.session_id
        self._log.info(
            "http.request",
            method=for_log(req.method),
            path=for_log(req.path),
            status=resp.status_code,
            duration=round((self._clock.monotonic() - req.began) * 1000, 3),
            request_id=req.request_id,
            trace_id=req.trace_id,
            **about,
        )


def _allowed(resource: object) -> str:
    """Return the methods of a resource, as the header Allow has them."""
    return ", ".join([*(method for method in _METHODS if hasattr(resource, f"on_{method.lower()}")), "OPTIONS"])
