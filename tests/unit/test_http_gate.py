"""What every request goes through: names, hosts, origins, headers, log lines, and errors that nobody foresaw."""

from __future__ import annotations

import io
import re

import pytest
from falcon import testing
from structlog.typing import EventDict

from alex_actors.values import Context
from alex_http.hosts import LOOPBACK
from alex_http.wire import SubmitIn
from tests.unit.fake_runtime import CATALOG, FakeRuntime, Log, application
from tests.unit.held_requests import HeldClient

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Server:
    """A client without a Host of its own, and what is behind it."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.log = Log()
        self.app = application(self.runtime, self.log)

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


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/", "/page/icon.svg", "/docs", "/favicon.ico"])
def test_what_is_asked_for_every_few_seconds_hides_no_other_request(server: Server, path: str) -> None:
    server.request(path=path)
    server.request(path=path, Host="example.com")  # which is not well

    assert server.log.only("http.request")["log_level"] == "debug"
    assert server.log.only("http.denied")["path"] == path


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


def test_the_names_that_are_let_in_are_those_that_the_server_may_listen_on(server: Server) -> None:
    for name in LOOPBACK:
        result = server.request(Host=f"[{name}]:8080" if ":" in name else f"{name}:8080")

        assert result.status_code == 200


def test_a_log_line_tells_of_a_request_without_its_query(server: Server) -> None:
    submit(server)

    testing.simulate_get(server.app, "/api/tasks", query_string="session_id=s", headers={"Host": "localhost"})

    line = server.log.only("http.request")

    assert (line["method"], line["path"], line["status"], line["session_id"]) == ("GET", "/api/tasks", 200, "s")
    assert line["duration"] == 1.0
    assert "task_id" not in line


def test_a_log_line_has_no_more_than_the_beginning_of_a_long_path_or_method(server: Server) -> None:
    environ = testing.create_environ("/" + "x" * 60_000, headers={"Host": "localhost"})
    environ["REQUEST_METHOD"] = "X" * 60_000

    b"".join(server.app(environ, testing.StartResponseMock()))

    line = server.log.only("http.request")
    assert (line["path"], line["method"]) == ("/" + "x" * 999, "X" * 1000)


def submit(server: Server) -> str:
    """Have the runtime record a task of the session s; return its ID."""
    server.runtime.submit(CATALOG.new_task(SubmitIn(task="What is 2 + 2?", session_id="s")), Context("trace"))
    return list(server.runtime.records)[-1]


CALLS_THAT_NAME = [
    ("GET", "/api/tasks/{task}", ""),
    ("GET", "/api/tasks/{task}/events", ""),
    ("POST", "/api/tasks/{task}/cancel", ""),
    ("GET", "/api/sessions/{session}", ""),
    ("GET", "/api/tasks", "session_id={session}"),
]


@pytest.mark.parametrize(("method", "path", "query"), CALLS_THAT_NAME)
def test_the_log_line_of_a_call_names_what_was_found(server: Server, method: str, path: str, query: str) -> None:
    names = {"task": submit(server), "session": "s"}

    line = logged(server, method, path.format(**names), query.format(**names))

    assert line["status"] == 200
    assert names["task"] == line.get("task_id") or line["session_id"] == "s"


@pytest.mark.parametrize(("method", "path", "query"), CALLS_THAT_NAME)
def test_the_log_line_of_a_call_names_nothing_that_is_not_there(
    server: Server, method: str, path: str, query: str
) -> None:
    names = {"task": "nothing", "session": "nobody"}

    line = logged(server, method, path.format(**names), query.format(**names))

    assert not {"task_id", "session_id"} & set(line)


def logged(server: Server, method: str, path: str, query: str) -> EventDict:
    """Return the log line of a request."""
    headers = {"Host": "localhost", "Accept": "application/json"}
    HeldClient(server.app).simulate_request(method, path, query_string=query, headers=headers)
    return server.log.only("http.request")


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/api",
        "/api/tasks/",
        "/api/tasks//events",
        "//api/tasks",
        "api/tasks",
        "/api/sessions/",
        "/metrics/",
        "/docs/",
        "/docs/LICENSE",
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
        ("PUT", "/api/sessions/x", "DELETE, GET, HEAD, OPTIONS"),
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


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/x", "/api/tasks/x/cancel", "/ready"])
def test_options_tells_the_same_methods_as_a_refusal(server: Server, path: str) -> None:
    result, refused = server.request("OPTIONS", path), server.request("DELETE", path)

    assert (result.status_code, refused.status_code) == (200, 405)
    assert result.headers["Allow"] == refused.headers["Allow"]
    assert result.headers["Allow"].endswith(", OPTIONS")


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
