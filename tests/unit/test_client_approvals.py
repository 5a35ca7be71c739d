"""The client and tool calls that wait for approval: what it sends, what it returns, what it raises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
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


def page(*call_ids: str, next_cursor: str | None = None) -> Callable[[], httpx.Response]:
    calls = [
        {
            "task_id": TASK_ID,
            "session_id": "s",
            "call_id": call_id,
            "iteration": 1,
            "tool_name": "shell",
            "arguments": {"command": "ls"},
            "requested_at": "2026-11-22T13:10:55.377120Z",
            "expires_at": None,
            "something new": 1,
        }
        for call_id in call_ids
    ]
    return reply({"approvals": calls, "next_cursor": next_cursor})


def test_those_that_wait_come_in_pages() -> None:
    server = answering(page("a", "b", next_cursor="17"), page("c"))
    client = server.client()

    first = client.approvals(limit=2)
    second = client.approvals(limit=2, cursor=first.next_cursor, session_id="s")

    assert [call.call_id for one in (first, second) for call in one.approvals] == ["a", "b", "c"]
    assert first.approvals[0].arguments == {"command": "ls"}
    assert second.next_cursor is None
    assert [str(one.url.raw_path, "ascii") for one in server.requests] == [
        "/api/approvals?limit=2", "/api/approvals?limit=2&cursor=17&session_id=s",
    ]  # fmt: skip


def test_the_client_for_asyncio_lists_them_too_and_asks_again_where_nobody_answered() -> None:
    server = answering(broken, page("a"))

    async def listed() -> list[str]:
        async with server.async_client() as client:
            return [call.call_id for call in (await client.approvals()).approvals]

    assert asyncio.run(listed()) == ["a"]


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
