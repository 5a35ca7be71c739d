"""What the HTTP parser refuses, answered in the same form as every other error."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from alex_actors.ports import Ids
from alex_http import errors
from alex_http.exchange import common_headers, for_log, request_id, trace_id
from alex_http.transport import Refusal, RefusedRequest
from alex_http.transport.server import MAX_HEADERS


class Refusals:
    """Answers what the HTTP parser refused, and logs it. ``max_body`` is in bytes."""

    def __init__(self, *, ids: Ids, log: FilteringBoundLogger, max_body: int) -> None:
        self._ids = ids
        self._log = log
        self._max_body = max_body

    def __call__(self, request: RefusedRequest) -> Refusal:
        """Return the problem that it is."""
        problem = self._problem(request)
        own_id = request_id(request.headers.get("X_REQUEST_ID"), self._ids)
        trace = trace_id(request.headers.get("TRACEPARENT"), self._ids)
        self._log.info(
            "http.refused",
            status=problem.status,
            reason=for_log(request.reason),
            request_id=own_id,
            trace_id=trace,
        )
        headers = [("Content-Type", errors.MEDIA_TYPE), *common_headers(own_id, trace)]
        return Refusal(f"{problem.status} {problem.title}", headers, problem.encode())

    def _problem(self, request: RefusedRequest) -> errors.Problem:
        match request.code:
            case 413:
                return errors.BodyTooLarge(self._max_body)
            case 431:
                return errors.HeadersTooLarge(MAX_HEADERS)
            case 501:
                return errors.UnknownTransferCoding()
            case 400:
                return errors.MalformedRequest(request.reason)
            case _:
                return errors.InternalError()
