"""Who takes traces by OTLP over HTTP: keeps them, or does whatever a test wants it to do instead."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

from tests.unit.actor_fakes import WAIT


@dataclass(frozen=True)
class Received:
    """A span as it came."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: dict[str, Any]  # Any: of the types that attributes have
    error: bool


@dataclass
class Receiver:
    """A server on a free port. Requests wait while ``go_on`` is cleared; ``status`` is what they are answered.

    While there is a ``drip``, an answer begins with that, and goes on a byte at a time, for ten seconds.
    """

    status: int = 200
    drip: bytes = b""
    go_on: Event = field(default_factory=Event)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self
        self._over = Event()
        self.go_on.set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.paths.append(self.path)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                receiver.bodies.append(
                    gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                )
                receiver.go_on.wait(WAIT)
                if receiver.drip:
                    self._drip()
                    return
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _drip(self) -> None:
                self.close_connection = True
                with suppress(OSError):  # who asked has gone
                    self.wfile.write(receiver.drip)
                    for _ in range(500):
                        if not receiver.drip or receiver._over.wait(0.02):
                            return
                        self.wfile.write(b"a")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT)

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        """What came, whatever it was answered."""
        return [ExportTraceServiceRequest.FromString(body) for body in tuple(self.bodies)]

    @property
    def resource(self) -> dict[str, Any]:  # Any: as above
        """What sends: of the first request."""
        return _attributes(self.requests[0].resource_spans[0].resource.attributes)

    @property
    def spans(self) -> list[Received]:
        """All spans, in the order in which they came."""
        return [
            _received(span)
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def names(self) -> list[str]:
        """Return the names of all spans."""
        return [span.name for span in self.spans]


def _received(span: ProtoSpan) -> Received:
    return Received(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        error=span.status.code == 2,
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:  # Any: as above
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}
