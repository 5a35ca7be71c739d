"""Clients that ask for much and read nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from alex_http.transport.loops import LoopName
from tests.unit.fake_runtime import HeldClock, Log
from tests.unit.running_server import LOOPS, Reply, bind, close_wholly

LARGE = b"x" * (12 * 1024 * 1024)


class Large:
    """An application whose every reply is large."""

    def __init__(self) -> None:
        self.called = threading.Semaphore(0)

    def __call__(self, _environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:  # WSGI
        self.called.release()
        start_response("200 OK", [("Content-Length", str(len(LARGE)))])
        return [LARGE]


def socket_to(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_does_not_read_does_not_keep_its_worker(loop: LoopName) -> None:
    app = Large()
    server = bind(app=app, log=Log(), clock=HeldClock(), workers=1, grace=0.1, loop=loop, patience=0.05)
    serving = threading.Thread(target=server.serve)
    serving.start()
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try:
        with socket_to(server.port) as silent, socket_to(server.port) as other:
            silent.sendall(3 * request)
            for _ in range(2):  # the second reply is more than may wait: the worker cannot go on with the third
                assert app.called.acquire(timeout=10)

            other.sendall(request)

            assert len(Reply(other).body) == len(LARGE)
    finally:
        server.stop()
        serving.join(timeout=20)
        close_wholly(server)
