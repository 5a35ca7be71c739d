"""For those who operate the server: is it well, and does it take tasks?"""

from __future__ import annotations

from collections.abc import Sized

import falcon

from alex_actors.replies import Component, Runtime
from alex_http.errors import RETRY_AFTER_SECONDS, NotReady
from alex_http.exchange import Request
from alex_http.query import Query
from alex_http.wire import ReadyOut, encode, health_out

PROBES = frozenset({"/health", "/ready"})
"""The paths that are answered while all workers are busy."""


def http_health(*, streams: Sized, waiting: int) -> Component:
    """Return how the HTTP side is: the open streams, and the replies that are held back."""
    return Component("ok", figures={"streams": len(streams), "waiting": waiting})


class Health:
    """``/health``."""

    def __init__(self, *, runtime: Runtime, version: str) -> None:
        self._runtime = runtime
        self._version = version

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Tell how every component is. 503 if one is down, in the same form."""
        Query(req)

        health = health_out(self._runtime.health(), self._version)
        if health.status == "error":
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", RETRY_AFTER_SECONDS)
        resp.data = encode(health)

    on_head = on_get


class Readiness:
    """``/ready``."""

    def __init__(self, *, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Tell whether tasks are accepted."""
        Query(req)

        if not self._runtime.ready():
            raise NotReady
        resp.data = encode(ReadyOut())

    on_head = on_get
