"""What the transport refused, and the application never sees, answered in the same form as every other error."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from alex_actors.ports import Clock, Ids
from alex_http import errors
from alex_http.exchange import common_headers, request_id, trace_context
from alex_http.few_lines import FewLines, shortened
from alex_http.origins import OWN_ORIGIN, Env, Origins
from alex_http.request_tally import RequestTally
from alex_http.transport import Head, Refusal, RefusedRequest

IMPORT = ("POST", "/api/import")
"""The request whose body may be large: a session with all that happened in it."""


class BodyLimits:
    """The largest body, in bytes, that a request may have: a large one only if it will be let in.

    ``may_write`` says that from the headers. Others have the usual limit: without a token nobody takes more.
    """

    def __init__(self, *, usual: int, of_import: int, may_write: Callable[[Env], bool]) -> None:
        self._usual = usual
        self._of_import = of_import
        self._may_write = may_write

    def __call__(self, head: Head) -> int:
        """Return that of a request."""
        if (head.method, head.path) != IMPORT:
            return self._usual
        env = {f"HTTP_{name}": value for name, value in head.headers.items()}
        return self._of_import if self._may_write({**env, "REQUEST_METHOD": head.method}) else self._usual


class RequestTimeout(errors.Problem):
    """A request that was begun and not ended."""

    status = 408
    title = "Request Timeout"

    def __init__(self) -> None:
        super().__init__(
            "The request was begun and not ended in time. Send its headers at once, and its body without pauses."
        )


class UrlTooLong(errors.Problem):
    """The target in the request line."""

    status = 414
    title = "URI Too Long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The URL is longer than {limit:,} bytes, which is the most that is taken here.")


class TooManyConnections(errors.ServiceUnavailable):
    """From one client address."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit:,} connections from this client address are open, which is the most for one client. Close"
            " some; or raise limits.max_connections_per_client in the server's settings, or name there, in"
            " server.trusted_proxies, the proxy by which many clients come."
        )


class TooMuchAtOnce(errors.ServiceUnavailable):
    """Bodies, and headers, of all clients together."""

    def __init__(self) -> None:
        super().__init__(
            "So many large requests come at once that there is no memory for one more. Try again in a moment."
        )


class Refusals:
    """Answers what the transport refused, and logs it. Pages of ``origins`` may read that, too."""

    def __init__(
        self,
        *,
        ids: Ids,
        clock: Clock,
        log: FilteringBoundLogger,
        origins: Origins = OWN_ORIGIN,
        requests: RequestTally | None = None,
    ) -> None:
        self._ids = ids
        self._requests = requests or RequestTally()
        self._origins = origins
        self._log = log
        self._few = FewLines(clock=clock, log=log)

    def __call__(self, request: RefusedRequest) -> Refusal:
        """Return the problem that it is."""
        problem = _problem(request)
        self._requests.refuse(problem.status)
        own_id = request_id(request.headers.get("X_REQUEST_ID"), self._ids)
        trace, _ = trace_context(request.headers.get("TRACEPARENT"), self._ids)
        if self._few.may_have_one("http.refused", request.address):
            self._log.info(
                "http.refused",
                status=problem.status,
                reason=shortened(request.reason),
                address=request.address,
                request_id=own_id,
                trace_id=trace,
            )
        headers = [
            ("Content-Type", errors.MEDIA_TYPE),
            *common_headers(own_id, trace),
            *problem.headers.items(),
            *self._origins.headers(request.headers.get("ORIGIN")),
        ]
        return Refusal(f"{problem.status} {problem.title}", headers, problem.encode())


def _problem(request: RefusedRequest) -> errors.Problem:
    match request.code, request.limit:
        case 400, _:
            return errors.MalformedRequest(request.reason)
        case 408, _:
            return RequestTimeout()
        case 413, int(limit):
            return errors.BodyTooLarge(limit)
        case 414, int(limit):
            return UrlTooLong(limit)
        case 431, int(limit):
            return errors.HeadersTooLarge(limit)
        case 501, _:
            return errors.UnknownTransferCoding()
        case 503, int(limit):
            return TooManyConnections(limit)
        case 503, None:
            return TooMuchAtOnce()
        case _:
            return errors.InternalError()
