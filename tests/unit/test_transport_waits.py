"""Replies of plain WSGI applications that wait, on real sockets and both loops; and what cannot be both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator

import pytest

from alex_http.transport import HOLD, Hold
from tests.unit.plain_server import (
    GET,
    PATIENCE,
    Answer,
    Environ,
    Feed,
    Serve,
    Start,
    servers,
)
from tests.unit.running_server import LOOPS, Reply, rest


@pytest.fixture(params=LOOPS)
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    with servers(request.param) as start:
        yield start


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
