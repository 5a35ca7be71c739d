"""A server and its clients in a network of their own, which then goes dead: no FIN, no RST, nothing.

Run with ``unshare -rn`` by ``test_live_vanished_clients``; the argument is the loop. Prints what was noticed.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from alex_actors.clock import SystemClock
from alex_http.transport import HOLD, Hold, Refusal, Server
from alex_http.transport.loops import LoopName
from alex_http.transport.sockets import KeepAlive

PATIENCE = 20.0
"""Seconds until what did not happen is taken not to happen."""
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


class Feed:
    """A stream that says nothing, or one frame once it is told to."""

    blocking = False
    ended = False

    def __init__(self) -> None:
        self.begun, self.gone = threading.Event(), threading.Event()
        self.frame = b""
        self.wake: Callable[[], None] = lambda: None

    def begin(self, wake: Callable[[], None]) -> None:
        """Get ready."""
        self.wake = wake
        self.begun.set()

    def take(self) -> bytes:
        """Return the frame, once."""
        frame, self.frame = self.frame, b""
        return frame

    def heartbeat(self) -> bytes:
        """Return what nobody will read."""
        return b": heartbeat\n\n"

    def closed(self, reason: str) -> None:
        """Note that the client is gone."""
        if reason == "gone":
            self.gone.set()


class Application:
    """Two streams, and requests that wait."""

    def __init__(self) -> None:
        self.silent, self.told = Feed(), Feed()
        self.waits, self.over = threading.Event(), threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:  # WSGI
        """Answer a request."""
        hold: Hold = environ[HOLD]
        match environ["PATH_INFO"]:
            case "/silent":
                hold.stream(self.silent)
            case "/told":
                hold.stream(self.told)
            case _:
                hold.at_the_end = self.over.set
                hold.wait(3600)
                self.waits.set()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return []


def network(*, up: bool) -> None:
    """Switch the only network of this process on or off."""
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP if up else 0))


def main(loop: LoopName) -> None:
    """Let the clients vanish; print what was noticed of it."""
    network(up=True)
    app = Application()
    server = Server(
        app=app, refuse=lambda _: Refusal("400 Bad Request", [], b""), host="127.0.0.1", port=0,
        clock=SystemClock(), log=structlog.get_logger(), workers=2, connections=20, streams=20,
        streams_per_address=20, max_body=1000, grace=1.0, loop=loop,
        keep_alive=KeepAlive(idle=1, interval=1, probes=1, unacknowledged=1.0),
    )  # fmt: skip
    serving = threading.Thread(target=server.serve)
    serving.start()
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    for client, path in zip(clients, ("silent", "told", "waits"), strict=True):
        client.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    connected = [event.wait(PATIENCE) for event in (app.silent.begun, app.told.begun, app.waits)]

    network(up=False)
    app.told.frame = b"is anybody there?"
    app.told.wake()
    noticed = [event.wait(PATIENCE) for event in (app.silent.gone, app.told.gone, app.over)]

    server.stop()
    serving.join(PATIENCE)
    print(json.dumps({"connected": connected, "noticed": noticed}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main("poll" if sys.argv[1] == "poll" else "epoll")
