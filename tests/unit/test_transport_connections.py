"""Connections on both loops: how many are taken, and what becomes of silent, stuck and vanished clients."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from alex_http.transport import HOLD, Hold, Server
from alex_http.transport.channels import Channel
from alex_http.transport.loops import LoopName
from tests.unit.fake_runtime import HeldClock
from tests.unit.running_server import LOOPS, bind, close_wholly, rest

LARGE = b"x" * (12 * 1024 * 1024)


class Feed:
    """A stream's feed that writes down how it is called."""

    blocking = False
    ended = False

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.frames: list[bytes] = []
        self.wake: Callable[[], None] = lambda: None

    def begin(self, wake: Callable[[], None]) -> None:
        self.calls.append("begin")
        self.wake = wake

    def take(self) -> bytes:
        return self.frames.pop(0) if self.frames else b""

    def heartbeat(self) -> bytes:
        return b":\n"

    def closed(self, reason: str) -> None:
        self.calls.append(reason)


class Application:
    """Answers at once, at length, in halves, never, after 20 ms, with a stream, or breaks, as its path says."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.over = 0
        self.begin, self.go_on = threading.Event(), threading.Event()
        self.begin.set()
        self.before_stream: Callable[[], object] = lambda: None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:  # WSGI
        hold: Hold = environ[HOLD]
        match environ["PATH_INFO"]:
            case "/broken":
                raise ValueError("broken")
            case "/stream":
                hold.stream(self.feed)
                self.before_stream()
                start_response("200 OK", [("Content-Type", "text/plain")])
                return []
            case "/halves" | "/large-halves" as path:
                half = b"ok" if path == "/halves" else LARGE
                start_response("200 OK", [("Content-Length", str(2 * len(half)))])
                return self._halves(half)
            case "/never":
                hold.at_the_end = self._count
                hold.wait(3600)
            case "/soon" if not hold.overdue:
                hold.wait(0.02)
        body = LARGE if environ["PATH_INFO"] == "/large" else b"ok"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def _halves(self, half: bytes) -> Iterator[bytes]:
        self.begin.wait(60)  # longer than any test waits for something to happen
        yield half
        self.go_on.wait(60)
        yield half

    def _count(self) -> None:
        self.over += 1


class Turned:
    """A server whose loop the test turns."""

    def __init__(self, loop: LoopName) -> None:
        self.app = Application()
        self.clock = HeldClock()
        self._clients = contextlib.ExitStack()
        self._loop = loop
        self.server = self.bind()

    def bind(self, *, connections: int = 1000) -> Server:
        server = bind(app=self.app, workers=2, connections=connections, loop=self._loop, clock=self.clock)
        self._clients.callback(close_wholly, server)
        return server

    def client(self, server: Server | None = None) -> socket.socket:
        sock = self._clients.enter_context(socket.socket())
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # else it grows to what is sent here
        sock.connect(("127.0.0.1", (server or self.server).port))
        return sock

    def ask(self, path: str) -> socket.socket:
        sock = self.client()
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
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

    def close(self) -> None:
        self.app.go_on.set()
        self._clients.close()


@pytest.fixture(params=LOOPS)
def turned(request: pytest.FixtureRequest) -> Iterator[Turned]:
    it = Turned(request.param)
    yield it
    it.close()


def reset(sock: socket.socket) -> None:
    """Close with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_connections_are_taken_64_in_a_turn(turned: Turned) -> None:
    for _ in range(100):
        turned.client()

    turned.server._listener.turn(10)
    first = len(turned.channels)
    turned.server._listener.turn(10)

    assert (first, len(turned.channels)) == (64, 100)


def test_connections_above_the_limit_wait_until_one_is_closed(turned: Turned) -> None:
    server = turned.bind(connections=10)
    clients = [turned.client(server) for _ in range(12)]
    own = [client.getsockname()[1] for client in clients]

    for _ in range(3):
        server._listener.turn(0.01)
    full = ports(server)
    clients[0].close()
    for _ in range(3):
        server._listener.turn(0.01)

    assert full == own[:10]
    assert ports(server) == own[1:11]


def test_a_connection_that_is_silent_for_too_long_is_closed_but_no_stream_and_no_request_that_waits(
    turned: Turned,
) -> None:
    stream, waiting, idle = turned.ask("/stream"), turned.ask("/never"), turned.client()
    turned.until(
        lambda: turned.app.feed.calls == ["begin"] and [c.parked for c in turned.channels] == [True, False]
    )

    turned.clock.pass_by(1000)
    turned.server._listener.turn(0)
    turned.app.feed.frames.append(b"still here")
    turned.app.feed.wake()

    assert idle.recv(1) == b""
    assert [channel.parked for channel in turned.channels] == [True]
    assert turned.app.over == 0
    assert received(stream, b"still here")
    waiting.close()


def test_a_client_that_is_stuck_is_closed_when_that_is_wanted(turned: Turned) -> None:
    turned.ask("/large")
    turned.until(lambda: bool(turned.channels))
    (channel,) = turned.channels
    turned.until(lambda: channel.total_outbufs_len and not channel.requests)
    left = 0
    while left != channel.total_outbufs_len:  # until the system's buffers are full, too
        left = channel.total_outbufs_len
        turned.server._listener.turn(0.1)

    worker = threading.Thread(target=channel.cancel)
    worker.start()
    worker.join()
    turned.server._listener.turn(10)

    assert turned.channels == ()


