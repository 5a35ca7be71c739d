"""How large requests may be, and the memory of all that come at once, on both loops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alex_http.transport import Head, Limits
from tests.unit.running_server import LIMIT, LOOPS, rest
from tests.unit.turned_server import GET, Turned, post


@pytest.fixture(params=LOOPS)
def turned(request: pytest.FixtureRequest) -> Iterator[Turned]:
    it = Turned(request.param)
    yield it
    it.close()


def of_import(head: Head) -> int:
    """Return how large a body may be: that of an import by who has a token larger than any other."""
    known = head.headers.get("AUTHORIZATION", "Bearer x") == "Bearer x"
    return 3 * LIMIT if known and (head.method, head.path) == ("POST", "/import") else 10


def test_a_body_may_be_as_large_as_its_headers_say(turned: Turned) -> None:
    turned.bind(Limits(body_of=of_import))

    small = turned.received(turned.send(post(b"", 11)))
    large = turned.received(turned.send(post(b"", 3 * LIMIT + 1, b"/import")))
    stranger = turned.received(turned.send(post(b"", 11, b"/import HTTP/1.1\r\nAuthorization: no\r\nX:")))
    client = turned.send(post(b"x" * 3 * LIMIT, path=b"/imp%6frt"))
    turned.until(lambda: len(turned.app.environs) == 1)

    assert b"larger than 10 bytes" in small
    assert b"larger than 196,608 bytes" in large
    assert b"larger than 10 bytes" in stranger
    assert client.recv(12) == b"HTTP/1.1 200"


def test_who_comes_with_more_than_there_is_memory_for_is_told_to_come_again(turned: Turned) -> None:
    server = turned.bind(Limits(memory_bytes=65_536))
    first = turned.send(post(b"x" * 50_000, LIMIT))
    turned.until(lambda: server._listener.memory.used == 65_536)

    second = turned.received(turned.send(post(b"x" * 20_000)))
    small = turned.send(post(b"x" * 5_000))
    turned.until(lambda: len(turned.app.environs) == 1)
    first.sendall(b"x" * (LIMIT - 50_000))
    turned.until(lambda: len(turned.app.environs) == 2)
    turned.until(lambda: server._listener.memory.used == 0)

    assert second.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in second
    assert small.recv(12) == first.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 150000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n249F0\r\n"]
)
def test_large_bodies_take_no_memory_from_others(turned: Turned, framing: bytes) -> None:
    limits = Limits(memory_bytes=65_536, large_memory_bytes=65_536, body_of=of_import_or_usual)
    listener = turned.bind(limits)._listener
    head = b"POST /import HTTP/1.1\r\nHost: localhost\r\n" + framing
    turned.send(head + b"x" * 120_000)
    turned.until(lambda: listener.large_memory.used == 131_072)

    second = turned.received(turned.send(head + b"x" * 20_000))
    usual = turned.send(post(b"x" * 50_000))
    turned.until(lambda: len(turned.app.environs) == 1)

    assert second.startswith(b"HTTP/1.1 503 ")
    assert usual.recv(12) == b"HTTP/1.1 200"
    turned.until(lambda: listener.memory.used == 0)
    assert listener.large_memory.used == 131_072


def of_import_or_usual(head: Head) -> int:
    """As the server has it: other bodies have the usual limit."""
    return max(LIMIT, of_import(head))


def test_one_request_alone_may_take_more(turned: Turned) -> None:
    turned.bind(Limits(memory_bytes=10_000))

    turned.send(post(b"x" * LIMIT))

    turned.until(lambda: len(turned.app.environs) == 1)


def test_headers_take_of_that_memory_too(turned: Turned) -> None:
    server = turned.bind(Limits(memory_bytes=65_536))

    turned.send(GET[:-2] + b"X: " + b"x" * 40_000)

    turned.until(lambda: server._listener.memory.used == 49_152)


def test_what_is_refused_keeps_nothing(turned: Turned) -> None:
    server = turned.bind(Limits(memory_bytes=65_536))
    turned.send(post(b"x" * 50_000, LIMIT))
    turned.until(lambda: server._listener.memory.used == 65_536)

    refused = turned.send(post(b"x" * 40_000, LIMIT))
    turned.until(lambda: any(channel.lingering for channel in turned.channels))

    assert rest(refused).startswith(b"HTTP/1.1 503 ")
    assert server._listener.memory.used == 65_536
