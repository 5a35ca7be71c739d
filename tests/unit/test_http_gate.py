"""What every request goes through: names, hosts, origins, headers, log lines, and errors that nobody foresaw."""

from __future__ import annotations

import io
import re

import pytest
from falcon import testing

from alex_http.app import create_app
from tests.unit.fake_runtime import CATALOG, CountedIds, FakeRuntime, HeldClock, Log

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Server:
    """A client without a Host of its own, and what is behind it."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.log = Log()
        self.app = create_app(
            runtime=self.runtime,
            catalog=CATALOG,
            ids=CountedIds(),
            clock=HeldClock(),
            log=self.log.logger,
            version="0.1.0",
        )

    def request(self, method: str = "GET", path: str = "/ready", **headers: str) -> testing.Result:
        return testing.simulate_request(self.app, method, path, headers={"Host": "localhost", **headers})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:65535", "localhost:"]
)
def test_a_host_of_this_machine_is_let_in(server: Server, host: str) -> None:
    result = server.request(Host=host)

    assert result.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "localhost@example.com",
        "127.0.0.1.example.com",
        "127.0.0.2",
        "localhost, localhost",
        "localhost:80 x",
        "localhost:http",
        "::1",
        "[::1",
    ],
)
def test_another_host_is_kept_out(server: Server, host: str) -> None:
    result = server.request(Host=host)

    assert result.status_code == 403
    assert "localhost" in result.json["detail"]


def test_a_request_without_host_is_bad(server: Server) -> None:
    environ = testing.create_environ("/ready")
    del environ["HTTP_HOST"]
    started = testing.StartResponseMock()

    body = b"".join(server.app(environ, started))

    assert started.status == "400 Bad Request"
    assert b"Host" in body


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:3000", "LocalHost:8080"])
def test_a_page_of_the_server_itself_is_let_in(server: Server, host: str) -> None:
    result = server.request(Host=host, Origin=f"http://{host.lower()}")

    assert result.status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "null",
        "",
        "http://localhost.evil.com",
        "file://localhost",
        "localhost",
        "http://localhost:3000",
        "https://localhost",
    ],
)
def test_a_page_of_another_site_is_kept_out(server: Server, origin: str) -> None:
    result = server.request(Origin=origin)

    assert result.status_code == 403


def test_every_reply_has_its_ids_and_is_not_stored(server: Server) -> None:
    for result in (server.request(), server.request(path="/nowhere"), server.request(Host="example.com")):
        assert re.fullmatch("[0-9a-f]{32}", result.headers["X-Request-ID"])
        assert re.fullmatch("[0-9a-f]{32}", result.headers["X-Trace-ID"])
        assert result.headers["Cache-Control"] == "no-store"
        assert result.headers["X-Content-Type-Options"] == "nosniff"


def test_a_client_may_name_its_request_and_its_trace(server: Server) -> None:
    result = server.request(**{"X-Request-ID": "my.request_1-x", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})

    line = server.log.only("http.request")
    assert result.headers["X-Request-ID"] == line["request_id"] == "my.request_1-x"
    assert result.headers["X-Trace-ID"] == line["trace_id"] == TRACE


def test_a_later_version_of_traceparent_may_say_more(server: Server) -> None:
    result = server.request(traceparent=f"01-{TRACE}-00f067aa0ba902b7-01-more")

    assert result.headers["X-Trace-ID"] == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        TRACE,
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-00f067aa0ba902b7-01-more",
    ],
)
def test_a_trace_that_is_none_is_replaced(server: Server, traceparent: str) -> None:
    result = server.request(traceparent=traceparent)

    assert result.headers["X-Trace-ID"] != TRACE
    assert re.fullmatch("[0-9a-f]{32}", result.headers["X-Trace-ID"])


@pytest.mark.parametrize("name", ["", "two words", "x" * 129, "ü"])
def test_a_request_id_that_is_none_is_replaced(server: Server, name: str) -> None:
    result = server.request(**{"X-Request-ID": name})

    assert re.fullmatch("[0-9a-f]{32}", result.headers["X-Request-ID"])


def test_a_log_line_tells_of_a_request_without_its_query(server: Server) -> None:
    testing.simulate_get(server.app, "/api/tasks", query_string="session_id=s", headers={"Host": "localhost"})

    line = server.log.only("http.request")

    assert (line["method"], line["path"], line["status"], line["session_id"]) == ("GET", "/api/tasks", 200, "s")
    assert line["duration"] == 1.0
    assert "task_id" not in line


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/tasks/",
        "/api/tasks//events",
        "//api/tasks",
        "api/tasks",
        "/api/sessions/",
        "/api/sessions/s/events",
        "/api/sse",
        "/api/sessions/s/fork",
        "/api/sessions/s/export",
        "/api/import",
        "/api/login",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/health/",
        "*",
    ],
)
def test_a_path_that_is_not_there_is_told_what_is(server: Server, path: str) -> None:
    environ = testing.create_environ(headers={"Host": "localhost"})
    environ["PATH_INFO"] = path  # as it is: the test client would refuse some
    started = testing.StartResponseMock()

    body = b"".join(server.app(environ, started)).decode()

    assert started.status == "404 Not Found"
    assert f"There is nothing at '{path}'. There is /api/tasks, /api/tasks/{{task_id}}," in body


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/api/tasks", "GET, HEAD, POST, OPTIONS"),
        ("PUT", "/api/tasks/x", "GET, HEAD, OPTIONS"),
        ("GET", "/api/tasks/x/cancel", "POST, OPTIONS"),
        ("DELETE", "/api/sessions/x", "GET, HEAD, OPTIONS"),
        ("TRACE", "/health", "GET, HEAD, OPTIONS"),
    ],
)
def test_another_method_is_told_the_right_ones(server: Server, method: str, path: str, allow: str) -> None:
    result = server.request(method, path)

    assert result.status_code == 405
    assert result.headers["Allow"] == allow
    assert result.json["detail"] == f"'{path}' does not take '{method}'. It takes {allow}."


def test_a_method_that_nobody_knows_is_not_allowed(server: Server) -> None:
    environ = testing.create_environ("/api/tasks", headers={"Host": "localhost"})
    environ["REQUEST_METHOD"] = "BREW"
    started = testing.StartResponseMock()

    body = b"".join(server.app(environ, started))

    assert started.status == "405 Method Not Allowed"
    assert dict(started.headers or ())["allow"] == "GET, HEAD, POST, OPTIONS"
    assert b"'BREW'" in body


def test_the_method_that_falcon_keeps_for_itself_is_refused_in_the_same_form(server: Server) -> None:
    environ = testing.create_environ("/api/tasks", headers={"Host": "localhost"})
    environ["REQUEST_METHOD"] = "WEBSOCKET"
    started = testing.StartResponseMock()

    b"".join(server.app(environ, started))

    assert started.status == "400 Bad Request"
    assert dict(started.headers or ())["content-type"] == "application/problem+json"
    assert dict(started.headers or ())["x-request-id"]


def test_options_tells_the_methods(server: Server) -> None:
    result = server.request("OPTIONS", "/api/tasks")

    assert result.status_code == 200
    assert result.headers["Allow"] == "GET, HEAD, POST"


def test_an_error_that_nobody_foresaw_is_logged_once_and_not_told(server: Server) -> None:
    server.runtime.failure = RuntimeError("the secret of the house")
    errors = io.StringIO()

    result = testing.simulate_get(server.app, "/api/tasks", headers={"Host": "localhost"}, wsgierrors=errors)

    line = server.log.only("http.error")
    assert result.status_code == 500
    assert list(result.json) == ["type", "title", "status", "detail"]
    assert "secret" not in result.text
    assert line["exc_info"] is server.runtime.failure
    assert line["request_id"] == result.headers["X-Request-ID"]
    assert server.log.only("http.request")["status"] == 500
    assert errors.getvalue() == ""
