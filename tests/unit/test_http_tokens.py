"""Tokens over HTTP: who needs one, what each is good for, and what is said to those who have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from falcon import testing

from alex_http.access import WRONG_TOKENS_PER_MINUTE
from alex_http.tokens import Scope
from tests.unit.guarded_server import Guarded
from tests.unit.held_requests import HeldRequest

TASK = '{"task": "What is 2 + 2?"}'
UNKNOWN = "alex_" + "0" * 12 + "_" + "0" * 64


@pytest.fixture
def server(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def test_while_there_is_no_token_nobody_on_this_machine_needs_one(server: Guarded) -> None:
    read, written = server.request(), server.request("POST", body=TASK)

    assert (read.status_code, written.status_code) == (200, 201)
    assert server.runtime.contexts[-1].owner == "local"
    assert "owner" not in server.log.lines[-1]


def test_as_soon_as_there_is_one_every_request_needs_one(server: Guarded) -> None:
    before = server.request()
    text = server.make()

    without, with_it = server.request(), server.request(token=text)

    assert [before.status_code, without.status_code, with_it.status_code] == [200, 401, 200]
    assert without.headers["WWW-Authenticate"].startswith("Bearer")
    assert without.headers["Content-Type"] == "application/problem+json"
    assert "Authorization: Bearer" in without.json["detail"]


def test_a_token_that_is_revoked_leaves_the_server_closed(server: Guarded) -> None:
    text = server.make()
    server.file.revoke("ann")

    without, with_it = server.request(), server.request(token=text)

    assert (without.status_code, with_it.status_code) == (401, 403)
    assert "revoked" in with_it.json["detail"]
    assert server.reasons() == ["missing", "revoked"]


def test_where_others_reach_the_server_a_token_is_needed_though_there_is_none(tmp_path: Path) -> None:
    server = Guarded(tmp_path, host="0.0.0.0")

    assert server.request(Host="10.0.0.1").status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_probe_needs_no_token(server: Guarded, path: str) -> None:
    server.make()

    assert server.request("GET", path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/page", "/nowhere", "/health/", "//health", "/api/login/", "/api/tasks", "/openapi.json", "/Health", "*"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "BREW"])
def test_everything_else_does_also_what_is_not_there(server: Guarded, method: str, path: str) -> None:
    server.make()
    environ = {"HTTP_HOST": "localhost", "REQUEST_METHOD": method, "PATH_INFO": path}

    assert status_of(server, environ) == "401 Unauthorized"


def status_of(server: Guarded, environ: dict[str, str]) -> str:
    """Return the status of a request that the test client would not send."""
    started = testing.StartResponseMock()
    b"".join(server.app({**testing.create_environ(), **environ}, started))
    return started.status or ""


@pytest.mark.parametrize(
    "header",
    ["{}", "Bearer", "Bearer ", "Basic {}", "Token {}", "", "Bearer\t{}", "Bearer{}"],
)
def test_what_is_no_bearer_token_is_none_at_all(server: Guarded, header: str) -> None:
    text = server.make()

    assert server.request(Authorization=header.format(text)).status_code == 401


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER  {} "])
def test_a_token_is_taken_as_rfc_6750_has_it(server: Guarded, header: str) -> None:
    text = server.make()

    assert server.request(Authorization=header.format(text)).status_code == 200


def test_a_token_in_the_address_is_none(server: Guarded) -> None:
    text = server.make()

    for name in ("token", "access_token", "key"):
        assert server.request("GET", f"/api/tasks?{name}={text}").status_code == 401


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [("read", [200, 403, 403, 403]), ("write", [200, 201, 404, 404]), ("admin", [200, 201, 404, 404])],
)
def test_a_scope_says_what_a_token_is_good_for(server: Guarded, scope: Scope, statuses: list[int]) -> None:
    text = server.make(scope=scope)

    replies = [
        server.request("GET", token=text),
        server.request("POST", token=text, body=TASK),
        server.request("DELETE", "/api/sessions/none", token=text),
        server.request("POST", "/api/tasks/none/cancel", token=text),
    ]

    assert [reply.status_code for reply in replies] == statuses


def test_what_a_token_makes_belongs_to_its_owner(server: Guarded) -> None:
    text = server.make("laptop", owner="ann")

    server.request("POST", token=text, body=TASK)

    assert server.runtime.contexts[-1].owner == "ann"
    line = server.log.only("http.request")
    assert (line["owner"], line["token_name"]) == ("ann", "laptop")


def test_an_administrator_may_act_for_another_owner(server: Guarded) -> None:
    text = server.make("root", scope="admin")

    reply = server.request("POST", token=text, body=TASK, X_Alex_Owner="ann")

    assert reply.status_code == 201
    assert server.runtime.contexts[-1].owner == "ann"
    assert server.log.only("http.request")["owner"] == "ann"


@pytest.mark.parametrize("scope", ["read", "write"])
def test_nobody_else_may(server: Guarded, scope: Scope) -> None:
    text = server.make(scope=scope)

    reply = server.request(token=text, X_Alex_Owner="bob")

    assert reply.status_code == 403
    assert server.reasons() == ["not_admin"]


@pytest.mark.parametrize("owner", ["", "a b", "x" * 65, "../a", "a\u00e4"])
def test_an_owner_that_can_be_none_is_refused(server: Guarded, owner: str) -> None:
    assert server.request(X_Alex_Owner=owner).status_code == 400


def test_a_file_of_tokens_that_is_damaged_lets_nobody_in(server: Guarded) -> None:
    text = server.make()
    server.request(token=text)
    server.path.write_bytes(b"{")

    with_it, without, login = (
        server.request(token=text),
        server.request(),
        server.request("POST", "/api/login", body=f'{{"token": "{text}"}}'),
    )
    probe = server.request("GET", "/health")

    assert [one.status_code for one in (with_it, without, login, probe)] == [503, 503, 503, 200]
    assert with_it.headers["Retry-After"] == "1"
    assert str(server.path) not in with_it.text


# Guessing.


def test_wrong_tokens_of_one_address_are_limited_and_right_ones_are_not(server: Guarded) -> None:
    text = server.make()

    wrong = [server.request(token=UNKNOWN, address="10.0.0.1") for _ in range(WRONG_TOKENS_PER_MINUTE + 2)]
    right = server.request(token=text, address="10.0.0.1")
    elsewhere = server.request(token=UNKNOWN, address="10.0.0.2")

    assert [one.status_code for one in wrong] == [403] * WRONG_TOKENS_PER_MINUTE + [429, 429]
    assert wrong[-1].headers["Retry-After"] == "6"
    assert (right.status_code, elsewhere.status_code) == (200, 403)
    assert server.reasons() == ["wrong"] * (WRONG_TOKENS_PER_MINUTE + 3)


def test_a_login_counts_as_much_as_a_header(server: Guarded) -> None:
    server.make()
    for _ in range(WRONG_TOKENS_PER_MINUTE):
        server.request(token=UNKNOWN)

    assert server.request("POST", "/api/login", body=f'{{"token": "{UNKNOWN}"}}').status_code == 429


def test_the_log_says_who_was_denied_and_never_has_a_token(server: Guarded) -> None:
    text = server.make()
    server.request(token=UNKNOWN, address="10.0.0.1")
    server.request("POST", "/api/login", body=f'{{"token": "{text}"}}')
    server.request(token=text)

    line = server.log.only("http.denied")

    assert (line["reason"], line["address"], line["path"]) == ("wrong", "10.0.0.1", "/api/tasks")
    logged = str(server.log.lines)
    assert text.rpartition("_")[2] not in logged
    assert UNKNOWN not in logged


# Too many requests.


def test_an_owner_has_so_many_requests_a_minute_with_all_of_its_tokens(tmp_path: Path) -> None:
    server = Guarded(tmp_path, requests_per_minute=3)
    one, other = server.make("one", owner="ann"), server.make("other", owner="ann")
    stranger = server.make("bob")

    replies = [server.request(token=token) for token in (one, other, one, other)]
    of_another = server.request(token=stranger)
    server.clock.seconds += 20
    later = server.request(token=one)

    assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
    assert replies[-1].headers["Retry-After"] == "20"
    assert (of_another.status_code, later.status_code) == (200, 200)


def test_without_tokens_an_address_has_them(tmp_path: Path) -> None:
    server = Guarded(tmp_path, requests_per_minute=1)

    replies = [server.request(address=address) for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2")]

    assert [reply.status_code for reply in replies] == [200, 429, 200]


def test_what_is_refused_as_too_much_does_nothing(tmp_path: Path) -> None:
    server = Guarded(tmp_path, requests_per_minute=1)
    server.request("POST", body=TASK)

    refused = server.request("POST", body=TASK)

    assert refused.status_code == 429
    assert len(server.runtime.records) == 1


def test_probes_are_not_counted(tmp_path: Path) -> None:
    server = Guarded(tmp_path, requests_per_minute=1)

    replies = [server.request("GET", path) for path in ("/health", "/ready") * 3]

    assert {reply.status_code for reply in replies} == {200}


def test_a_reply_that_is_waited_for_is_one_request(tmp_path: Path) -> None:
    server = Guarded(tmp_path, requests_per_minute=2)
    task_id = server.request("POST", body=TASK, address="").json["task_id"]  # where held requests are from

    waiting = HeldRequest(server.app, "GET", f"/api/tasks/{task_id}", query="wait=1")
    waiting.let_time_pass()

    assert (waiting.calls, waiting.reply.status_code) == (2, 200)


# Logging in.


def log_in(server: Guarded, text: str, **headers: str) -> str:
    """Log in, and return the cookie as the server sets it."""
    reply = server.request("POST", "/api/login", body=f'{{"token": "{text}"}}', **headers)
    assert reply.status_code == 204
    assert reply.text == ""
    return str(reply.headers["Set-Cookie"])


def test_a_browser_logs_in_with_a_cookie_that_no_script_reads_and_no_other_site_has_sent(server: Guarded) -> None:
    text = server.make()

    cookie = log_in(server, text)
    with_cookie = server.request(Cookie=cookie.partition(";")[0])

    assert cookie == f"alex_token={text}; HttpOnly; Path=/; SameSite=Strict"
    assert with_cookie.status_code == 200
    assert server.log.lines[-1]["token_name"] == "ann"


def test_a_cookie_that_was_set_over_tls_is_only_sent_over_tls(tmp_path: Path) -> None:
    server = Guarded(tmp_path, allowed_hosts=["alex.example.com"])
    text = server.make()

    by_origin = log_in(server, text, Host="alex.example.com", Origin="https://alex.example.com")
    started = testing.StartResponseMock()
    body = f'{{"token": "{text}"}}'
    sent = {"Host": "localhost", "Content-Type": "application/json"}
    environ = testing.create_environ("/api/login", method="POST", scheme="https", headers=sent, body=body)
    b"".join(server.app(environ, started))  # as the transport has it behind a trusted proxy

    assert "Secure" in by_origin.split("; ")
    assert "Secure" in dict(started.headers or ())["set-cookie"].split("; ")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (f'{{"token": "{UNKNOWN}"}}', 403),
        ('{"token": ""}', 400),
        ('{"token": 1}', 400),
        ('{"token": "x", "more": 1}', 400),
        ('{"token": "x", "token": "y"}', 400),
        ("{}", 400),
        ("[]", 400),
        ("", 400),
        (f'{{"token": "{"x" * 1001}"}}', 400),
    ],
)
def test_a_login_that_is_none_sets_no_cookie(server: Guarded, body: str, status: int) -> None:
    server.make()

    reply = server.request("POST", "/api/login", body=body)

    assert reply.status_code == status
    assert "Set-Cookie" not in reply.headers


def test_a_form_cannot_log_anybody_in(server: Guarded) -> None:
    text = server.make()

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        reply = server.request("POST", "/api/login", body=f'{{"token": "{text}"}}', Content_Type=kind)
        assert reply.status_code == 415


def test_a_login_where_there_is_no_token_is_told_so(server: Guarded) -> None:
    assert server.request("POST", "/api/login", body=f'{{"token": "{UNKNOWN}"}}').status_code == 403


def test_logging_out_clears_the_cookie_whether_it_was_good_or_not(server: Guarded) -> None:
    server.make()

    for cookie in ("", f"alex_token={UNKNOWN}"):
        reply = server.request("POST", "/api/logout", Cookie=cookie)
        assert reply.status_code == 204
        assert reply.headers["Set-Cookie"].startswith('alex_token=""; ')
        assert "expires=Sat, 01 Jan 2000 00:00:00 GMT" in reply.headers["Set-Cookie"]


def test_the_header_beats_the_cookie(server: Guarded) -> None:
    good, bad = server.make(), UNKNOWN

    assert server.request(token=good, Cookie=f"alex_token={bad}").status_code == 200
    assert server.request(token=bad, Cookie=f"alex_token={good}").status_code == 403


def test_a_password_that_a_proxy_asked_for_is_not_in_the_cookies_way(server: Guarded) -> None:
    text = server.make()

    assert server.request(Authorization="Basic YTpi", Cookie=f"alex_token={text}").status_code == 200


# Those who came in before.


def test_a_stream_gets_nothing_more_once_its_token_is_revoked(server: Guarded) -> None:
    task_id = submitted(server, text := server.make())
    stream = HeldRequest(server.app, "GET", f"/api/tasks/{task_id}/events", Authorization=f"Bearer {text}")
    stream.feed.begin(lambda: None)
    greeting = stream.feed.take()

    server.file.revoke("ann")
    server.clock.seconds += 1
    more = stream.feed.take()

    assert b"connected" in bytes(greeting)
    assert (more, stream.feed.ended) == (b"", True)


def test_a_stream_on_which_nothing_happens_is_over_with_its_next_heartbeat(server: Guarded) -> None:
    task_id = submitted(server, text := server.make())
    stream = HeldRequest(server.app, "GET", f"/api/tasks/{task_id}/events", Authorization=f"Bearer {text}")
    before = stream.feed.heartbeat(), stream.feed.ended

    server.file.revoke("ann")
    server.clock.seconds += 10
    stream.feed.heartbeat()

    assert before == (b": heartbeat\n\n", False)
    assert stream.feed.ended


def test_a_reply_that_is_waited_for_is_not_given_to_a_token_that_was_revoked_meanwhile(server: Guarded) -> None:
    task_id = submitted(server, text := server.make())
    waiting = HeldRequest(
        server.app, "GET", f"/api/tasks/{task_id}", query="wait=1", Authorization=f"Bearer {text}"
    )

    server.file.revoke("ann")
    waiting.let_time_pass()

    assert (waiting.calls, waiting.reply.status_code) == (2, 403)


def submitted(server: Guarded, text: str) -> str:
    """Submit a task, and return its ID."""
    return str(server.request("POST", token=text, body=TASK).json["task_id"])
