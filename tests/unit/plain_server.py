"""Servers of plain WSGI applications on real sockets, and what is needed to look at their streams."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from alex_actors.clock import SystemClock
from alex_http.transport import HOLD, Reason, Refusal, Server
from alex_http.transport.loops import LoopName
from tests.unit.fake_runtime import Log
from tests.unit.running_server import close_wholly

Environ: TypeAlias = dict[str, Any]  # WSGI's environment has values of many types
Start: TypeAlias = Callable[..., Any]  # WSGI's start_response
Answer: TypeAlias = Callable[[Environ, Start], Iterable[bytes]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PATIENCE = 10.0
"""Seconds until something that should come is taken not to."""


class Feed:
    """Gives what it is given; says when it has begun and when it is closed."""

    blocking = False

    def __init__(self, *given: bytes) -> None:
        self.given = deque(given)
        self.ended = False
        self.begun, self.is_closed = threading.Event(), threading.Event()
        self.reasons: list[Reason] = []
        self.wake: Callable[[], None] = lambda: None

    def begin(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.begun.set()

    def take(self) -> bytes:
        return self.given.popleft() if self.given else b""

    def heartbeat(self) -> bytes:
        return b""

    def closed(self, reason: Reason) -> None:
        self.reasons.append(reason)
        self.is_closed.set()

    def end(self) -> None:
        """Say that this is all."""
        self.ended = True
        self.wake()


class ShiftedClock(SystemClock):
    """The time of the system, and what the test adds to it."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Serving:
    """A server on a thread, whose application is the test's."""

    def __init__(self, loop: LoopName, answer: Answer, *, workers: int, grace: float, streams: int) -> None:
        self.clock = ShiftedClock()
        self.server = Server(
            app=answer,
            refuse=lambda refused: Refusal("500 Internal Server Error", [], refused.reason.encode()),
            host="127.0.0.1",
            port=0,
            clock=self.clock,
            log=Log().logger,
            workers=workers,
            connections=100,
            streams=streams,
            streams_per_address=streams,
            max_body=100_000,
            grace=grace,
            loop=loop,
        )
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()

    def send(self, sent: bytes = GET) -> socket.socket:
        """Send bytes on a new connection."""
        sock = socket.create_connection((self.server.host, self.server.port), timeout=PATIENCE)
        sock.sendall(sent)
        return sock

    def stop(self) -> None:
        """Stop, and wait until it has stopped."""
        self.server.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


Serve: TypeAlias = Callable[..., Serving]


@contextmanager
def servers(loop: LoopName) -> Iterator[Serve]:
    """Give what starts servers; stop them, and see that they left nothing."""
    started: list[Serving] = []

    def start(answer: Answer, *, workers: int = 2, grace: float = 0.5, streams: int = 10) -> Serving:
        started.append(Serving(loop, answer, workers=workers, grace=grace, streams=streams))
        return started[-1]

    yield start
    for serving in started:
        serving.stop()
        close_wholly(serving.server)
        assert len(serving.server.streams) == 0
        assert serving.server.waiting == 0


def streaming(feed: Feed, body: Iterable[bytes] = (), *headers: tuple[str, str], status: str = "200 OK") -> Answer:
    """Return an application whose reply is a stream."""

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        environ[HOLD].stream(feed)
        start(status, [("Content-Type", "text/plain"), *headers])
        return body

    return answer


@contextmanager
def stream_of(serving: Serving, feed: Feed, sent: bytes = GET) -> Iterator[socket.socket]:
    """Open a stream; give its socket when it has begun."""
    with serving.send(sent) as sock:
        assert feed.begun.wait(PATIENCE)
        yield sock


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """Return what comes up to some bytes."""
    read = b""
    while not read.endswith(end):
        came = sock.recv(1)
        assert came, read
        read += came
    return read
