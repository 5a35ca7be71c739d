"""A load generator: one thread, any number of kept-alive connections, one request at a time on each.

Raw sockets on ``selectors``, and as little parsing as HTTP allows: on two cores whatever the generator spends
is taken from the server that it measures.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Load:
    """What came of a load: latencies in seconds, in the order in which the replies came, and their bodies.

    ``arrivals`` is when they came, in seconds since the epoch.
    """

    seconds: float
    latencies: list[float] = field(repr=False)
    bodies: list[bytes] = field(repr=False)
    arrivals: list[float] = field(repr=False, default_factory=list)

    @property
    def per_second(self) -> float:
        """Replies a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """A latency in milliseconds that ``percent`` of the replies kept within."""
        return 1000 * percentile(self.latencies, percent)


def percentile(figures: Sequence[float], percent: float) -> float:
    """Return the figure that ``percent`` of them do not exceed."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Connection:
    """One connection, with at most one request under way. Raises OSError if the server cannot be reached."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._sent_at = 0.0

    def send(self, request: bytes) -> None:
        """Send a request. Latency is counted from here."""
        self._sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self, *, status: bytes) -> tuple[float, bytes] | None:
        """Take in what has come. Returns latency and body if the reply is whole; raises if it is another's."""
        data = self.socket.recv(262_144)
        if not data:
            msg = "the server closed a connection"
            raise ConnectionError(msg)
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return None
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        length = int(lower[start:].split(b"\r\n", 1)[0])
        if len(body) < length:
            return None
        if not head.startswith(b"HTTP/1.1 " + status):
            msg = f"not {status.decode()}: {self._received.decode()}"
            raise ValueError(msg)
        self._received = b""
        return time.perf_counter() - self._sent_at, body


def post(path: str, body: bytes) -> bytes:
    """Return a request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


def get(path: str) -> bytes:
    """Return a request as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode()


def generate(
    address: tuple[str, int],
    requests: Iterator[bytes],
    *,
    connections: int,
    status: bytes,
    until: Callable[[], bool] = lambda: False,
) -> Load:
    """Send ``requests`` over ``connections`` until they are used up or ``until`` says so; wait for all replies."""
    latencies: list[float] = []
    bodies: list[bytes] = []
    arrivals: list[float] = []
    with selectors.DefaultSelector() as selector:
        idle = [Connection(*address) for _ in range(connections)]
        start = time.perf_counter()
        waiting = 0
        while True:
            while idle and not until() and (request := next(requests, None)) is not None:
                connection = idle.pop()
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.send(request)
                waiting += 1
            if waiting == 0:
                break
            for key, _ in selector.select():
                reply = key.data.receive(status=status)
                if reply is None:
                    continue
                latencies.append(reply[0])
                bodies.append(reply[1])
                arrivals.append(time.time())
                request = None if until() else next(requests, None)
                if request is not None:
                    key.data.send(request)
                else:
                    waiting -= 1
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
        seconds = time.perf_counter() - start
        for connection in idle:  # there were fewer requests
            connection.socket.close()
        return Load(seconds, latencies, bodies, arrivals)


def paced(address: tuple[str, int], request: bytes, *, every: float, until: Callable[[], bool]) -> Load:
    """Send ``request`` each ``every`` seconds, at least once, until ``until`` says so.

    A latency counts from when the request was due: a slow reply is counted against all that it kept waiting.
    """
    connection = Connection(*address)
    latencies: list[float] = []
    start = due = time.perf_counter()
    while not latencies or not until():
        late = time.perf_counter() - due
        connection.send(request)
        while (reply := connection.receive(status=b"200")) is None:
            pass
        latencies.append(late + reply[0])
        due += every
        if (ahead := due - time.perf_counter()) > 0:
            time.sleep(ahead)  # until the next request is due
            due = time.perf_counter()  # what the kernel slept too long is not the server's delay
    connection.socket.close()
    return Load(time.perf_counter() - start, latencies, [])
