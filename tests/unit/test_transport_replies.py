"""Streams and replies that wait, of plain WSGI applications, on real sockets and both loops."""

from __future__ import annotations

import gc
import logging
import socket
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest

from alex_actors.clock import SystemClock
from alex_http.transport import HOLD, Hold, Reason, Refusal, Server
from alex_http.transport.loops import LoopName
from tests.unit.fake_runtime import Log
from tests.unit.running_server import LOOPS, Reply, rest

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


class Serving:
    """A server on a thread, whose application is the test's."""

    def __init__(self, loop: LoopName, answer: Answer, *, workers: int, grace: float, streams: int) -> None:
        self.server = Server(
            app=answer,
            refuse=lambda refused: Refusal("500 Internal Server Error", [], refused.reason.encode()),
            host="127.0.0.1",
            port=0,
            clock=SystemClock(),
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


@pytest.fixture(params=LOOPS)
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """What starts servers, which are stopped in the end."""
    started: list[Serving] = []

    def start(answer: Answer, *, workers: int = 2, grace: float = 0.5, streams: int = 10) -> Serving:
        started.append(Serving(request.param, answer, workers=workers, grace=grace, streams=streams))
        return started[-1]

    yield start
    for serving in started:
        serving.stop()
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


# Streams.


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_stream_is_its_headers_and_what_its_feed_gives_and_ends_with_its_connection(
    serve: Serve, version: str
) -> None:
    feed = Feed(b"a\n")
    serving = serve(streaming(feed))

    with stream_of(serving, feed, f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode()) as sock:
        head = read_until(sock, b"\r\n\r\n").lower()
        first = read_until(sock, b"a\n")
        feed.given.append(b"b\n")
        feed.wake()
        second = read_until(sock, b"b\n")
        feed.end()
        last = rest(sock)

    assert head.startswith(f"http/{version} 200 ok\r\n".encode())
    assert b"connection: close\r\n" in head
    assert b"content-length" not in head
    assert b"chunked" not in head
    assert (first, second, last) == (b"a\n", b"b\n", b"")
    assert feed.reasons == ["ended"]


@pytest.mark.parametrize("body", [[], [b""], [b"once\n"], [b"on", b"ce\n"]])
def test_a_length_is_not_told_of_a_stream_and_a_body_comes_first(serve: Serve, body: list[bytes]) -> None:
    feed = Feed(b"a\n")
    length = str(len(b"".join(body)))
    serving = serve(streaming(feed, body, ("Content-Length", length)))

    with stream_of(serving, feed) as sock:
        head = read_until(sock, b"\r\n\r\n").lower()
        feed.end()
        text = rest(sock)

    assert b"content-length" not in head
    assert text == b"".join(body) + b"a\n"


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("HEAD", "200 OK"),
        ("GET", "500 Internal Server Error"),
        ("GET", "204 No Content"),
        ("GET", "404 Not Found"),
    ],
)
def test_what_has_no_body_or_is_an_error_is_no_stream(serve: Serve, method: str, status: str) -> None:
    feed = Feed(b"a\n")
    serving = serve(streaming(feed, [b"x"] * (method == "GET"), ("Content-Length", "1"), status=status))

    with serving.send(f"{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()) as sock:
        reply = Reply(sock, method)
        left = rest(sock)

    assert (reply.status, left) == (int(status[:3]), b"")
    assert reply.body == (b"x" if method == "GET" and "204" not in status else b"")
    assert feed.is_closed.wait(PATIENCE)
    assert feed.reasons == ["gone"]
    assert not feed.begun.is_set()


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(), ConnectionResetError()], ids=repr)
def test_an_application_that_breaks_after_it_said_stream_leaves_nothing(serve: Serve, error: Exception) -> None:
    feed = Feed()

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        environ[HOLD].stream(feed)
        raise error

    serving = serve(answer)

    with serving.send() as sock:
        rest(sock)

    assert feed.is_closed.wait(PATIENCE)
    assert feed.reasons == ["gone"]


