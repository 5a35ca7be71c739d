"""Every error that the routes can give: its status, its form, and a detail that names the thing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import httpx
import pytest

from tests.live.client import JSON_EVENTS, Client
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess

PROBLEM = "application/problem+json"
TWO_MEBIBYTES = 2 * 1024 * 1024
JSON = {"Content-Type": "application/json"}
TASK = b'{"task": "x"}'
POST = b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Wrong(NamedTuple):
    """A request that is refused, with what its reply must be."""

    status: int
    names: str
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    fields: tuple[str, ...] = ()


def _submit(status: int, names: str, *fields: str, **body: object) -> Wrong:
    return Wrong(status, names, "POST", "/api/tasks", json.dumps(body).encode(), JSON, fields)


def _text(status: int, names: str, body: bytes, content_type: str = "application/json") -> Wrong:
    return Wrong(status, names, "POST", "/api/tasks", body, {"Content-Type": content_type})


def _get(status: int, names: str, path: str, *fields: str) -> Wrong:
    return Wrong(status, names, "GET", path, None, JSON_EVENTS, fields)


WRONG = {
    # The body as a whole.
    "no body": Wrong(400, "no body", "POST", "/api/tasks"),
    "no JSON": _text(400, "line 1, column 10", b'{"task": what}'),
    "cut off": _text(400, "not JSON", b'{"task": "What is'),
    "an array": _text(400, "JSON object", b'["What is 2 + 2?"]'),
    "null": _text(400, "JSON object", b"null"),
    "no UTF-8": _text(400, "byte 10", b'{"task": "\xff"}'),
    "byte order mark": _text(400, "byte order mark", b'\xef\xbb\xbf{"task": "x"}'),
    "half a surrogate": _text(400, "surrogate", rb'{"task": "\ud800"}'),
    "not a number": _text(400, "NaN", b'{"task": "x", "timeout_seconds": NaN}'),
    "deep": _text(400, "nested too deeply", b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "plain text": _text(415, "'text/plain'", b'{"task": "x"}', "text/plain"),
    "Latin-1": _text(415, "latin-1", b'{"task": "x"}', "application/json; charset=latin-1"),
    "no type": Wrong(415, "application/json", "POST", "/api/tasks", b'{"task": "x"}'),
    "too large": _text(413, "2,097,152", b'{"task": "' + b"x" * TWO_MEBIBYTES + b'"}'),
    # Its fields.
    "no task": _submit(400, "'task' is missing", "task"),
    "blank task": _submit(400, "blank", "task", task=" \n\t"),
    "empty task": _submit(400, "1 to 100,000", "task", task=""),
    "task of 100,001": _submit(400, "100,001", "task", task="x" * 100_001),
    "task is a number": _submit(400, "it was 4", "task", task=4),
    "task is null": _submit(400, "it was null", "task", task=None),
    "unknown field": _submit(400, "'prompt'", "prompt", task="x", prompt="y"),
    "doubled field": _text(400, "'task' is there 2 times", b'{"task": "x", "task": "y"}'),
    "session with a slash": _submit(400, "'session_id'", "session_id", task="x", session_id="a/b"),
    "session with a dot before": _submit(400, "'session_id'", "session_id", task="x", session_id=".a"),
    "session with a newline": _submit(400, "'session_id'", "session_id", task="x", session_id="a\n"),
    "session of 129": _submit(400, "128", "session_id", task="x", session_id="a" * 129),
    "unknown strategy": _submit(400, "'reject'", "multitask_strategy", task="x", multitask_strategy="queue"),
    "unknown agent": _submit(400, "code-expert", "agent_preset", task="x", agent_preset="pirate"),
    "unknown tools": _submit(400, "read-only", "tool_preset", task="x", tool_preset="all"),
    "unknown model": _submit(400, "offline", "model", task="x", model="best"),
    "timeout of nought": _submit(400, "above 0", "timeout_seconds", task="x", timeout_seconds=0),
    "timeout too long": _submit(400, "604800", "timeout_seconds", task="x", timeout_seconds=604_801),
    "timeout is a text": _submit(400, "number", "timeout_seconds", task="x", timeout_seconds="5"),
    "no iterations": _submit(400, "1 to 1000", "max_iterations", task="x", max_iterations=0),
    "half an iteration": _submit(400, "integer", "max_iterations", task="x", max_iterations=1.5),
    "metadata of numbers": _submit(400, "'metadata.a'", "metadata.a", task="x", metadata={"a": 1}),
    "metadata of 17": _submit(400, "16", "metadata", task="x", metadata={str(n): "" for n in range(17)}),
    "two wrong fields": _submit(400, "'max_iterations'", "task", "max_iterations", task=1, max_iterations=0),
    # Query parameters.
    "limit of nought": _get(400, "1 to 1000", "/api/tasks?limit=0", "limit"),
    "limit of 1001": _get(400, "1 to 1000", "/api/tasks?limit=1001", "limit"),
    "limit is a text": _get(400, "integer", "/api/tasks?limit=many", "limit"),
    "limit doubled": _get(400, "2 times", "/api/tasks?limit=1&limit=2", "limit"),
    "limit is empty": _get(400, "empty", "/api/tasks?limit=", "limit"),
    "offset below nought": _get(400, "'offset'", "/api/tasks?offset=-1", "offset"),
    "unknown status": _get(400, "cancelled", "/api/tasks?status=done", "status"),
    "bad session": _get(400, "'session_id'", "/api/tasks?session_id=a%2Fb", "session_id"),
    "unknown parameter": _get(400, "'page'", "/api/tasks?page=2", "page"),
    "after is a text": _get(400, "'after'", "/api/tasks/x/events?after=last", "after"),
    "sessions: limit": _get(400, "1 to 1000", "/api/sessions?limit=0", "limit"),
    "a submit takes none": Wrong(400, "'limit'", "POST", "/api/tasks?limit=1", TASK, JSON, ("limit",)),
    # Things that are not there.
    "unknown task": _get(404, "'task-none'", "/api/tasks/task-none"),
    "events of an unknown task": _get(404, "'task-none'", "/api/tasks/task-none/events"),
    "cancel of an unknown task": Wrong(404, "'task-none'", "POST", "/api/tasks/task-none/cancel"),
    "unknown session": _get(404, "'nobody'", "/api/sessions/nobody"),
    "unknown path": _get(404, "'/api/task'", "/api/task"),
    "no name": _get(404, "'/api/tasks/'", "/api/tasks/"),
    "two slashes": _get(404, "'//api/tasks'", "//api/tasks"),
    "page": _get(404, "'/page'", "/page"),
    "delete tasks": Wrong(405, "GET", "DELETE", "/api/tasks"),
    "put a task": Wrong(405, "GET", "PUT", "/api/tasks/x"),
    "get a cancel": Wrong(405, "POST", "GET", "/api/tasks/x/cancel"),
    "post to health": Wrong(405, "'POST'", "POST", "/health"),
    "a method of nobody": Wrong(405, "'BREW'", "BREW", "/api/tasks"),
    "events as a picture": Wrong(
        406, "text/event-stream", "GET", "/api/tasks/x/events", None, {"Accept": "image/png"}
    ),
    # Who asks.
    "foreign host": Wrong(403, "'evil.example'", "GET", "/health", None, {"Host": "evil.example"}),
    "foreign page": Wrong(
        403, "'https://evil.example'", "GET", "/ready", None, {"Origin": "https://evil.example"}
    ),
    # A cancel's and a session's body.
    "field of a cancel": Wrong(400, "'why'", "POST", "/api/tasks/x/cancel", b'{"why": "x"}', {}, ("why",)),
    "field of a session": Wrong(400, "'name'", "POST", "/api/sessions", b'{"name": "x"}', JSON, ("name",)),
}


class HasBody(Protocol):
    """A reply of httpx, or a raw one."""

    status_code: int

    @property
    def headers(self) -> httpx.Headers:
        """Its headers."""

    def json(self) -> Json:
        """Its body."""


def assert_problem(reply: HasBody, status: int, names: str) -> Json:
    """Check that a reply is a problem of RFC 9457 which names the thing, and return it."""
    problem = reply.json()
    assert reply.status_code == problem["status"] == status
    assert reply.headers["Content-Type"] == PROBLEM
    assert problem.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert names in problem["detail"]
    assert reply.headers["X-Request-ID"]
    assert "Traceback" not in problem["detail"]
    return problem


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_request_is_refused_with_a_problem_that_names_it(client: Client, wrong: Wrong) -> None:
    before = client.tasks(limit=1)["total"]

    reply = client.http.request(wrong.method, client.url + wrong.path, content=wrong.body, headers=wrong.headers)

    problem = assert_problem(reply, wrong.status, wrong.names)
    if wrong.fields:
        assert tuple(error["field"] for error in problem["errors"]) == wrong.fields
    assert ("Allow" in reply.headers) == (wrong.status == 405)
    assert client.tasks(limit=1)["total"] == before


RAW = {
    "no Host": (400, "Host", b"GET /health HTTP/1.1\r\n\r\n"),
    "no HTTP": (400, "HTTP", b"hello\r\n\r\n"),
    "bad length": (400, "HTTP", POST + b"Content-Length: two\r\n\r\n"),
    "bad chunk": (400, "HTTP", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "large headers": (431, "65,536", POST + b"X: " + b"x" * 70_000 + b"\r\n\r\n"),
    "another coding": (501, "chunked", POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    "large chunks": (
        413,
        "2,097,152",
        POST + b"Transfer-Encoding: chunked\r\n\r\n300000\r\n" + b" " * 0x300000 + b"\r\n0\r\n\r\n",
    ),
}


@pytest.mark.parametrize(("status", "names", "request_bytes"), RAW.values(), ids=RAW.keys())
def test_what_the_http_parser_refuses_is_a_problem_too(
    client: Client, status: int, names: str, request_bytes: bytes
) -> None:
    reply = client.send_raw(request_bytes)

    assert_problem(reply, status, names)
    assert client.http.get("/ready").status_code == 200


@pytest.fixture
def small(start: Start) -> Iterator[tuple[ServerProcess, Client]]:
    """A server that takes two unfinished tasks, with its client."""
    server = start(settings={"LIMITS__MAX_UNFINISHED_TASKS": "2"})
    with Client(server.url) as client:
        yield server, client


def test_too_many_tasks_are_refused_until_some_have_ended(small: tuple[ServerProcess, Client]) -> None:
    _, client = small
    tasks = [client.submit("Simulate 1 step of 30 s") for _ in range(2)]

    refused = client.try_submit("Echo one more")
    client.cancel(tasks[0]["task_id"])
    taken = client.submit("Echo one more")

    assert_problem(refused, 429, "2 tasks")
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.ended(taken["task_id"])["status"] == "completed"
    assert client.tasks()["total"] == 3
