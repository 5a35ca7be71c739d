"""A server on a real socket, and clients that see each byte, for its tests."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from alex_http.operations import PROBES
from alex_http.refusals import Refusals
from alex_http.transport import Limits, Server
from alex_http.transport.loops import LoopName
from alex_http.transport.server import LIMITS
from tests.live.process import until
from tests.unit.fake_runtime import CountedIds, FakeRuntime, HeldClock, Log, application

LOOPS: list[LoopName] = ["epoll", "poll"] if hasattr(select, "epoll") else ["poll"]
LIMIT = 64 * 1024
"""Bytes that a body may have here: small, so that the tests are fast."""
TASK = b'{"task": "What is 2 + 2?"}'
POST = b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Running:
    """A server that serves on a thread."""

    def __init__(self, *, grace: float = 5.0, loop: LoopName | None = None) -> None:
        self.runtime = FakeRuntime()
        self.log = Log()
        self.clock = HeldClock()
        app = application(self.runtime, self.log, clock=self.clock, max_body=LIMIT)
        self.server = bind(app=app, log=self.log, clock=self.clock, workers=2, grace=grace, loop=loop)
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()

    def socket(self) -> socket.socket:
        return socket.create_connection((self.server.host, self.server.port), timeout=10)

    def client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.server.host, self.server.port, timeout=10)

    def refuses(self) -> bool:
        """Return whether the port is closed."""
        with socket.socket() as sock:
            return sock.connect_ex((self.server.host, self.server.port)) != 0

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()


def close_wholly(server: Server) -> None:
    """Close a server, once more when its workers have ended: so long it keeps what they may still use.

    On a busy machine they may take longer for that than it waits for them. What is left open then is complained of
    in whichever test comes later.
    """
    server.close()
    until(lambda: not server._workers.running, "its workers end")
    server.close()


@contextmanager
def running(*, grace: float = 5.0, loop: LoopName | None = None) -> Iterator[Running]:
    it = Running(grace=grace, loop=loop)
    try:
        yield it
    finally:
        it.stop()
        close_wholly(it.server)


class Reply:
    """One reply, as it came."""

    def __init__(self, sock: socket.socket, method: str = "GET") -> None:
        response = http.client.HTTPResponse(sock, method=method)
        response.begin()
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> dict[str, object]:
        read: dict[str, object] = json.loads(self.body)
        return read


def rest(sock: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def exchange(server: Running, sent: bytes) -> Reply:
    """Send bytes; return the reply."""
    with server.socket() as sock:
        sock.sendall(sent)
        return Reply(sock)


def bind(
    port: int = 0,
    host: str = "127.0.0.1",
    *,
    app: Callable[..., Any] = lambda environ, start_response: [],  # a WSGI application
    log: Log | None = None,
    clock: HeldClock | None = None,
    workers: int = 1,
    connections: int = 100,
    streams: int = 100,
    grace: float = 5.0,
    loop: LoopName | None = None,
    patience: float = 30.0,
    limits: Limits = LIMITS,
) -> Server:
    """Return a server that does not serve yet."""
    return Server(
        app=app,
        refuse=Refusals(ids=CountedIds(), clock=clock or HeldClock(), log=(log or Log()).logger),
        probes=PROBES,
        host=host,
        port=port,
        clock=clock or HeldClock(),
        log=(log or Log()).logger,
        workers=workers,
        connections=connections,
        streams=streams,
        streams_per_address=streams,
        max_body=LIMIT,
        grace=grace,
        loop=loop,
        patience=patience,
        limits=limits,
    )
