"""Which hosts and pages may use the server: rebound names, other sites, and those that are configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.guarded_server import Guarded
from tests.unit.held_requests import HeldRequest

APP = "https://app.example.com"
TASK = '{"task": "What is 2 + 2?"}'


@pytest.fixture
def server(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path, cors_origins=[APP, "http://localhost:3000"])


# Hosts.


@pytest.mark.parametrize(
    ("listening", "host", "status"),
    [
        ("127.0.0.1", "10.0.0.1", 403),
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "alex.example.com", 200),
        ("127.0.0.1", "ALEX.example.com:443", 200),
        ("127.0.0.1", "sub.alex.example.com", 403),
        ("127.0.0.1", "alexxexample.com", 403),
        ("0.0.0.0", "10.0.0.1:8080", 401),
        ("0.0.0.0", "[2001:db8::1]:8080", 401),
        ("0.0.0.0", "localhost", 401),
        ("0.0.0.0", "evil.example", 403),
        ("0.0.0.0", "10.0.0.1.evil.example", 403),
        ("0.0.0.0", "1.2.3.4.5", 403),
        ("0.0.0.0", "[evil]", 403),
        ("alex.lan", "alex.lan:80", 401),
        ("alex.lan", "other.lan", 403),
        ("fd00::1", "[fd00::1]:80", 401),
    ],
)
def test_a_host_is_a_name_of_the_server_or_its_address(
    tmp_path: Path, listening: str, host: str, status: int
) -> None:
    server = Guarded(tmp_path, host=listening, allowed_hosts=["alex.example.com"])

    assert server.request(Host=host).status_code == status


def test_a_probe_has_to_name_the_server_too(tmp_path: Path) -> None:
    assert Guarded(tmp_path).request("GET", "/health", Host="evil.example").status_code == 403


# Pages.


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:3001"},
        {"Origin": "https://app.example.com:8443"},
        {"Origin": "http://app.example.com"},
        {"Origin": "https://app.example.com.evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
        {"Sec_Fetch_Site": "something new"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_gets_nothing_and_does_nothing(
    server: Guarded, method: str, headers: dict[str, str]
) -> None:
    text = server.make()
    cookie = f"alex_token={text}"

    reply = server.request(method, body=TASK if method == "POST" else None, Cookie=cookie, **headers)

    assert reply.status_code == 403
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert server.runtime.records == {}


def test_a_form_of_another_site_is_kept_out_although_it_navigates(server: Guarded) -> None:
    reply = server.request("POST", body=TASK, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")

    assert reply.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Origin": APP},
        {"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
        {},
    ],
    ids=str,
)
def test_a_page_that_may_and_a_link_that_somebody_follows_are_let_in(
    server: Guarded, headers: dict[str, str]
) -> None:
    assert server.request(**headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("alex.example.com", "https://alex.example.com", 200),
        ("alex.example.com", "http://alex.example.com", 200),
        ("alex.example.com:8443", "https://alex.example.com:8443", 200),
        ("alex.example.com", "https://alex.example.com:8443", 403),
        ("localhost", "https://localhost", 403),
        ("127.0.0.1:8080", "https://127.0.0.1:8080", 403),
        ("[::1]:8080", "http://[::1]:8080", 200),
        ("[::1]:8080", "https://[::1]:8080", 403),
    ],
)
def test_by_its_name_the_server_may_be_behind_tls(tmp_path: Path, host: str, origin: str, status: int) -> None:
    server = Guarded(tmp_path, allowed_hosts=["alex.example.com"])

    assert server.request(Host=host, Origin=origin).status_code == status


# What an allowed page's browser is told.


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/tasks", 200),
        ("GET", "/api/tasks/none", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/api/tasks", 405),
        ("POST", "/api/tasks", 400),
        ("GET", "/health", 200),
    ],
)
def test_an_allowed_page_may_read_every_reply_errors_too(
    server: Guarded, method: str, path: str, status: int
) -> None:
    reply = server.request(method, path, Origin=APP)

    assert reply.status_code == status
    assert reply.headers["Access-Control-Allow-Origin"] == APP
    assert reply.headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Request-ID" in reply.headers["Access-Control-Expose-Headers"]
    assert reply.headers["Vary"] == "Origin"


def test_it_may_read_that_it_needs_a_token_and_a_fault_of_the_server(server: Guarded) -> None:
    server.runtime.failure = RuntimeError("x")
    fault = server.request(Origin=APP)
    server.make()

    missing = server.request(Origin=APP)

    for reply, status in ((fault, 500), (missing, 401)):
        assert reply.status_code == status
        assert reply.headers["Access-Control-Allow-Origin"] == APP


def test_it_may_follow_a_stream(server: Guarded) -> None:
    task_id = server.request("POST", body=TASK).json["task_id"]

    stream = HeldRequest(server.app, "GET", f"/api/tasks/{task_id}/events", Origin=APP)

    assert stream.feed is not None
    assert stream.reply.headers["Access-Control-Allow-Origin"] == APP


def test_before_it_sends_its_browser_asks_for_leave_without_a_token(server: Guarded) -> None:
    server.make()
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}

    reply = server.request("OPTIONS", Origin=APP, **asked)

    assert (reply.status_code, reply.text) == (204, "")
    assert reply.headers["Access-Control-Allow-Origin"] == APP
    assert "DELETE" in reply.headers["Access-Control-Allow-Methods"]
    allowed = reply.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "idempotency-key", "last-event-id"} <= set(allowed)


def test_who_is_not_allowed_gets_no_leave(server: Guarded) -> None:
    asked = {"Access_Control_Request_Method": "POST"}

    foreign = server.request("OPTIONS", Origin="https://evil.example", **asked)
    own = server.request("OPTIONS", Origin="http://localhost", **asked)

    assert foreign.status_code == 403
    for reply in (foreign, own):
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_without_configured_origins_no_browser_is_told_anything(tmp_path: Path) -> None:
    reply = Guarded(tmp_path).request(Origin="http://localhost")

    assert not [name for name in reply.headers if name.lower().startswith("access-control") or name == "vary"]


# What every browser is told.


@pytest.mark.parametrize("path", ["/api/tasks", "/nowhere", "/health", "/openapi.json"])
def test_every_reply_says_that_nothing_may_be_done_with_it_but_read_it(server: Guarded, path: str) -> None:
    headers = server.request("GET", path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
