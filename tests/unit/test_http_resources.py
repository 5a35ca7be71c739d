"""Reading and cancelling tasks, their events, sessions, health: the calls behind the route table."""

from __future__ import annotations

import msgspec
import pytest
from falcon import testing

from alex_actors.replies import Component
from alex_actors.values import Context, SessionId, TaskId
from alex_http.wire import SubmitIn
from tests.unit.fake_runtime import CATALOG, FakeRuntime, Log, application
from tests.unit.held_requests import HeldClient

JSON = {"Content-Type": "application/json"}
EVENTS = {"Accept": "application/json"}


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def client(runtime: FakeRuntime) -> testing.TestClient:
    return HeldClient(application(runtime, Log()), headers={"Host": "localhost"})


def submit(runtime: FakeRuntime, text: str = "What is 2 + 2?", session_id: str = "s") -> str:
    """Have the runtime record a task; return its ID."""
    runtime.submit(CATALOG.new_task(SubmitIn(task=text, session_id=session_id)), Context("trace"))
    return list(runtime.records)[-1]


def test_a_task_is_read_as_it_is_recorded(runtime: FakeRuntime, client: testing.TestClient) -> None:
    task_id = submit(runtime)
    runtime.complete(task_id, "4")

    task = client.simulate_get(f"/api/tasks/{task_id}").json

    assert task["status"] == "completed"
    assert task["result"] == {
        "answer": "4",
        "iterations": 2,
        "tokens_used": 120,
        "stop_reason": "final_answer",
        "session_id": "s",
    }


@pytest.mark.parametrize("task_id", ["task-9", "a b", "ü", "%00", "x" * 300, "..", "%f0%9f%98%80", "%ff"])
def test_a_task_that_is_not_there_is_not_found(client: testing.TestClient, task_id: str) -> None:
    result = client.simulate_get(f"/api/tasks/{task_id}")

    assert result.status_code == 404
    assert result.json["detail"].startswith("There is no task '")


def test_tasks_are_listed_newest_first_in_pages(runtime: FakeRuntime, client: testing.TestClient) -> None:
    for number in range(12):
        submit(runtime, f"task {number}")

    first = client.simulate_get("/api/tasks").json
    second = client.simulate_get("/api/tasks", query_string="limit=3&offset=10").json

    assert list(first) == ["tasks", "total", "limit", "offset"]
    assert [task["task"] for task in first["tasks"]] == [f"task {number}" for number in range(11, 1, -1)]
    assert (first["total"], first["limit"], first["offset"]) == (12, 10, 0)
    assert [task["task"] for task in second["tasks"]] == ["task 1", "task 0"]
    assert (second["total"], second["limit"], second["offset"]) == (12, 3, 10)


def test_tasks_are_listed_by_session_and_status(runtime: FakeRuntime, client: testing.TestClient) -> None:
    submit(runtime, "one", "a")
    submit(runtime, "two", "b")
    runtime.complete(submit(runtime, "three", "b"), "3")

    found = client.simulate_get("/api/tasks", query_string="session_id=b&status=completed").json

    assert [task["task"] for task in found["tasks"]] == ["three"]
    assert found["total"] == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%2010", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit", "limit"),
        ("limit=5&limit=6", "limit"),
        ("offset=-1", "offset"),
        ("offset=9223372036854775808", "offset"),
        ("offset=" + "9" * 5000, "offset"),
        ("status=done", "status"),
        ("session_id=a%0A", "session_id"),
        ("session_id=.a", "session_id"),
        ("sort=asc", "sort"),
        ("Limit=5", "Limit"),
        ("=5", ""),
    ],
)
def test_a_bad_query_parameter_is_named(client: testing.TestClient, query: str, field: str) -> None:
    result = client.simulate_get("/api/tasks", query_string=query)

    assert result.status_code == 400
    assert [error["field"] for error in result.json["errors"]] == [field]


def test_the_limits_of_query_parameters_are_inside(client: testing.TestClient) -> None:
    result = client.simulate_get("/api/tasks", query_string="limit=1000&offset=9223372036854775807")

    assert result.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/tasks"),
        ("POST", "/api/tasks/x/cancel"),
        ("POST", "/api/sessions"),
        ("GET", "/api/sessions/x"),
        ("GET", "/health"),
        ("GET", "/ready"),
    ],
)
def test_a_call_without_query_parameters_says_so(client: testing.TestClient, method: str, path: str) -> None:
    result = client.simulate_request(method, path, query_string="limit=1", body="{}", headers=JSON)

    assert result.status_code == 400
    assert "takes no query parameters" in result.json["detail"]