def test_what_a_worker_could_not_send_is_sent_while_it_goes_on(turned: Turned) -> None:
    turned.app.begin.clear()
    client = turned.ask("/large-halves")
    client.settimeout(0)
    turned.until(lambda: bool(turned.channels) and turned.channels[0].requests != [])
    turned.app.begin.set()  # now that the loop has done with what it read
    sizes: list[int] = []

    def first_half_is_there() -> bool:
        with contextlib.suppress(BlockingIOError):
            sizes.append(len(client.recv(1_000_000)))
        return sum(sizes) > len(LARGE)

    turned.until(first_half_is_there)

    assert turned.channels[0].requests != []


def test_what_is_sent_is_sent_under_the_lock(turned: Turned) -> None:
    held: list[bool] = []

    class Watched(Channel):
        def send(self, data: bytes, *, do_close: bool = True) -> int:
            held.append(self.outbuf_lock._is_owned())
            sent: int = super().send(data, do_close=do_close)
            return sent

    near, far = socket.socketpair()
    channel = Watched(turned.server._listener, near, ("127.0.0.1", 1), turned.server._listener.adj, map={})
    channel.outbufs[-1].append(b"left over")
    channel.total_outbufs_len = 9

    channel.handle_write()  # with no request, for which waitress takes no lock

    assert held == [True]
    assert far.recv(100) == b"left over"
    channel.handle_close()
    far.close()


@pytest.mark.parametrize("go", [socket.socket.close, reset])
def test_it_is_noticed_that_the_client_of_a_request_that_waits_has_gone(
    turned: Turned, go: Callable[[socket.socket], None]
) -> None:
    waiting = turned.ask("/never")
    turned.until(lambda: [channel.parked for channel in turned.channels] == [True])

    go(waiting)
    turned.until(lambda: turned.app.over == 1)

    assert turned.channels == ()


def test_a_wait_that_begins_while_the_loop_sleeps_ends_in_time(turned: Turned) -> None:
    soon = turned.ask("/soon")
    soon.settimeout(0)
    begun = time.monotonic()

    with pytest.raises(BlockingIOError):
        soon.recv(1)
    turned.server._listener.turn(10)  # accepts
    turned.server._listener.turn(10)  # reads
    turned.server._listener.turn(10)  # ends, since the wait is the next thing that happens
    turned.until(lambda: not any(channel.requests for channel in turned.channels))

    assert soon.recv(12) == b"HTTP/1.1 200"
    assert time.monotonic() - begun < 9


def test_a_stream_whose_client_goes_before_it_begins_is_told_so_once_and_last(turned: Turned) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        go_on.wait(10)

    turned.app.before_stream = held
    client = turned.ask("/stream")
    turned.until(begun.is_set)

    reset(client)
    turned.server._listener.turn(0.01)
    go_on.set()
    turned.until(lambda: "gone" in turned.app.feed.calls)

    assert turned.app.feed.calls in (["gone"], ["begin", "gone"])
    turned.until(lambda: len(turned.server.streams) == 0)
    assert turned.channels == ()


def test_a_stop_does_not_wait_longer_than_the_last_request_takes(turned: Turned) -> None:
    client = turned.ask("/halves")  # whose headers do not say yet that the connection is to be closed
    turned.until(lambda: bool(turned.channels) and turned.channels[0].requests != [])
    assert received(client, b"ok")
    turned.server._listener.stop_accepting()
    turned.server._listener.turn(0.01)  # for what has happened up to here
    begun = time.monotonic()

    turned.app.go_on.set()
    while turned.server._listener.close_idle():
        turned.server._listener.turn(10)

    assert time.monotonic() - begun < 9


def test_a_client_that_sends_everything_ahead_and_closes_its_side_gets_all_replies(turned: Turned) -> None:
    client = turned.client()
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    client.shutdown(socket.SHUT_WR)

    turned.until(lambda: len(turned.channels) == 1)
    turned.until(lambda: len(turned.channels) == 0)

    assert rest(client).count(b"HTTP/1.1 200 OK") == 20


@pytest.mark.parametrize(("method", "has_body"), [(b"GET", True), (b"HEAD", False)])
def test_a_head_at_which_the_application_breaks_is_answered_without_a_body(
    turned: Turned, method: bytes, *, has_body: bool
) -> None:
    client = turned.client()
    client.sendall(method + b" /broken HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.shutdown(socket.SHUT_WR)

    turned.until(lambda: len(turned.channels) == 1)
    turned.until(lambda: len(turned.channels) == 0)
    head, body = rest(client).split(b"\r\n\r\n", 1)

    assert head.startswith(b"HTTP/1.1 500 ")
    assert bool(body) is has_body


def ports(server: Server) -> list[int]:
    """Return the ports of the clients whose connections are open, in the order in which they came."""
    return [channel.addr[1] for channel in server._listener.channels]


def received(sock: socket.socket, wanted: bytes) -> bool:
    """Return whether that comes."""
    data = b""
    while wanted not in data:
        more = sock.recv(4096)
        if not more:
            return False
        data += more
    return True
