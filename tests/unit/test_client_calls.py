"""The client's calls: what they send, what they return, what they raise, and which are repeated."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from alex_http import wire
from alex_http.client import (
    AlexError,
    ApiError,
    BadReply,
    BadRequest,
    Client,
    Component,
    Conflict,
    ConnectionFailed,
    CopyRefused,
    FieldError,
    Forbidden,
    GaveUp,
    Health,
    KeyReused,
    NotFound,
    ServerError,
    Session,
    SessionDetail,
    SessionIsBusy,
    SessionPage,
    Task,
    TaskHasEnded,
    TaskPage,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnknownSession,
    UnknownTask,
    WaitTimedOut,
)
from alex_http.client.values import Message, Result
from tests.unit.scripted_server import (
    PROBLEM,
    TASK_ID,
    URL,
    Fault,
    answering,
    broken,
    event,
    problem,
    refused,
    reply,
    task,
)

KINDS = ["sync", "async"]
SESSION = {
    "id": "demo",
    "created_at": "2026-11-22T13:10:55.354842Z",
    "updated_at": "2026-11-22T13:10:55.354842Z",
    "task_count": 1,
    "last_task": "Say hello",
    "forked_from": None,
    "metadata": {},
}


# What is sent, and what comes back.


def test_a_submit_sends_what_was_given_and_nothing_else() -> None:
    server = answering(reply(task(status="pending"), 201), reply(task(), 201))

    server.client().submit("Say hello")
    submitted = server.client().submit(
        "Say hello",
        session_id="demo",
        agent_preset="researcher",
        tool_preset="full",
        strategy="parallel",
        timeout_seconds=1.5,
        max_iterations=3,
        model="offline",
        metadata={"ticket": "17"},
    )

    first, second = (json.loads(request.content) for request in server.requests)
    assert first == {"task": "Say hello"}
    assert second == {
        "task": "Say hello",
        "session_id": "demo",
        "agent_preset": "researcher",
        "tool_preset": "full",
        "multitask_strategy": "parallel",
        "timeout_seconds": 1.5,
        "max_iterations": 3,
        "model": "offline",
        "metadata": {"ticket": "17"},
    }
    assert server.requests[0].headers["Content-Type"] == "application/json"
    assert submitted.created_at == datetime(2026, 11, 22, 13, 10, 55, 354842, tzinfo=UTC)


def test_lists_ask_for_what_was_given() -> None:
    server = answering(
        reply({"tasks": [task()], "total": 11, "limit": 1, "offset": 10}),
        reply({"tasks": [], "total": 0, "limit": 10, "offset": 0}),
        reply({"sessions": [SESSION], "total": 1, "limit": 10, "offset": 0}),
    )
    client = server.client()

    page = client.tasks(limit=1, offset=10, session_id="demo", status="running")
    client.tasks()
    sessions = client.sessions()

    assert (page.total, page.tasks[0].has_ended, page.tasks[0].answer) == (11, False, None)
    assert sessions.sessions[0].id == "demo"
    assert [str(request.url).removeprefix(URL) for request in server.requests] == [
        "/api/tasks?limit=1&offset=10&session_id=demo&status=running",
        "/api/tasks?limit=10&offset=0",
        "/api/sessions?limit=10&offset=0",
    ]


def test_recorded_events_come_as_events_do() -> None:
    page = {"events": [event(3, "thinking", iteration=1, message_count=2)], "last_event_id": 3}
    server = answering(reply(page), reply({"events": [{"event_id": "3"}], "last_event_id": 3}))

    found = server.client().recorded_events(TASK_ID, after=1, limit=2)

    assert (found.events[0].event_type, found.events[0].data) == ("thinking", {"iteration": 1, "message_count": 2})
    assert found.last_event_id == 3
    assert server.requests[0].headers["Accept"] == "application/json"
    assert server.requests[0].url.query == b"after=1&limit=2"
    with pytest.raises(BadReply):
        server.client().recorded_events(TASK_ID)


def test_sessions_are_made_read_and_deleted() -> None:
    detail = SESSION | {"messages": [{"role": "user", "content": "Say hello", "at": 1}], "tasks": [task()]}
    server = answering(reply(SESSION, 201), reply(detail), lambda: httpx.Response(204))
    client = server.client()

    made = client.make_session("demo", metadata={"a": "b"})
    found = client.session("demo")
    client.delete_session("demo")

    assert made.created_at == found.created_at
    assert (found.messages[0].content, found.tasks[0].task_id) == ("Say hello", TASK_ID)
    assert [(request.method, request.url.path) for request in server.requests] == [
        ("POST", "/api/sessions"),
        ("GET", "/api/sessions/demo"),
        ("DELETE", "/api/sessions/demo"),
    ]


def test_a_name_cannot_lead_to_another_address() -> None:
    server = answering(lambda: problem(404))

    with pytest.raises(UnknownTask):
        server.client().task("../sessions/demo?x=#y")

    assert server.requests[0].url.raw_path == b"/api/tasks/..%2Fsessions%2Fdemo%3Fx%3D%23y"


@pytest.mark.parametrize("status", [200, 503])
def test_bad_health_is_no_error(status: int) -> None:
    words = {200: "ok", 503: "error"}
    parts = {"store": {"status": "down", "detail": "No room.", "figures": {"waiting_messages": 1}}}
    server = answering(reply({"status": words[status], "version": "1", "components": parts}, status))

    health = server.client().health()

    assert (health.status, health.components["store"].detail) == (words[status], "No room.")
    assert len(server.requests) == 1


def test_the_token_is_sent_with_everything() -> None:
    server = answering(reply(task()), lambda: httpx.Response(204))
    client = server.client(token="secret")

    client.task(TASK_ID)
    list(client.events(task_id=TASK_ID))

    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer secret"] * 2
    with pytest.raises(ValueError, match="line break") as raised:
        Client(token="secret\n")
    assert "secret" not in str(raised.value)


def test_the_address_may_have_a_path_and_must_be_one() -> None:
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=task())

    Client("https://example.org/alex/", http=httpx.Client(transport=httpx.MockTransport(handle))).task("a")

    assert str(requests[0].url) == "https://example.org/alex/api/tasks/a"
    for wrong in ("127.0.0.1:8080", "localhost", "", "http://", "ftp://host", "http://[::1"):
        with pytest.raises(ValueError, match="base_url is like"):
            Client(wrong)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Task, wire.TaskOut),
        (TaskPage, wire.TasksOut),
        (Result, wire.ResultOut),
        (Session, wire.SessionOut),
        (SessionPage, wire.SessionsOut),
        (SessionDetail, wire.SessionDetailOut),
        (Message, wire.MessageOut),
        (Health, wire.HealthOut),
        (Component, wire.ComponentOut),
    ],
)
def test_the_values_have_the_fields_that_the_server_sends(
    ours: type[msgspec.Struct], theirs: type[msgspec.Struct]
) -> None:
    assert ours.__struct_fields__ == theirs.__struct_fields__


def test_a_newer_server_may_say_more() -> None:
    more = task(termination_reason="bored", priority=7, status="failed", result=None)

    assert answering(reply(more)).client().task(TASK_ID).termination_reason == "bored"


# Errors.


@pytest.mark.parametrize(
    ("status", "call", "expected"),
    [
        (400, lambda client: client.submit(""), BadRequest),
        (404, lambda client: client.task("a"), UnknownTask),
        (404, lambda client: client.cancel("a"), UnknownTask),
        (404, lambda client: client.wait("a"), UnknownTask),
        (404, lambda client: client.recorded_events("a"), UnknownTask),
        (404, lambda client: client.session("a"), UnknownSession),
        (404, lambda client: client.delete_session("a"), UnknownSession),
        (404, lambda client: client.tasks(), NotFound),
        (409, lambda client: client.cancel("a"), TaskHasEnded),
        (409, lambda client: client.submit("a", strategy="reject"), SessionIsBusy),
        (401, lambda client: client.submit("a"), Unauthorized),
        (403, lambda client: client.tasks(), Forbidden),
        (404, lambda client: client.fork("a"), UnknownSession),
        (404, lambda client: client.export_session("a"), UnknownSession),
        (409, lambda client: client.fork("a", new_session_id="b"), CopyRefused),
        (409, lambda client: client.import_session(b"{}"), CopyRefused),
        (418, lambda client: client.task("a"), ApiError),
        (422, lambda client: client.submit("a", idempotency_key="mine"), KeyReused),
        (429, lambda client: client.submit("a"), TooManyRequests),
        (500, lambda client: client.task("a"), ServerError),
        (503, lambda client: client.submit("a"), Unavailable),
    ],
)
def test_the_servers_errors_are_exceptions(
    status: int, call: Callable[[Client], object], expected: type[ApiError]
) -> None:
    server = answering(lambda: problem(status, "It was wrong.", Retry_After="3", X_Request_ID="r1"))

    with pytest.raises(ApiError) as raised:
        call(server.client())

    assert type(raised.value) is expected
    assert str(raised.value) == raised.value.detail == "It was wrong."
    assert (raised.value.status, raised.value.title) == (status, "A title")
    assert (raised.value.retry_after, raised.value.request_id) == (3.0, "r1")
    assert len(server.requests) == 1


def test_bad_fields_are_named() -> None:
    errors = [{"field": "task", "reason": "must not be blank"}]
    body = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "No.", "errors": errors}
    server = answering(lambda: httpx.Response(400, content=json.dumps(body), headers=PROBLEM))

    with pytest.raises(BadRequest) as raised:
        server.client().submit(" ")

    assert list(raised.value.errors) == [FieldError("task", "must not be blank")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(404, text="<h1>Not Found</h1>"), NotFound),
        (httpx.Response(404, json={"title": "No route", "detail": "Ask the gateway."}), NotFound),
        (httpx.Response(409, text=""), Conflict),
        (httpx.Response(302, headers={"Location": "https://elsewhere/"}), ApiError),
        (httpx.Response(400, content=b"\xff", headers=PROBLEM), BadRequest),
        (httpx.Response(599), ServerError),
        (httpx.Response(200, text="<h1>Welcome</h1>"), BadReply),
        (httpx.Response(200, json={"task_id": 1}), BadReply),
        (httpx.Response(200, content=b'{"task_id": "\xff"}'), BadReply),
        (httpx.Response(200, json=[]), BadReply),
    ],
)
def test_what_a_proxy_says_is_not_taken_for_the_servers_word(
    answer: httpx.Response, expected: type[AlexError]
) -> None:
    server = answering(lambda: answer)

    with pytest.raises(AlexError) as raised:
        server.client().task("a")

    assert type(raised.value) is expected


@pytest.mark.parametrize(
    "error",
    [
        UnknownTask("No.", status=404, title="Not Found", errors=[FieldError("a", "b")], retry_after=1),
        ConnectionFailed("No.", maybe_received=True),
        WaitTimedOut("task-1", 2, msgspec.convert(task(), Task)),
        GaveUp(3, ConnectionFailed("No.", maybe_received=False)),
    ],
)
def test_errors_can_be_pickled(error: AlexError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (str(copy), copy.__dict__) == (str(error), error.__dict__)


# Trying again.


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_is_repeated_while_the_server_restarts(kind: str) -> None:
    server = answering(refused, broken, lambda: problem(503, Retry_After="1"), reply(task()))

    sync = kind == "sync"
    found = server.client().task(TASK_ID) if sync else asyncio.run(server.async_client().task(TASK_ID))

    assert found.task_id == TASK_ID
    assert server.time.slept == [0.25, 0.5, 1.0]


def test_a_read_is_not_repeated_for_ever() -> None:
    server = answering(*[refused] * 9)

    with pytest.raises(ConnectionFailed, match=r"cannot be reached.*refused") as raised:
        server.client().task(TASK_ID)

    assert len(server.requests) == 4
    assert not raised.value.maybe_received


def test_a_read_is_not_repeated_if_that_takes_too_long_for_who_waits_for_it() -> None:
    server = answering(*[lambda: problem(503, Retry_After="60")] * 9)

    with pytest.raises(Unavailable):
        server.client().task(TASK_ID)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.cancel("a"),
        lambda client: client.make_session("a"),
        lambda client: client.delete_session("a"),
        lambda client: client.fork("a"),
        lambda client: client.import_session(b"{}"),
    ],
)
@pytest.mark.parametrize("error", [refused, broken])
def test_what_changes_something_is_sent_once(call: Callable[[Client], object], error: Fault) -> None:
    server = answering(*[error] * 9)

    with pytest.raises(ConnectionFailed) as raised:
        call(server.client())

    assert len(server.requests) == 1
    assert raised.value.maybe_received == (error is broken)
