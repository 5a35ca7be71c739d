"""Tool calls that wait for a person's word, in a real server: approved, denied, forgotten, and over a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from alex_http.client import Client as PythonClient
from alex_http.client import NothingWaits
from tests.live.client import Client, types
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess, until

ASKS = {"TOOLS__APPROVE": "calculator"}
SUM = "What is 2 + 2?"


def request_of(client: Client, task_id: str) -> Json:
    """Wait until a call of the task waits; return its ``approval_requested``."""
    return until(
        lambda: next((e for e in client.events(task_id) if e["event_type"] == "approval_requested"), None),
        "a request for approval",
    )


def decide(client: Client, task_id: str, call_id: str, **body: object) -> tuple[int, Json]:
    reply = client.http.post(f"/api/tasks/{task_id}/approvals/{call_id}", json=body)
    body_of_reply: Json = reply.json()
    return reply.status_code, body_of_reply


def threads_of(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_a_call_waits_until_somebody_approves_it_and_then_runs(start: Start) -> None:
    server = start(settings=ASKS)
    with Client(server.url) as client:
        task_id = client.submit(SUM)["task_id"]
        request = request_of(client, task_id)
        ran_before = "tool_call_complete" in types(client.events(task_id))

        status, task = decide(client, task_id, request["call_id"], approved=True, reason="Go on.")
        again, problem = decide(client, task_id, request["call_id"], approved=False)
        ended = client.ended(task_id)
        late, _ = decide(client, task_id, request["call_id"], approved=True)
        events = client.events(task_id)

    assert (request["tool_name"], request["arguments"]) == ("calculator", {"expression": "2 + 2"})
    assert not ran_before
    assert (status, task["task_id"]) == (200, task_id)
    assert task["status"] in ("running", "completed")  # it may be quick
    assert (again, late) == (409, 409)
    assert problem["title"] == "Conflict"
    assert (ended["status"], ended["result"]["answer"]) == ("completed", "2 + 2 = 4")
    order = [name for name in types(events) if name.startswith(("approval", "tool_call"))]
    assert [name for name in order if name != "tool_call_start"] == [
        "approval_requested", "approval_resolved", "tool_call_complete",
    ]  # fmt: skip
    (resolved,) = [event for event in events if event["event_type"] == "approval_resolved"]
    assert (resolved["approved"], resolved["reason"]) == (True, "Go on.")


def test_a_call_that_is_denied_does_not_run_and_its_task_goes_on(start: Start) -> None:
    server = start(settings=ASKS)
    with Client(server.url) as client, PythonClient(server.url) as alex:
        task_id = client.submit(SUM)["task_id"]
        call_id = request_of(client, task_id)["call_id"]

        alex.deny(task_id, call_id, reason="Do it in your head.")
        client.ended(task_id)
        events = client.events(task_id)
        with pytest.raises(NothingWaits):
            alex.approve(task_id, call_id)

    results = [e for e in events if e["event_type"] == "tool_call_complete" and e["call_id"] == call_id]
    assert [event["result"] for event in results] == [None] * len(results)


def test_a_call_that_waits_when_the_server_is_killed_waits_on_and_is_asked_about_once(start: Start) -> None:
    first = start(settings=ASKS)
    with Client(first.url) as client:
        task_id = client.submit(SUM)["task_id"]
        call_id = request_of(client, task_id)["call_id"]
    first.kill()
    second = start(settings=ASKS)

    with Client(second.url) as client:
        listed = client.http.get("/api/approvals").json()  # perhaps before the task goes on
        until(lambda: "task_resumed" in types(client.events(task_id)), "the task goes on")
        still_listed = client.http.get("/api/approvals").json()
        waiting = client.task(task_id)["status"]
        status = until(
            lambda: next(
                (code for code in [decide(client, task_id, call_id, approved=True)[0]] if code != 503), 0
            ),
            "an answer to the approval",
        )
        decided = client.http.get("/api/approvals").json()
        ended = client.ended(task_id)
        events = types(client.events(task_id))

    assert [(call["task_id"], call["call_id"]) for call in listed["approvals"]] == [(task_id, call_id)]
    assert still_listed == listed
    assert decided == {"approvals": [], "next_cursor": None}
    assert (waiting, status) == ("running", 200)
    assert (ended["status"], ended["result"]["answer"]) == ("completed", "2 + 2 = 4")
    assert (events.count("approval_requested"), events.count("approval_resolved")) == (1, 1)
    assert second.troubles() == []


def test_a_decision_that_was_answered_survives_a_kill(start: Start) -> None:
    first = start(settings=ASKS)
    with Client(first.url) as client:
        task_id = client.submit(SUM)["task_id"]
        call_id = request_of(client, task_id)["call_id"]
        status, _ = decide(client, task_id, call_id, approved=True)
        first.kill()
    second = start(settings=ASKS)

    with Client(second.url) as client:
        ended = client.ended(task_id)
        events = types(client.events(task_id))

    assert status == 200
    assert ended["status"] == "completed"
    assert events.count("approval_resolved") == 1


def test_a_call_that_nobody_answers_counts_as_denied(start: Start) -> None:
    server = start(settings=ASKS | {"TOOLS__APPROVAL_TIMEOUT_SECONDS": "3"})
    with Client(server.url) as client:
        task_id = client.submit(SUM)["task_id"]
        request = request_of(client, task_id)

        (listed,) = client.http.get("/api/approvals").json()["approvals"]
        client.ended(task_id)
        lapsed = client.http.get("/api/approvals").json()["approvals"]
        events = client.events(task_id)

    assert ({name: request[name] for name in listed if name != "requested_at"}, lapsed) == (
        {name: value for name, value in listed.items() if name != "requested_at"}, [],
    )  # fmt: skip
    assert listed["requested_at"] == request["timestamp"]
    (resolved,) = [event for event in events if event["event_type"] == "approval_resolved"]
    assert (resolved["approved"], resolved["reason"]) == (False, "Nobody answered in time.")
    assert resolved["timestamp"] >= request["expires_at"]


def test_tasks_that_wait_take_no_thread_and_can_be_cancelled(start: Start) -> None:
    server = start(settings=ASKS)
    with Client(server.url) as client:
        request_of(client, first := client.submit(SUM)["task_id"])
        before = threads_of(server)
        tasks = [client.submit(SUM)["task_id"] for _ in range(20)]
        calls = {task_id: request_of(client, task_id)["call_id"] for task_id in [first, *tasks]}
        after = threads_of(server)

        listed = [
            (call["task_id"], call["call_id"])
            for call in client.http.get("/api/approvals?limit=50").json()["approvals"]
        ]

        codes = [client.cancel(task_id).status_code for task_id in calls]
        left = client.http.get("/api/approvals").json()["approvals"]
        late = [decide(client, task_id, call_id, approved=True) for task_id, call_id in calls.items()]

    assert after <= before
    assert (sorted(listed), left) == (sorted(calls.items()), [])
    assert codes == [200] * 21
    assert {status for status, _ in late} == {409}
    assert all("has ended" in problem["detail"] for _, problem in late)
