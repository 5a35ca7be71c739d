"""A Falcon app that does nothing, on plain waitress or on our server.

    python -m bench.no_op plain | own [epoll|poll]

What a submit costs there is what nobody's ``POST`` gets below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import falcon
import msgspec
import structlog
import waitress  # type: ignore[import-untyped]  # waitress has no types

from alex_actors.clock import SystemClock
from alex_http.transport.loops import LoopName
from alex_http.transport.replies import Refusal
from alex_http.transport.server import Server

WORKERS = 16
CONNECTIONS = 1000


class NoOp:
    """Tasks of which nothing is kept."""

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer a submit."""
        request.bounded_stream.read()
        response.status = falcon.HTTP_201
        response.content_type = "application/json"
        response.data = b'{"task_id":"task-0"}'


def main() -> None:
    """Serve until killed."""
    app = falcon.App()
    app.add_route("/api/tasks", NoOp())
    match sys.argv[1:]:
        case ["plain"]:
            server = waitress.create_server(
                app,
                host="127.0.0.1",
                port=0,
                threads=WORKERS,
                asyncore_use_poll=True,
                connection_limit=CONNECTIONS,
            )
            _say(server.effective_port)
            server.run()
        case ["own", *rest]:
            own = _own(app, rest[0] if rest else None)
            _say(own.port)
            own.serve()
        case _:
            sys.exit(__doc__)


def _own(app: Callable[..., Any], loop: str | None) -> Server:  # Any: a WSGI application
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    return Server(
        app=app,
        refuse=lambda _request: Refusal("400 Bad Request", [], b""),
        host="127.0.0.1",
        port=0,
        clock=SystemClock(),
        log=log,
        workers=WORKERS,
        connections=CONNECTIONS,
        streams=1,
        streams_per_address=1,
        max_body=1_000_000,
        grace=1.0,
        loop=None if loop is None else msgspec.convert(loop, LoopName),
    )


def _say(port: int) -> None:
    print(f"listens on http://127.0.0.1:{port}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
