"""The Python client on real sockets: connections that are reset, fall silent, or come through a proxy."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, repeat
from typing import TypeAlias

import pytest

from alex_http.client import AsyncClient, Client, Event
from tests.unit.scripted_server import CONNECTED, HEARTBEAT, TASK_ID, event, frame

Script: TypeAlias = Callable[[socket.socket], None]

EVENTS = [event(1, "task_created", task="Größe"), event(2, "task_started"), event(3, "task_completed")]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
PLAIN = HEAD + b"Connection: close\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FIRST = CONNECTED + frame(EVENTS[0]) + HEARTBEAT
SECOND = frame(EVENTS[1])


class SocketServer:
    """Gives each connection to the next script, after its request was read. Notes the positions asked for."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._kept = ExitStack()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.positions: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self, *scripts: Script) -> None:
        """Serve a connection with each script, and all after those with the last."""
        self._thread = threading.Thread(target=self._serve, args=[chain(scripts, repeat(scripts[-1]))])
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._closing.set()
        socket.create_connection(self._listener.getsockname()).close()  # whoever accepts wakes up
        if self._thread is not None:
            self._thread.join()
        self._listener.close()
        self._kept.close()

    def _serve(self, scripts: Iterator[Script]) -> None:
        for script in scripts:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            self._kept.enter_context(connection)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536) or b"\r\n\r\n"
            found = [line for line in head.split(b"\r\n") if line.lower().startswith(b"last-event-id:")]
            self.positions.append(found[0].partition(b": ")[2] if found else b"")
            script(connection)


def sends(content: bytes) -> Script:
    """Send this, and end the connection in good order."""

    def script(connection: socket.socket) -> None:
        connection.sendall(content)
        connection.close()

    return script


def resets_after(content: bytes) -> Script:
    """Send this, and reset the connection (RST), as the kernel of a killed process may."""

    def script(connection: socket.socket) -> None:
        connection.sendall(content)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    return script


def falls_silent_after(content: bytes) -> Script:
    """Send this, and then nothing: what a machine that lost its network does."""
    return lambda connection: connection.sendall(content)


def chunk(content: bytes) -> bytes:
    """Return a chunk, as a proxy may make it."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


@pytest.fixture
def server() -> Iterator[SocketServer]:
    """A server that is closed in the end."""
    server = SocketServer()
    yield server
    server.close()


def follow(server: SocketServer, kind: str, *, silence: float) -> list[Event]:
    """Return what a client of this kind receives, without pauses."""
    if kind == "sync":
        with Client(server.url, silence=silence, sleep=lambda _: None) as alex:
            return list(alex.events(task_id=TASK_ID))

    async def at_once(_: float) -> None:
        pass

    async def collect() -> list[Event]:
        async with AsyncClient(server.url, silence=silence, sleep=at_once) as alex:
            return [event async for event in alex.events(task_id=TASK_ID)]

    return asyncio.run(collect())


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("first", "silence"),
    [
        (resets_after(PLAIN + FIRST + SECOND[:-1]), 30),
        (sends(PLAIN + FIRST + SECOND[:-1]), 30),
        (sends(CHUNKED + chunk(FIRST + SECOND[:-1])), 30),
        (sends(CHUNKED + chunk(FIRST + SECOND)[:-5]), 30),
        (falls_silent_after(PLAIN + FIRST + SECOND[:-1]), 2),
    ],
    ids=["reset", "ended", "between chunks", "inside a chunk", "silent"],
)
def test_it_goes_on_where_it_was(server: SocketServer, kind: str, first: Script, silence: float) -> None:
    rest = sends(PLAIN + CONNECTED + SECOND + frame(EVENTS[2]))
    server.start(first, sends(b""), resets_after(PLAIN), rest)

    events = follow(server, kind, silence=silence)

    assert [event.event_id for event in events] == [1, 2, 3]
    # On a machine that is slow enough, the last one, too, falls silent.
    assert server.positions[:4] == [b"", b"1", b"1", b"1"]
