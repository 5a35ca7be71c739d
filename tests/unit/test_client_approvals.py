"""The client and tool calls that wait for approval: what it sends, what it returns, what it raises."""

from __future__ import annotations

import asyncio
import json

import pytest

from alex_http.client import BadRequest, Conflict, ConnectionFailed, NothingWaits, UnknownTask
from tests.unit.scripted_server import TASK_ID, ScriptedServer, answering, broken, problem, reply, task


def sent(server: ScriptedServer) -> list[tuple[str, bytes, object]]:
    return [(one.method, one.url.raw_path, json.loads(one.content)) for one in server.requests]


PATH = f"/api/tasks/{TASK_ID}/approvals/call-1".encode()


def test_an_approval_sends_what_was_given_and_nothing_else() -> None:
    server = answering(*[reply(task())] * 4)
    client = server.client()

    client.approve(TASK_ID, "call-1")
    client.approve(TASK_ID, "call-1", reason="Only this one", arguments={"command": "ls"})
    client.deny(TASK_ID, "call-1")
    answered = client.deny(TASK_ID, "call-1", reason="No.")

    assert answered.task_id == TASK_ID
    assert sent(server) == [
        ("POST", PATH, {"approved": True}),
        ("POST", PATH, {"approved": True, "reason": "Only this one", "arguments": {"command": "ls"}}),
        ("POST", PATH, {"approved": False}),
        ("POST", PATH, {"approved": False, "reason": "No."}),
    ]
    assert server.requests[0].headers["Content-Type"] == "application/json"


def test_the_client_for_asyncio_does_the_same() -> None:
    server = answering(reply(task()), reply(task()))

    async def decide() -> list[str]:
        async with server.async_client() as client:
            approved = await client.approve(TASK_ID, "call-1", arguments={})
            denied = await client.deny(TASK_ID, "call-1", reason="No.")
            return [approved.status, denied.status]

    assert asyncio.run(decide()) == ["running", "running"]
    assert sent(server) == [
        ("POST", PATH, {"approved": True, "arguments": {}}),
        ("POST", PATH, {"approved": False, "reason": "No."}),
    ]


def test_the_id_of_a_call_cannot_lead_to_another_address() -> None:
    server = answering(reply(task()))

    server.client().approve(TASK_ID, "../cancel?x=#y")

    assert server.requests[0].url.raw_path == b"/api/tasks/task-1/approvals/..%2Fcancel%3Fx%3D%23y"


@pytest.mark.parametrize(
    ("status", "kind"), [(409, NothingWaits), (404, UnknownTask), (400, BadRequest), (409, Conflict)]
)
def test_a_refusal_is_an_error_of_its_kind(status: int, kind: type[Exception]) -> None:
    server = answering(lambda: problem(status, "Why not."))

    with pytest.raises(kind, match="Why not"):
        server.client().approve(TASK_ID, "call-1")


def test_it_is_sent_once() -> None:
    server = answering(broken, reply(task()))

    with pytest.raises(ConnectionFailed):
        server.client().approve(TASK_ID, "call-1")

    assert len(server.requests) == 1