def test_a_task_is_read_with_wait_or_without_parameters(client: testing.TestClient) -> None:
    result = client.simulate_get("/api/tasks/x", query_string="limit=1")

    assert result.status_code == 400
    assert "parameters are wait" in result.json["detail"]


@pytest.mark.parametrize("body", ["", "{}", " { } "])
def test_a_task_is_cancelled(runtime: FakeRuntime, client: testing.TestClient, body: str) -> None:
    task_id = submit(runtime)

    result = client.simulate_post(f"/api/tasks/{task_id}/cancel", body=body)

    assert result.status_code == 200
    assert result.json == {"task_id": task_id, "status": "cancelled"}


def test_a_task_that_has_ended_cannot_be_cancelled(runtime: FakeRuntime, client: testing.TestClient) -> None:
    task_id = submit(runtime)
    runtime.complete(task_id, "4")

    result = client.simulate_post(f"/api/tasks/{task_id}/cancel")

    assert result.status_code == 409
    assert "'completed'" in result.json["detail"]


def test_a_task_that_is_not_there_cannot_be_cancelled(client: testing.TestClient) -> None:
    result = client.simulate_post("/api/tasks/task-9/cancel")

    assert result.status_code == 404


@pytest.mark.parametrize("body", ['{"reason": "x"}', "[]", "x", "null"])
def test_a_cancel_takes_no_fields(runtime: FakeRuntime, client: testing.TestClient, body: str) -> None:
    task_id = submit(runtime)

    result = client.simulate_post(f"/api/tasks/{task_id}/cancel", body=body)

    assert result.status_code == 400
    assert runtime.records[task_id].status == "pending"


def test_recorded_events_are_read_in_pages(runtime: FakeRuntime, client: testing.TestClient) -> None:
    task_id = submit(runtime)
    runtime.record(task_id, 3, 5, 8, 13)

    def page(query: str) -> tuple[list[int], int]:
        path = f"/api/tasks/{task_id}/events"
        found = client.simulate_get(path, query_string=query, headers=EVENTS).json
        return [event["event_id"] for event in found["events"]], found["last_event_id"]

    assert page("limit=2") == ([3, 5], 5)
    assert page("after=5") == ([8, 13], 13)
    assert page("after=20") == ([], 20)


def test_an_event_is_one_object_of_what_all_events_have_and_its_own(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    task_id = submit(runtime)
    runtime.record(task_id, 3)

    (event,) = client.simulate_get(f"/api/tasks/{task_id}/events", headers=EVENTS).json["events"]

    task = runtime.records[task_id]
    assert event == {
        "event_id": 3,
        "task_id": task_id,
        "session_id": task.session_id,
        "parent_task_id": None,
        "timestamp": task.created_at,
        "agent_level": "core",
        "event_type": "thinking",
    }


@pytest.mark.parametrize("accept", ["application/json", "application/*", "application/json, */*;q=0.1"])
def test_recorded_events_are_there_for_who_prefers_json(
    runtime: FakeRuntime, client: testing.TestClient, accept: str
) -> None:
    task_id = submit(runtime)

    result = client.simulate_get(f"/api/tasks/{task_id}/events", headers={"Accept": accept})

    assert result.status_code == 200


def test_the_events_of_an_unknown_task_are_not_found(client: testing.TestClient) -> None:
    result = client.simulate_get("/api/tasks/task-9/events", headers=EVENTS)

    assert result.status_code == 404


def test_a_session_is_made_once(client: testing.TestClient) -> None:
    body = msgspec.json.encode({"session_id": "s", "metadata": {"who": "me"}})

    made = client.simulate_post("/api/sessions", body=body, headers=JSON)
    again = client.simulate_post("/api/sessions", body=body, headers=JSON)

    assert (made.status_code, again.status_code) == (201, 200)
    assert list(made.json) == [
        "id",
        "created_at",
        "updated_at",
        "task_count",
        "last_task",
        "forked_from",
        "metadata",
    ]
    assert made.json == again.json
    assert made.json["metadata"] == {"who": "me"}
    assert made.headers["Location"] == "/api/sessions/s"


@pytest.mark.parametrize("body", ["", "{}", '{"session_id": null}', '{"session_id": "", "metadata": null}'])
def test_a_session_without_an_id_is_a_new_one(client: testing.TestClient, body: str) -> None:
    result = client.simulate_post("/api/sessions", body=body, headers=JSON if body else {})

    assert result.status_code == 201
    assert result.json["id"].startswith("session-")


@pytest.mark.parametrize("body", ['{"session_id": "a/b"}', '{"name": "x"}', '{"metadata": {"a": 1}}', "[]"])
def test_a_bad_session_is_refused(client: testing.TestClient, body: str) -> None:
    result = client.simulate_post("/api/sessions", body=body, headers=JSON)

    assert result.status_code == 400


def test_sessions_are_listed_in_pages(runtime: FakeRuntime, client: testing.TestClient) -> None:
    for name in ("a", "b", "c"):
        runtime.make_session(SessionId(name), {}, Context("trace"))

    page = client.simulate_get("/api/sessions", query_string="limit=2&offset=1").json

    assert [session["id"] for session in page["sessions"]] == ["b", "a"]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 1)


