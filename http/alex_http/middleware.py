"""What every request goes through: who is asking, from where, and what the log says of it."""

from __future__ import annotations

import falcon
from structlog.typing import FilteringBoundLogger

from alex_actors.ports import Clock, Ids
from alex_http.access import Access
from alex_http.callers import Denial
from alex_http.errors import MethodNotAllowed
from alex_http.exchange import OF_PAGES, Request, common_headers, for_log
from alex_http.few_lines import FewLines, shortened
from alex_http.operations import PROBES
from alex_http.pages import is_page
from alex_http.request_tally import RequestTally

WATCHED = PROBES | {"/metrics"}
"""What monitoring asks for. Logged at level debug, as files of pages are, unless something is wrong."""

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_KNOWN_METHODS = frozenset(falcon.COMBINED_METHODS)


class Gate:
    """Identifies a request, refuses what may not come in, and logs each reply.

    One class instead of three: Falcon calls every method of every middleware for each request.
    """

    def __init__(
        self, *, access: Access, ids: Ids, clock: Clock, log: FilteringBoundLogger, requests: RequestTally
    ) -> None:
        self._access = access
        self._requests = requests
        self._ids = ids
        self._clock = clock
        self._log = log
        self._few = FewLines(clock=clock, log=log)

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        """Let a request in, or raise the Problem that keeps it out."""
        req.identify(self._ids, self._clock.monotonic())
        self._access.admit(req)
        if self._access.origins.is_preflight(req.env):
            resp.status = falcon.HTTP_204
            resp.set_headers(self._access.origins.preflight_headers())
            resp.complete = True
            return
        if req.path.startswith("//") or not req.path.startswith("/"):
            raise falcon.HTTPRouteNotFound  # its router strips what stands before the first name

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
        own = [(name, value) for name in OF_PAGES if (value := resp.get_header(name)) is not None]
        resp.set_headers(common_headers(req.request_id, req.trace_id))
        resp.set_headers(own)
        for name, value in self._access.origins.headers(req.env.get("HTTP_ORIGIN")):
            resp.append_header(name, value)  # a page has a Vary of its own
        if req.method == "OPTIONS" and resource is not None:
            resp.set_header("Allow", _allowed(resource))  # Falcon leaves OPTIONS out here, and names it in a 405
        seconds = self._clock.monotonic() - req.began
        duration = round(seconds * 1000, 3)
        self._requests.answer(
            req.method if req.method in _KNOWN_METHODS else "other", route_of(req), resp.status_code, seconds
        )
        ids = {"request_id": req.request_id, "trace_id": req.trace_id}
        if req.denial is not None:
            self._log_denial(req, req.denial, status=resp.status_code, duration=duration, **ids)
        else:
            self._few.tell()
            self._log_answer(req, status=resp.status_code, duration=duration, **ids)

    def _log_answer(self, req: Request, *, status: int, **answered: str | float) -> None:
        """Log a request that was let in: whose it is, and what it is about."""
        about = {"task_id": req.task_id} if req.task_id is not None else {}
        if req.session_id is not None:
            about["session_id"] = req.session_id
        if req.parent_span_id:
            about["parent_span_id"] = req.parent_span_id
        if req.caller.token_id:
            about["owner"], about["token_name"] = req.owner, req.caller.token_name
        # What asks again and again, every few seconds, would hide what people did.
        quiet = status < 400 and (req.path in WATCHED or is_page(req.path))
        tell = self._log.debug if quiet else self._log.info
        tell(
            "http.request",
            method=for_log(req.method),
            path=for_log(req.path),
            status=status,
            **answered,
            **about,
        )

    def _log_denial(self, req: Request, denial: Denial, **about: str | float) -> None:
        """Log a request that was not let in: one line, and a short one, since anybody can cause it."""
        if not self._few.may_have_one("http.denied", req.address):
            return
        if denial.token_name:
            about["token_name"] = denial.token_name
        self._log.warning(
            "http.denied",
            reason=denial.reason,
            address=req.address,
            method=shortened(req.method),
            path=shortened(req.path),
            **about,
        )


def route_of(req: Request) -> str:
    """Return the route that a request was for, as the documents have it; ``none`` if there is none."""
    template: str | None = req.uri_template
    return template.replace(":name}", "}") if template else "none"


def _allowed(resource: object) -> str:
    """Return the methods of a resource, as the header Allow has them."""
    return ", ".join([*(method for method in _METHODS if hasattr(resource, f"on_{method.lower()}")), "OPTIONS"])
