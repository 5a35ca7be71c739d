"""The least that event streams can cost in Python: one thread, one epoll loop, a ``send`` for each stream.

    python -m bench.bare_loop

It parses next to nothing, records nothing, and takes no care of slow readers. What it needs for an event is the
kernel's work, mostly: on loopback ``send`` includes the receiving side.
"""

from __future__ import annotations

import heapq
import json
import re
import select
import socket
import sys
import time
from datetime import UTC, datetime

from bench.readers import allow_descriptors

CONNECTIONS = 15_000
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: connected\ndata: {}\n\n"
TASK = json.dumps({"task_id": "task-0", "status": "completed", "filler": "x" * 700}).encode()
PAGE = b'{"events": [], "last_event_id": 0}'


class BareLoop:
    """Accepts connections, answers each request in one piece, and sends events when they are due."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)  # noqa: FBT003 - the parameter has no name
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._streams: dict[int, socket.socket] = {}
        self._due: list[tuple[float, int, str]] = []
        self._last = 0

    def serve(self) -> None:
        """Go on until killed."""
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else 1.0
            for descriptor, _ in self._epoll.poll(wait):
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._answer(descriptor)
            while self._due and self._due[0][0] <= time.monotonic():
                self._send(heapq.heappop(self._due)[2])

    def _accept(self) -> None:
        try:
            for _ in range(64):
                connection, _address = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[connection.fileno()] = connection
                self._epoll.register(connection, select.EPOLLIN)
        except BlockingIOError:
            pass

    def _answer(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        request = connection.recv(65_536)  # on loopback, a small request comes in one piece
        if not request:
            self._streams.pop(descriptor, None)
            self._connections.pop(descriptor).close()
        elif b"text/event-stream" in request:
            self._streams[descriptor] = connection
            connection.sendall(STREAM)
        elif request.startswith(b"POST"):
            self._schedule(json.loads(request.partition(b"\r\n\r\n")[2])["task"])
            connection.sendall(_reply(b"201 Created", TASK))
        else:
            connection.sendall(_reply(b"200 OK", PAGE if b"/events" in request else TASK))

    def _schedule(self, task: str) -> None:
        steps, milliseconds = map(int, re.findall(r"\d+", task))
        now = time.monotonic()
        names = [(now, "task_created"), (now, "task_started")]
        for step in range(steps):
            names.append((now + step * milliseconds / 1000, "iteration_start"))
            names.append((now + (step + 1) * milliseconds / 1000, "iteration_complete"))
        names.append((names[-1][0], "task_completed"))
        for place, (due, name) in enumerate(names):
            heapq.heappush(self._due, (due, place, name))

    def _send(self, name: str) -> None:
        self._last += 1
        data = json.dumps({"event_type": name, "timestamp": datetime.now(UTC).isoformat(), "filler": "x" * 200})
        frame = f"id: {self._last}\nevent: {name}\ndata: {data}\n\n".encode()
        for stream in self._streams.values():
            stream.send(frame)


def _reply(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def main() -> None:
    """Serve until killed."""
    allow_descriptors(CONNECTIONS)
    loop = BareLoop()
    print(f"listens on http://127.0.0.1:{loop.port}", file=sys.stderr, flush=True)
    loop.serve()


if __name__ == "__main__":
    main()