def test_a_client_that_goes_while_the_application_is_called_leaves_nothing(serve: Serve) -> None:
    feed = Feed(b"a\n")
    called, gone = threading.Event(), threading.Event()

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        called.set()
        gone.wait(PATIENCE)
        return streaming(feed)(environ, start)

    serving = serve(answer)
    sock = serving.send()
    assert called.wait(PATIENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()  # a reset
    gone.set()

    assert feed.is_closed.wait(PATIENCE)
    assert feed.reasons == ["gone"]


def test_a_request_after_one_whose_reply_is_a_stream_is_not_answered(serve: Serve) -> None:
    feed = Feed(b"a\n")
    serving = serve(streaming(feed))

    with stream_of(serving, feed, GET + GET + b"GET /half") as sock:
        read_until(sock, b"\r\n\r\na\n")
        feed.end()
        left = rest(sock)

    assert left == b""


def test_a_stream_follows_the_replies_before_it(serve: Serve) -> None:
    feed = Feed(b"a\n")

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stream":
            return streaming(feed)(environ, start)
        start("200 OK", [("Content-Length", "2000000")])
        return [b"x" * 2_000_000]

    serving = serve(answer)

    with serving.send(GET + GET.replace(b"/ ", b"/stream ")) as sock:
        reply = Reply(sock)
        assert feed.begun.wait(PATIENCE)
        feed.end()

    assert len(reply.body) == 2_000_000


def test_a_stop_closes_a_stream_whose_headers_a_client_does_not_read(serve: Serve) -> None:
    feed = Feed(b"a\n")

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stream":
            return streaming(feed)(environ, start)
        start("200 OK", [("Content-Length", "10000000")])
        return [b"x" * 10_000_000]

    serving = serve(answer, grace=0.1)

    with serving.send(GET + GET.replace(b"/ ", b"/stream ")) as sock:
        sock.recv(1)
        while not len(serving.server.streams):
            sock.recv(1)
        serving.stop()

    assert feed.reasons == ["gone"]
    assert not feed.begun.is_set()


def test_a_client_that_does_not_read_the_headers_of_a_stream_is_closed_when_it_was_silent_for_long(
    serve: Serve,
) -> None:
    feed = Feed(b"a\n")

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stream":
            return streaming(feed)(environ, start)
        start("200 OK", [("Content-Length", "10000000")])
        return [b"x" * 10_000_000]

    serving = serve(answer)
    listener = serving.server._listener

    def look_for_silent_ones_later() -> None:
        if any(channel.leaving and not channel.requests for channel in listener.channels):
            listener.maintenance(time.time() + 1000)

    with serving.send(GET + GET.replace(b"/ ", b"/stream ")) as sock:
        sock.recv(1)
        for _ in range(1000):
            listener.trigger.pull_trigger(look_for_silent_ones_later)  # on the loop's thread
            if feed.is_closed.wait(0.01):
                break

    assert feed.reasons == ["gone"]


def test_a_server_that_is_closed_while_headers_are_written_leaves_no_feed(serve: Serve) -> None:
    feed = Feed(b"a\n")
    started: list[Serving] = []

    class Body(list[bytes]):
        def close(self) -> None:
            """Be called when the headers are written and the worker is about to hand over."""
            started[0].server.stop()
            started[0].thread.join(PATIENCE)

    started.append(serve(streaming(feed, Body([b"x"])), grace=0.0))

    with started[0].send() as sock:
        rest(sock)
        closed = feed.is_closed.wait(PATIENCE)
    while started[0].server._workers.running:
        started[0].server.close()
    started[0].server.close()  # frees what the worker held

    assert closed
    assert feed.reasons == ["gone"]


def test_what_refuses_may_fail_as_well(serve: Serve) -> None:
    feed = Feed()

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        environ[HOLD].stream(feed)
        raise ZeroDivisionError

    serving = serve(answer)
    serving.server._listener.refuse = lambda refused: Refusal(*[])  # it lacks all that one has

    with serving.send() as sock:
        left = rest(sock)

    assert left == b""
    assert feed.is_closed.wait(PATIENCE)


def test_more_streams_than_there_may_be_are_refused_and_one_that_ends_makes_room(serve: Serve) -> None:
    feeds = [Feed(b"a\n"), Feed(b"a\n"), Feed(b"a\n")]
    coming = iter(feeds)

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/full":
            assert not environ[HOLD].stream(Feed())
            start("503 Service Unavailable", [("Content-Length", "4")])
            return [b"full"]
        return streaming(next(coming))(environ, start)

    serving = serve(answer, streams=2)

    with stream_of(serving, feeds[0]) as sock, stream_of(serving, feeds[1]):
        with serving.send(GET.replace(b"/ ", b"/full ")) as another:
            refused = Reply(another)
        feeds[0].end()
        rest(sock)
        sock.close()
        while len(serving.server.streams) == 2:
            pass
        with stream_of(serving, feeds[2]):
            pass

    assert refused.body == b"full"


def test_a_stream_that_was_handed_over_leaves_nothing_of_its_connection(serve: Serve) -> None:
    feed = Feed(b"a\n")
    kept: list[weakref.ref[threading.Event]] = []

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stream":
            environ[HOLD].kept = mark = threading.Event()
            kept.append(weakref.ref(mark))
            return streaming(feed)(environ, start)
        start("200 OK", [("Content-Length", "0")])
        return []

    serving = serve(answer, workers=1)
    gc.disable()
    try:
        with stream_of(serving, feed, GET.replace(b"/ ", b"/stream ")), serving.send() as sock:
            Reply(sock)  # the worker forgets what it did before

            assert kept[0]() is None
    finally:
        gc.enable()


# Replies that wait.


class Waiting:
    """An application that answers when it is woken, or when its time is over."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds
        self.holds: list[Hold] = []
        self.parked: list[Hold] = []
        self.is_parked, self.is_over = threading.Event(), threading.Event()
        self.news = False

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        hold: Hold = environ[HOLD]
        self.holds.append(hold)
        body = environ["wsgi.input"].read()
        if not (self.news or hold.overdue or hold.ending):
            hold.at_the_end = self.is_over.set
            hold.wait(self._seconds)
            self.parked.append(hold)
            self.is_parked.set()
            start("500 Internal Server Error", [("X-Dropped", "1")])
            return [b"dropped"]
        said = b"%s, %s" % (b"late" if hold.overdue else b"in time", body)
        start("200 OK", [("Content-Length", str(len(said)))])
        return [said]


def test_a_reply_waits_until_it_is_woken_and_finds_the_body_again(serve: Serve) -> None:
    waiting = Waiting()
    serving = serve(waiting)

    with serving.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody") as sock:
        assert waiting.is_parked.wait(PATIENCE)
        waiting.news = True
        waiting.parked[0].wake()
        reply = Reply(sock)
        again = not waiting.is_over.wait(PATIENCE)

    assert (reply.status, reply.body) == (200, b"in time, body")
    assert "X-Dropped" not in reply.headers
    assert not again


def test_a_reply_waits_until_its_time_is_over(serve: Serve) -> None:
    serving = serve(Waiting(0.05))

    with serving.send() as sock:
        reply = Reply(sock)

    assert reply.body == b"late, "


def test_more_replies_wait_than_there_are_workers_and_each_is_answered_once(serve: Serve) -> None:
    waiting = Waiting()
    serving = serve(waiting, workers=1)
    socks = [serving.send() for _ in range(50)]
    while len(waiting.parked) < 50:
        waiting.is_parked.wait(PATIENCE)

    waiting.news = True
    for hold in waiting.parked[:50]:
        threading.Thread(target=hold.wake).start()
        hold.wake()
    bodies = [Reply(sock).body for sock in socks]
    for sock in socks:
        sock.close()

    assert bodies == [b"in time, "] * 50


def test_who_waits_for_a_client_that_goes_is_told(serve: Serve) -> None:
    waiting = Waiting()
    serving = serve(waiting)
    sock = serving.send()
    assert waiting.is_parked.wait(PATIENCE)

    sock.close()

    assert waiting.is_over.wait(PATIENCE)
    assert len(waiting.parked) == 1


def test_what_was_sent_ahead_is_answered_after_the_reply_that_waits(serve: Serve) -> None:
    waiting = Waiting()
    serving = serve(waiting)

    ahead = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n2"

    with serving.send(GET + ahead) as sock:
        assert waiting.is_parked.wait(PATIENCE)
        waiting.news = True
        waiting.parked[0].wake()
        replies = rest(sock).split(b"HTTP/1.1 200 OK\r\n")

    first, again, second = waiting.holds
    assert [reply.split(b"\r\n\r\n")[1] for reply in replies[1:]] == [b"in time, ", b"in time, 2"]
    assert first is again
    assert second is not first


def test_a_stop_answers_who_waits(serve: Serve) -> None:
    waiting = Waiting()
    serving = serve(waiting, grace=PATIENCE)

    with serving.send() as sock:
        assert waiting.is_parked.wait(PATIENCE)
        serving.server.stop()
        reply = Reply(sock)

    assert reply.body == b"in time, "
    assert reply.headers["Connection"] == "close"


def test_what_is_raised_at_the_end_of_a_request_is_logged(serve: Serve) -> None:
    logged = threading.Event()
    records: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)
            logged.set()

    def answer(environ: Environ, start: Start) -> Iterable[bytes]:
        environ[HOLD].at_the_end = fail
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def fail() -> None:
        raise ZeroDivisionError

    serving = serve(answer)
    handler = Handler()
    logging.getLogger("waitress").addHandler(handler)

    with serving.send() as sock:
        bodies = [Reply(sock).body]
        assert logged.wait(PATIENCE)
        sock.sendall(GET)
        bodies.append(Reply(sock).body)
    logging.getLogger("waitress").removeHandler(handler)

    assert bodies == [b"ok", b"ok"]
    assert records[0].exc_info is not None
    assert records[0].exc_info[0] is ZeroDivisionError


# What makes no sense.


def both(environ: Environ, start: Start) -> Iterable[bytes]:
    environ[HOLD].stream(Feed())
    environ[HOLD].wait(PATIENCE)
    return []


def other_way_round(environ: Environ, start: Start) -> Iterable[bytes]:
    environ[HOLD].wait(PATIENCE)
    environ[HOLD].stream(Feed())
    return []


def twice(environ: Environ, start: Start) -> Iterable[bytes]:
    environ[HOLD].stream(Feed())
    environ[HOLD].stream(Feed())
    return []


def without_headers(environ: Environ, start: Start) -> Iterable[bytes]:
    environ[HOLD].stream(Feed())
    return []


@pytest.mark.parametrize("answer", [both, other_way_round, twice, without_headers])
def test_what_cannot_be_both_is_an_error_of_the_application(serve: Serve, answer: Answer) -> None:
    serving = serve(answer)

    with serving.send() as sock:
        reply = Reply(sock)

    assert reply.status == 500


def wait_late(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "5")])(b"begun")
    environ[HOLD].wait(PATIENCE)
    return []


def stream_late(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "5")])(b"begun")
    environ[HOLD].stream(Feed())
    return []


@pytest.mark.parametrize("answer", [wait_late, stream_late])
def test_one_that_thinks_of_it_after_its_headers_is_too_late(serve: Serve, answer: Answer) -> None:
    serving = serve(answer)

    with serving.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as sock:
        reply = Reply(sock)
        left = rest(sock)

    assert (reply.body, left) == (b"begun", b"")
