"""Where the server runs out of something: descriptors, workers."""

from __future__ import annotations

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
from tests.unit.fake_runtime import HeldClock, Log
from tests.unit.running_server import POST, TASK, bind, exchange, rest, running


def test_a_server_takes_as_many_descriptors_as_its_connections_need() -> None:
    with at_most(250):
        bind(connections=100).close()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        bind(connections=60).close()
        kept, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert (raised, kept) == (300, 300)


def test_more_connections_than_the_system_allows_are_told_with_what_would_be_right() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system allows any number")

    with pytest.raises(CannotListen) as caught:
        bind(connections=hard)

    assert f"need {hard + 200} open files, and this process may have {hard}" in str(caught.value)
    assert "Lower server.max_connections" in str(caught.value)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_a_server_without_descriptors_pauses_says_so_once_each_time_and_goes_on() -> None:
    log = Log()
    server = bind(log=log, clock=HeldClock())  # which goes on by 1 ms each time that the loop looks at it
    client = socket.create_connection((server.host, server.port), timeout=10)

    with at_most(lowest_free()):
        server._turn(10)
        waits = not server._listener.readable()
        for _ in range(3000):  # in which it tries again twice
            server._turn(0)
        lines = [line["event"] for line in log.lines]
    for _ in range(1100):
        server._turn(0)
    accepted = len(server._listener.channels)
    another = socket.create_connection((server.host, server.port), timeout=10)
    with at_most(lowest_free()):
        server._turn(10)

    assert waits
    assert lines == ["http.no_room"]
    assert accepted == 1
    assert len(log.lines) == 2
    client.close()
    another.close()
    server.close()


def test_how_the_server_is_can_be_asked_while_all_workers_are_busy() -> None:
    with running() as it:
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
