"""Replies of plain WSGI applications that are streams, on real sockets and both loops."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import weakref
from collections.abc import Iterable, Iterator

import pytest

from alex_http.transport import HOLD, Refusal
from tests.unit.plain_server import (
    GET,
    PATIENCE,
    Environ,
    Feed,
    Serve,
    Serving,
    Start,
    read_until,
    servers,
    stream_of,
    streaming,
)
from tests.unit.running_server import LOOPS, Reply, close_wholly, rest


@pytest.fixture(params=LOOPS)
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    with servers(request.param) as start:
        yield start


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

    def have_it_be_later() -> None:
        if any(channel.leaving and not channel.requests for channel in listener.channels):
            serving.clock.ahead += 60.0  # of which there are several: what it took so far gives it time

    with serving.send(GET + GET.replace(b"/ ", b"/stream ")) as sock:
        sock.recv(1)
        for _ in range(1000):
            listener.trigger.pull_trigger(have_it_be_later)  # on the loop's thread
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
    close_wholly(started[0].server)  # which frees what the worker held

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
