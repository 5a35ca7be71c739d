"""Where the server runs out of something: descriptors, workers."""

from __future__ import annotations

import math
import os
import re
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alex_http.transport import CannotListen
from alex_http.transport.loops import LoopName
from alex_http.transport.sockets import OpenFiles, Room, make_room
from tests.unit.fake_runtime import HeldClock, Log
from tests.unit.running_server import LOOPS, POST, TASK, bind, exchange, rest, running


def test_a_server_takes_as_many_descriptors_as_its_connections_and_streams_need() -> None:
    with at_most(250):
        bind(connections=100, streams=50).close()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        bind(connections=60, streams=50).close()
        kept, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert (raised, kept) == (350, 350)


def test_a_server_that_gets_fewer_descriptors_serves_fewer_and_says_so() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system allows any number")
    log = Log()

    with at_most(250):
        server = bind(connections=hard, streams=hard, log=log)
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    line = log.only("http.fewer_descriptors")
    server.close()

    assert raised == line["open_files"] == hard
    assert line["connections"] == server._listener.adj.connection_limit - 2 == (hard - 200) // 2
    assert (line["wanted_connections"], line["wanted_streams"]) == (hard, hard)
    assert f"to {2 * hard + 200}, or lower server.max_connections" in line["advice"]


class Files(OpenFiles):
    """A system with limits of its own, of which it may let set less than it says, as macOS does."""

    def __init__(self, soft: float, hard: float, *, really: float | None = None) -> None:
        self.soft, self.hard = soft, hard
        self.really = hard if really is None else really

    def limits(self) -> tuple[float, float]:
        return self.soft, self.hard

    def allow(self, soft: int) -> bool:
        if soft > self.really:
            return False
        self.soft = soft
        return True


@pytest.mark.parametrize(
    ("files", "wanted", "room", "soft"),
    [
        (Files(1024, 4096), Room(100, 700), Room(100, 700), 1024),
        (Files(1024, 4096), Room(1000, 1000), Room(1000, 1000), 2200),
        (Files(math.inf, math.inf), Room(10_000, 10_000), Room(10_000, 10_000), math.inf),
        (Files(256, math.inf), Room(10_000, 10_000), Room(10_000, 10_000), 20_200),
        (Files(1024, 4096), Room(10_000, 10_000), Room(1948, 1948), 4096),
        (Files(1024, 2200), Room(1000, 9000), Room(200, 1800), 2200),
        (Files(1024, 1024), Room(100, 100_000), Room(10, 814), 1024),
        (Files(256, math.inf, really=10_240), Room(10_000, 10_000), Room(5014, 5014), 10_228),
        (Files(300, 300), Room(1000, 1000), Room(50, 50), 300),
        (Files(210, 210), Room(5, 5), Room(5, 5), 210),
    ],
)
def test_as_many_descriptors_are_taken_as_there_are(files: Files, wanted: Room, room: Room, soft: float) -> None:
    got = make_room(wanted, files)

    assert got == room
    assert files.soft == soft


def test_too_few_descriptors_for_a_hundred_connections_are_told_with_what_would_be_right() -> None:
    with pytest.raises(CannotListen, match=r"may have 299 open files.*need 300\. Raise the limit \(ulimit -n"):
        make_room(Room(1000, 1000), Files(299, 299))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_without_descriptors_pauses_says_so_once_each_time_and_goes_on(loop: LoopName) -> None:
    log = Log()
    server = bind(
        log=log, clock=HeldClock(), loop=loop
    )  # which goes on by 1 ms each time that the loop looks at it
    client = socket.create_connection((server.host, server.port), timeout=10)

    with at_most(lowest_free()):
        server._listener.turn(10)
        waits = not server._listener.readable()
        for _ in range(3000):  # in which it tries again twice
            server._listener.turn(0)
        lines = [line["event"] for line in log.lines]
    for _ in range(1100):
        server._listener.turn(0)
    accepted = len(server._listener.channels)
    another = socket.create_connection((server.host, server.port), timeout=10)
    with at_most(lowest_free()):
        server._listener.turn(10)

    assert waits
    assert lines == ["http.no_room"]
    assert accepted == 1
    assert len(log.lines) == 2
    client.close()
    another.close()
    server.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_how_the_server_is_can_be_asked_while_all_workers_are_busy(loop: LoopName) -> None:
    with running(loop=loop) as it:
        begun, go_on = threading.Barrier(3), threading.Event()

        def hold() -> None:
            begun.wait(10)
            go_on.wait(30)  # longer than a client here waits for its reply

        it.runtime.before_submit = hold
        ready = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
        submit = POST + b"Content-Length: %d\r\n\r\n" % len(TASK) + TASK

        with it.socket() as one, it.socket() as other:
            for sock in (one, other):
                sock.sendall(ready + submit)  # what comes after a probe is none
            begun.wait(10)
            try:
                asked = [
                    exchange(it, b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target).status
                    for target in (b"/health", b"/ready", b"/ready")
                ]
            finally:
                go_on.set()
            received = [rest_of_two(sock) for sock in (one, other)]

        assert asked == [200, 200, 200]
        assert received == [[b"200", b"201"]] * 2


def rest_of_two(sock: socket.socket) -> list[bytes]:
    """Return the statuses of two replies."""
    sock.shutdown(socket.SHUT_WR)
    return re.findall(rb"HTTP/1\.1 (\d+)", rest(sock))


@contextmanager
def at_most(descriptors: int) -> Iterator[None]:
    """Have this process open no descriptor from this number on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def lowest_free() -> int:
    """Return the descriptor that the next file gets."""
    with Path(os.devnull).open() as file:
        return file.fileno()
