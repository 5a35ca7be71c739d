"""A real server whose loop and whose time are the test's, and the requests that are sent to it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from alex_http.transport import HOLD, Limits, Server
from alex_http.transport.channels import Channel
from alex_http.transport.loops import LoopName
from tests.unit.fake_runtime import HeldClock, Log
from tests.unit.running_server import bind, close_wholly

GET = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = GET[:20]
LARGE = b"x" * (12 * 1024 * 1024)


class Application:
    """Answers with what it got, or at length, or never."""

    def __init__(self) -> None:
        self.environs: list[dict[str, Any]] = []  # WSGI's environment has values of many types

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:  # WSGI
        self.environs.append(environ)
        if environ["PATH_INFO"] == "/never":
            environ[HOLD].wait(3600)
        body = LARGE if environ["PATH_INFO"] == "/large" else b"ok"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


class Turned:
    """A server whose loop and whose time are the test's."""

    def __init__(self, loop: LoopName) -> None:
        self.app, self.clock, self.log = Application(), HeldClock(), Log()
        self._loop = loop
        self._open = contextlib.ExitStack()

    def bind(self, limits: Limits) -> Server:
        self.server = bind(
            app=self.app,
            clock=self.clock,
            log=self.log,
            loop=self._loop,
            workers=2,
            limits=limits,
            connections=1000,
        )
        self._open.callback(close_wholly, self.server)
        return self.server

    def send(self, sent: bytes) -> socket.socket:
        sock = self._open.enter_context(socket.socket())
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # else it grows to what is sent here
        sock.connect(("127.0.0.1", self.server.port))
        sock.sendall(sent)
        return sock

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self.server._listener.channels

    def until(self, happened: Callable[[], bool]) -> None:
        """Turn until something is so."""
        deadline = time.monotonic() + 20
        while not happened():
            assert time.monotonic() < deadline, "it never comes to that"
            self.server._listener.turn(0.01)

    def received(self, sock: socket.socket) -> bytes:
        """Turn until the server has closed a connection, or is about to; return what it sent there."""
        sock.settimeout(0)
        read: list[bytes] = []

        def closed() -> bool:
            with contextlib.suppress(BlockingIOError):
                read.append(sock.recv(65_536))
            return read[-1:] == [b""]

        self.until(closed)
        return b"".join(read)

    def later(self, seconds: float) -> None:
        """Have so much time pass, and the server look what that changes."""
        self.clock.pass_by(seconds)
        self.server._listener.turn(0)

    def close(self) -> None:
        self._open.close()


def post(body: bytes, length: int | None = None, path: bytes = b"/small") -> bytes:
    """Return a request with a body, or with the beginning of one that is longer."""
    line = b"Content-Length: %d" % (len(body) if length is None else length)
    return b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n\r\n" + body