def test_a_session_tells_its_conversation_and_its_tasks(runtime: FakeRuntime, client: testing.TestClient) -> None:
    runtime.complete(submit(runtime, "What is 2 + 2?"), "4")
    submit(runtime, "And 3 + 3?")

    session = client.simulate_get("/api/sessions/s").json

    assert session["messages"] == [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3 + 3?"},
    ]
    assert [task["task"] for task in session["tasks"]] == ["What is 2 + 2?", "And 3 + 3?"]
    assert (session["task_count"], session["last_task"]) == (2, "And 3 + 3?")


def test_what_a_sub_agent_was_asked_is_no_part_of_the_conversation(
    runtime: FakeRuntime, client: testing.TestClient
) -> None:
    runtime.complete(parent := submit(runtime, "Look it up"), "Found")
    child = submit(runtime, "Look here")
    runtime.records[child] = msgspec.structs.replace(runtime.records[child], parent_task_id=TaskId(parent))

    session = client.simulate_get("/api/sessions/s").json

    assert [message["content"] for message in session["messages"]] == ["Look it up", "Found"]
    assert [task["parent_task_id"] for task in session["tasks"]] == [None, parent]


def test_a_session_that_is_not_there_is_not_found(client: testing.TestClient) -> None:
    result = client.simulate_get("/api/sessions/nobody")

    assert result.status_code == 404
    assert "'nobody'" in result.json["detail"]


def test_health_is_ok_with_a_degraded_component(runtime: FakeRuntime, client: testing.TestClient) -> None:
    runtime.components["broadcaster"] = Component("degraded", "It restarts.", {"streams": 3})

    result = client.simulate_get("/health")

    assert result.status_code == 200
    assert result.json == {
        "status": "ok",
        "version": "0.1.0",
        "components": {
            "store": {"status": "ok"},
            "broadcaster": {"status": "degraded", "detail": "It restarts.", "figures": {"streams": 3}},
        },
    }


def test_health_is_an_error_when_a_component_is_down(runtime: FakeRuntime, client: testing.TestClient) -> None:
    runtime.components["store"] = Component("down", "The disk is full.")

    result = client.simulate_get("/health")

    assert result.status_code == 503
    assert result.json["status"] == "error"
    assert "Retry-After" in result.headers


def test_ready_follows_the_runtime(runtime: FakeRuntime, client: testing.TestClient) -> None:
    ready = client.simulate_get("/ready")
    runtime.accepts = False
    draining = client.simulate_get("/ready")

    assert (ready.status_code, ready.json) == (200, {"status": "ready"})
    assert draining.status_code == 503
    assert draining.headers["Content-Type"] == "application/problem+json"
    assert "Retry-After" in draining.headers
    assert draining.json["detail"].count("Try again") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/api/tasks",
        "/api/tasks/{id}",
        "/api/tasks/{id}/events",
        "/api/sessions",
        "/api/sessions/s",
        "/health",
        "/ready",
    ],
)
def test_head_is_get_without_its_body(runtime: FakeRuntime, client: testing.TestClient, path: str) -> None:
    path = path.format(id=submit(runtime))

    get = client.simulate_get(path, headers=EVENTS)
    head = client.simulate_head(path, headers=EVENTS)

    assert head.status_code == get.status_code == 200
    assert head.text == ""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.content))
