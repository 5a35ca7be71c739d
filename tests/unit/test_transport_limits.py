"""What clients may take, on both loops: time for a request and for a reply, connections, memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import pytest

from alex_http.transport import Limits
from tests.unit.running_server import LOOPS
from tests.unit.turned_server import GET, HALF, Turned, post


@pytest.fixture(params=LOOPS)
def turned(request: pytest.FixtureRequest) -> Iterator[Turned]:
    it = Turned(request.param)
    yield it
    it.close()


# Time.


def test_headers_that_are_not_whole_in_time_are_answered_408_however_slowly_more_comes(turned: Turned) -> None:
    turned.bind(Limits(header_seconds=20))
    client = turned.send(GET[:1])
    turned.until(lambda: bool(turned.channels) and turned.channels[0].request is not None)

    for byte in GET[1:19]:  # a second each, less than in all
        client.sendall(bytes([byte]))
        turned.later(1)
    alive = len(turned.channels)
    turned.later(3)
    reply = turned.received(client)

    assert alive == 1
    assert reply.startswith(b"HTTP/1.0 408 Request Timeout\r\n")
    assert b"application/problem+json" in reply
    assert turned.app.environs == []


def test_a_body_that_is_not_whole_in_time_is_answered_408(turned: Turned) -> None:
    turned.bind(Limits(body_seconds=60))
    client = turned.send(post(b"x", 1000))
    turned.until(lambda: bool(turned.channels) and turned.channels[0].request is not None)

    turned.later(59)
    alive = len(turned.channels)
    turned.later(2)

    assert alive == 1
    assert turned.received(client).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_at_64_kbit_a_second_has_the_time_that_it_takes(turned: Turned) -> None:
    turned.bind(Limits(body_seconds=10))
    client = turned.send(post(b"", 60_000))
    turned.until(lambda: bool(turned.channels) and turned.channels[0].request is not None)

    for second in range(6):
        client.sendall(b"x" * 10_000)
        turned.until(partial(has_come, turned, 10_000 * (second + 1)))
        turned.later(2.5)  # 15 in all

    turned.until(lambda: len(turned.app.environs) == 1)


def has_come(turned: Turned, size: int) -> bool:
    """Return whether so much of a body has come, or all."""
    request = turned.channels[0].request
    return request is None or bool(request.body_bytes_received == size)


@pytest.mark.parametrize(("body_seconds", "within"), [(60, 600), (900, 900)])
def test_no_body_has_more_than_ten_minutes_or_what_it_has_anyhow(
    turned: Turned, body_seconds: int, within: int
) -> None:
    turned.bind(Limits(body_seconds=body_seconds, body_of=lambda _head: 2**26))
    client = turned.send(post(b"", 2**26))
    turned.until(lambda: bool(turned.channels) and turned.channels[0].request is not None)
    (channel,) = turned.channels
    begun = turned.clock.monotonic()

    channel.request.body_bytes_received = 2**25  # type: ignore[union-attr]  # it is there: see above

    assert channel.due() == pytest.approx(begun + within, abs=1)
    client.close()


def test_a_new_connection_that_says_nothing_is_closed_without_a_word_and_empty_lines_are_nothing(
    turned: Turned,
) -> None:
    turned.bind(Limits(header_seconds=20))
    silent, empty = turned.send(b""), turned.send(b"\r\n\r\n")
    turned.until(lambda: len(turned.channels) == 2)

    for _ in range(5):
        turned.later(5.5)
        with contextlib.suppress(OSError):
            empty.sendall(b"\r\n\r\n")
        turned.server._listener.turn(0)

    assert (turned.received(silent), turned.received(empty)) == (b"", b"")


def test_between_two_requests_a_connection_may_be_silent_for_longer(turned: Turned) -> None:
    turned.bind(Limits(header_seconds=20))
    client = turned.send(GET)
    turned.until(lambda: bool(turned.app.environs) and not turned.channels[0].requests)

    turned.later(100)
    client.sendall(GET)
    turned.until(lambda: len(turned.app.environs) == 2 and not turned.channels[0].requests)
    turned.later(100)
    alive = len(turned.channels)
    turned.later(30)

    assert alive == 1
    assert turned.received(client).count(b"HTTP/1.1 200 OK") == 2


def test_after_a_silence_a_request_has_its_time_from_its_first_byte_on(turned: Turned) -> None:
    turned.bind(Limits(header_seconds=20))
    client = turned.send(GET)
    turned.until(lambda: bool(turned.app.environs) and not turned.channels[0].requests)

    turned.later(100)
    client.sendall(HALF)
    turned.until(lambda: turned.channels[0].request is not None)
    turned.later(19)
    client.sendall(GET[20:])

    turned.until(lambda: len(turned.app.environs) == 2)


def test_what_waits_for_its_reply_is_not_overdue_nor_is_half_a_request_behind_it(turned: Turned) -> None:
    turned.bind(Limits(header_seconds=20))
    turned.send(GET.replace(b"small", b"never") + HALF)
    turned.until(lambda: [channel.parked for channel in turned.channels] == [True])

    for _ in range(10):
        turned.later(30)

    assert [channel.parked for channel in turned.channels] == [True]


def test_half_a_request_behind_another_has_its_time_from_that_ones_reply_on(turned: Turned) -> None:
    turned.bind(Limits(header_seconds=20))
    client = turned.send(GET + HALF)
    turned.until(lambda: bool(turned.app.environs) and not turned.channels[0].requests)

    turned.later(19)
    alive = len(turned.channels)
    turned.later(2)

    assert alive == 1
    assert b" 408 Request Timeout" in turned.received(client)


def test_who_takes_a_reply_too_slowly_is_closed(turned: Turned) -> None:
    turned.bind(Limits(body_seconds=60))
    turned.send(GET.replace(b"small", b"large"))
    turned.until(lambda: bool(turned.app.environs) and not turned.channels[0].requests)

    turned.later(50)
    alive = len(turned.channels)
    for _ in range(40):  # what the system took has given it some time more
        turned.later(60)

    assert (alive, turned.channels) == (1, ())


def test_a_turn_looks_at_no_connection_that_is_not_due(turned: Turned) -> None:
    turned.bind(Limits())
    for _ in range(100):
        turned.send(b"")
    turned.until(lambda: len(turned.channels) == 100)
    looks: list[int] = []
    for channel in turned.channels:
        channel.due = lambda: looks.append(1)  # type: ignore[method-assign]  # to see that nobody asks

    for _ in range(50):
        turned.server._listener.turn(0)

    assert looks == []


# Connections.


def test_a_client_with_too_many_connections_is_told_and_closed_and_one_that_goes_makes_room(
    turned: Turned,
) -> None:
    turned.bind(Limits(connections_per_address=2, uncounted=()))
    first, _second = turned.send(b""), turned.send(b"")
    turned.until(lambda: len(turned.channels) == 2)

    third, fourth = turned.received(turned.send(GET)), turned.received(turned.send(b""))
    first.close()
    turned.until(lambda: len(turned.channels) == 1)
    fifth = turned.send(GET)
    turned.until(lambda: len(turned.app.environs) == 1)

    assert third.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 1\r\n" in third
    assert third == fourth  # a flood costs no JSON and no line each
    assert [line["limit"] for line in turned.log.lines if line["event"] == "http.too_many_connections"] == [2]
    assert fifth.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "limits",
    [
        Limits(connections_per_address=1),
        Limits(connections_per_address=1, uncounted=(), trusted_proxies=("127.0.0.1",)),
    ],
)
def test_connections_of_this_machine_and_of_trusted_proxies_are_not_counted(
    turned: Turned, limits: Limits
) -> None:
    turned.bind(limits)

    for _ in range(5):
        turned.send(b"")
    turned.until(lambda: len(turned.channels) == 5)


def test_nothing_is_left_of_connections_that_are_closed(turned: Turned) -> None:
    server = turned.bind(Limits())
    for sent in (b"", HALF, GET, post(b"x" * 40_000, 60_000), b"\x16\x03"):
        turned.send(sent).close()
    turned.until(lambda: len(turned.app.environs) == 1 and not turned.channels)

    assert not server._listener._connections
    assert len(server._listener._deadlines) == 0
    assert server._listener.memory.used == 0


# For whom a proxy asks.


@pytest.mark.parametrize(("trusted", "scheme"), [((), "http"), (("127.0.0.0/8",), "https")])
def test_the_application_gets_the_scheme_by_which_a_client_came_to_a_trusted_proxy(
    turned: Turned, trusted: tuple[str, ...], scheme: str
) -> None:
    turned.bind(Limits(trusted_proxies=trusted))

    turned.send(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-Proto: https\r\n\r\n"))
    turned.until(lambda: len(turned.app.environs) == 1)

    (environ,) = turned.app.environs
    assert environ["wsgi.url_scheme"] == scheme
    assert "HTTP_X_FORWARDED_PROTO" not in environ


@pytest.mark.parametrize(("trusted", "client"), [((), "127.0.0.1"), (("127.0.0.0/8",), "192.0.2.1")])
def test_the_application_gets_the_address_of_whom_a_trusted_proxy_asks_for(
    turned: Turned, trusted: tuple[str, ...], client: str
) -> None:
    turned.bind(Limits(trusted_proxies=trusted))

    turned.send(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 203.0.113.9, 192.0.2.1, 127.0.0.9\r\n\r\n"))
    turned.until(lambda: len(turned.app.environs) == 1)

    (environ,) = turned.app.environs
    assert (environ["REMOTE_ADDR"], environ["REMOTE_HOST"]) == (client, client)
    assert "HTTP_X_FORWARDED_FOR" not in environ
