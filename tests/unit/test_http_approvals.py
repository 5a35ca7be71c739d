"""A person's word on a tool call, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from falcon import testing

from alex_actors.ports import Decision
from alex_actors.replies import Unavailable, WaitingCall
from alex_actors.values import Context, SessionId, TaskId, Timestamp
from alex_http.approvals import LARGEST_ARGUMENTS
from alex_http.wire import SubmitIn
from tests.unit.fake_runtime import CATALOG, FakeRuntime, Log, application
from tests.unit.held_requests import HeldClient, HeldRequest

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def runtime() -> FakeRuntime:
    """A runtime with a task, one of whose calls waits."""
    runtime = FakeRuntime()
    runtime.submit(CATALOG.new_task(SubmitIn(task="Delete it", session_id="s")), Context("trace"))
    runtime.waiting.add("call-1")
    return runtime


@pytest.fixture
def client(runtime: FakeRuntime) -> testing.TestClient:
    return HeldClient(application(runtime, Log()), headers={"Host": "localhost"})


def post(client: testing.TestClient, body: Any, path: str = "task-0001/approvals/call-1") -> testing.Result:
    """Send a body, which is JSON or text."""
    text = body if isinstance(body, str) else json.dumps(body)
    return client.simulate_post(f"/api/tasks/{path}", body=text, headers=JSON)


@pytest.mark.parametrize(
    ("body", "decision"),
    [
        ({"approved": True}, Decision(approved=True)),
        ({"approved": True, "reason": None, "arguments": None}, Decision(approved=True)),
        (
            {"approved": True, "reason": "Only this one", "arguments": {"a": [1, {"b": None}]}},
            Decision(approved=True, reason="Only this one", arguments={"a": [1, {"b": None}]}),
        ),
        ({"approved": True, "arguments": {}}, Decision(approved=True, arguments={})),
        ({"approved": False, "reason": "x" * 2000}, Decision(approved=False, reason="x" * 2000)),
        ({"approved": False, "arguments": {"a": 1}}, Decision(approved=False)),
    ],
)
def test_a_word_is_passed_on_and_answered_with_the_task(
    runtime: FakeRuntime, client: testing.TestClient, body: object, decision: Decision
) -> None:
    result = post(client, body)

    assert result.status_code == 200
    assert result.json == client.simulate_get("/api/tasks/task-0001").json
    assert runtime.decisions == {"call-1": decision}


def test_nothing_waits_under_that_id_and_the_text_says_why(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    yes = {"approved": True}

    unknown = post(client, yes, "task-0001/approvals/call-2")
    post(client, yes)
    decided = post(client, yes)
    runtime.complete("task-0001", "done")
    ended = post(client, yes)

    assert {result.status_code for result in (unknown, decided, ended)} == {409}
    assert unknown.json["detail"].startswith("No tool call 'call-2' of the task 'task-0001' waits for approval.")
    assert "was decided on already" in decided.json["detail"]
    assert "has ended" in ended.json["detail"]


def test_a_task_that_is_not_there_is_not_found(client: testing.TestClient) -> None:
    result = post(client, {"approved": True}, "task-9/approvals/call-1")

    assert result.status_code == 404
    assert result.json["detail"].startswith("There is no task 'task-9'.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "approved"),
        ({"approved": "yes"}, "approved"),
        ({"approved": None}, "approved"),
        ({"approved": 1}, "approved"),
        ({"approved": True, "reason": 1}, "reason"),
        ({"approved": True, "reason": "x" * 2001}, "reason"),
        ({"approved": True, "arguments": []}, "arguments"),
        ({"approved": True, "arguments": "{}"}, "arguments"),
        ({"approved": True, "arguments": {"a": "x" * LARGEST_ARGUMENTS}}, "arguments"),
        ({"approved": True, "why": "no"}, "why"),
        ('{"approved": true, "approved": false}', "approved"),
        ('{"approved": true, "arguments": {"a": 1, "a": 2}}', "a"),
    ],
)
def test_a_bad_field_is_named(runtime: FakeRuntime, client: testing.TestClient, body: object, field: str) -> None:
    result = post(client, body)

    assert result.status_code == 400
    assert [error["field"] for error in result.json["errors"]] == [field]
    assert runtime.decisions == {}


@pytest.mark.parametrize("body", ["", "[]", "yes", '{"approved": true', "null", '{"approved": true} x'])
def test_a_body_that_is_no_object_is_refused(client: testing.TestClient, body: str) -> None:
    assert post(client, body).status_code == 400


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_a_number_that_no_record_holds_is_no_fault_of_the_server(client: testing.TestClient, number: int) -> None:
    assert post(client, f'{{"approved": true, "arguments": {{"n": {number}}}}}').status_code in (200, 400)


def test_it_needs_json(client: testing.TestClient) -> None:
    result = client.simulate_post(
        "/api/tasks/task-0001/approvals/call-1", body='{"approved": true}', headers={"Content-Type": "text/plain"}
    )

    assert result.status_code == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_it_takes_no_other_method(client: testing.TestClient, method: str) -> None:
    result = client.simulate_request(method, "/api/tasks/task-0001/approvals/call-1")

    assert result.status_code == 405
    assert result.headers["Allow"] == "POST, OPTIONS"


def test_a_call_without_a_name_is_no_path(client: testing.TestClient) -> None:
    assert post(client, {"approved": True}, "task-0001/approvals/").status_code == 404


# The list of those that wait.


def a_call(number: int, *, session_id: str = "s") -> WaitingCall:
    return WaitingCall(
        event_id=number,
        task_id=TaskId("task-0001"),
        session_id=SessionId(session_id),
        call_id=f"call-{number}",
        iteration=2,
        tool_name="shell",
        arguments=msgspec.Raw(b'{"n":1.10}'),
        requested_at=Timestamp("2026-01-01T00:00:00.000000Z"),
        expires_at=None,
    )


def test_those_that_wait_are_listed_with_all_that_a_person_decides_by(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    runtime.listed = [a_call(7)]

    result = client.simulate_get("/api/approvals")

    assert (result.status_code, client.simulate_head("/api/approvals").status_code) == (200, 200)
    assert '"arguments":{"n":1.10}' in result.text, "as it is recorded"
    assert result.json == {
        "approvals": [
            {
                "task_id": "task-0001", "session_id": "s", "call_id": "call-7", "iteration": 2,
                "tool_name": "shell", "arguments": {"n": 1.1},
                "requested_at": "2026-01-01T00:00:00.000000Z", "expires_at": None,
            }
        ],
        "next_cursor": None,
    }  # fmt: skip


def test_a_page_says_where_the_next_one_goes_on(runtime: FakeRuntime, client: testing.TestClient) -> None:
    runtime.listed = [a_call(number) for number in (3, 5, 8)]

    first = client.simulate_get("/api/approvals?limit=2").json
    second = client.simulate_get(f"/api/approvals?limit=2&cursor={first['next_cursor']}").json

    assert [call["call_id"] for page in (first, second) for call in page["approvals"]] == [
        "call-3", "call-5", "call-8",
    ]  # fmt: skip
    assert (first["next_cursor"], second["next_cursor"]) == ("5", None)


def test_those_of_one_session_and_ten_if_nobody_says_how_many(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    runtime.listed = [a_call(number, session_id=f"s{number % 2}") for number in range(1, 23)]

    every = client.simulate_get("/api/approvals").json["approvals"]
    odd = client.simulate_get("/api/approvals?session_id=s1&limit=1000").json["approvals"]
    none = client.simulate_get("/api/approvals?session_id=never").json

    assert (len(every), {call["session_id"] for call in odd}, len(odd)) == (10, {"s1"}, 11)
    assert none == {"approvals": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=-1", "cursor"),
        ("cursor=1_0", "cursor"),
        (f"cursor={2**63}", "cursor"),
        (f"cursor={'9' * 5000}", "cursor"),
        ("cursor=", "cursor"),
        ("session_id=a/b", "session_id"),
        ("offset=1", "offset"),
        ("status=running", "status"),
    ],
)
def test_a_bad_parameter_of_the_list_is_named(client: testing.TestClient, query: str, field: str) -> None:
    result = client.simulate_get(f"/api/approvals?{query}")

    assert result.status_code == 400
    assert [error["field"] for error in result.json["errors"]] == [field]


def test_the_list_is_unavailable_while_the_store_is(runtime: FakeRuntime, client: testing.TestClient) -> None:
    runtime.failure = Unavailable("Not now.")

    assert client.simulate_get("/api/approvals").status_code == 503


def test_the_reply_is_held_back_without_a_worker_and_comes_when_it_is_recorded(runtime: FakeRuntime) -> None:
    runtime.delayed = []
    held = hold(runtime)
    calls = held.calls

    runtime.delayed[0]()
    held.go_on()

    assert calls == 1
    assert held.reply.status_code == 200
    assert runtime.decisions == {"call-1": Decision(approved=True)}


def test_a_word_that_is_not_recorded_in_time_is_not_answered_as_if_it_were(runtime: FakeRuntime) -> None:
    runtime.delayed = []
    held = hold(runtime)

    held.let_time_pass()

    assert held.reply.status_code == 503
    assert held.reply.headers["Retry-After"]


def hold(runtime: FakeRuntime) -> HeldRequest:
    """Send an approval whose reply is held back."""
    return HeldRequest(
        application(runtime, Log()),
        "POST",
        "/api/tasks/task-0001/approvals/call-1",
        body='{"approved": true}',
        Content_Type="application/json",
    )
