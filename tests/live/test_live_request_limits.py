"""What a request may take, as the settings say it, on a real server."""

from __future__ import annotations

from tests.live.client import Client, RawReply, read_reply
from tests.live.conftest import Start

SETTINGS = {
    "SERVER__MAX_URL_BYTES": "1024",
    "SERVER__MAX_HEADER_BYTES": "8192",
    "SERVER__MAX_BODY_BYTES": "2048",
    "SERVER__MAX_IMPORT_BYTES": "4096",
    "SERVER__MAX_REQUEST_MEMORY_BYTES": "1048576",
    "TIMEOUTS__REQUEST_HEADERS_SECONDS": "1",
    "TIMEOUTS__REQUEST_BODY_SECONDS": "2",
}
POST = b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "


def test_each_limit_of_a_request_is_that_of_the_settings_and_is_said(start: Start) -> None:
    with Client(start(settings=SETTINGS).url) as client:
        replies = [
            client.send_raw(b"GET /" + b"x" * 1024 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            client.send_raw(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 8192 + b"\r\n\r\n"),
            client.send_raw(b"POST /api/tasks" + POST + b"2049\r\n\r\n"),
            client.send_raw(b"POST /api/import" + POST + b"4097\r\n\r\n"),
            client.send_raw(b"GET /ready HTTP/1.1\r\nHost: local"),
            client.send_raw(b"POST /api/tasks" + POST + b"10\r\n\r\n{"),
        ]

    said = [said_of(reply) for reply in replies]
    assert [status for status, _ in said] == [414, 431, 413, 413, 408, 408]
    for (_, detail), limit in zip(said, ("1,024", "8,192", "2,048", "4,096"), strict=False):
        assert limit in detail


def said_of(reply: RawReply) -> tuple[int, str]:
    """Return the status and the detail of a problem."""
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Connection"] == "close"
    return reply.status_code, reply.json()["detail"]


def test_clients_behind_a_trusted_proxy_have_limits_of_their_own(start: Start) -> None:
    settings = {"SERVER__TRUSTED_PROXIES": "127.0.0.1", "LIMITS__REQUESTS_PER_MINUTE": "1"}

    with Client(start(settings=settings).url) as client, client.connect() as proxy:
        statuses: list[int] = []
        for forwarded in (b"192.0.2.1", b"192.0.2.1", b"192.0.2.2", b"192.0.2.1, 192.0.2.3"):
            proxy.sendall(
                b"GET /api/tasks HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: " + forwarded + b"\r\n\r\n"
            )
            statuses.append(read_reply(proxy).status_code)

    assert statuses == [200, 429, 200, 200]
