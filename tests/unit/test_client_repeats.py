"""A submit of the client that is sent again: under the same key, so that the server starts one task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from alex_http.client import Client, ConnectionFailed, SessionDetail, TooManyRequests, Unavailable
from tests.unit.scripted_server import (
    TASK_ID,
    Fault,
    ScriptedServer,
    answering,
    broken,
    problem,
    refused,
    reply,
    silent,
    task,
)

KINDS = ["sync", "async"]
SESSION = {
    "id": "copy",
    "created_at": "2026-11-22T13:10:55.354842Z",
    "updated_at": "2026-11-22T13:10:55.354842Z",
    "task_count": 0,
    "last_task": None,
    "forked_from": "demo",
    "metadata": {"a": "b"},
    "messages": [{"role": "user", "content": "Say hello"}],
    "tasks": [],
}


class Starting:
    """A server that starts a task for each key that it has not seen, and loses the first replies."""

    def __init__(self, lost: int) -> None:
        self.started: dict[str, str] = {}
        self._lost = lost

    def handle(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["Idempotency-Key"]
        known = key in self.started
        self.started.setdefault(key, f"task-{len(self.started) + 1}")
        if self._lost:
            self._lost -= 1
            raise broken()
        return httpx.Response(200 if known else 201, json=task(task_id=self.started[key]))


def submit(server: ScriptedServer, kind: str, idempotency_key: str | None = None) -> str:
    if kind == "sync":
        return server.client().submit("Say hello", idempotency_key=idempotency_key).task_id
    submitting = server.async_client().submit("Say hello", idempotency_key=idempotency_key)
    return asyncio.run(submitting).task_id


def keys(server: ScriptedServer) -> list[str]:
    return [request.headers["Idempotency-Key"] for request in server.requests]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [refused, broken, silent, lambda: problem(503, Retry_After="1")])
def test_a_submit_that_is_not_answered_is_sent_again_under_its_key(kind: str, fault: Fault) -> None:
    server = answering(fault, fault, reply(task(), 200))

    task_id = submit(server, kind)

    assert task_id == TASK_ID
    assert len(server.requests) == 3
    assert len(set(keys(server))) == 1
    assert len({request.content for request in server.requests}) == 1


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_replies_that_are_lost_start_no_second_task(lost: int) -> None:
    server = Starting(lost)
    http = httpx.Client(transport=httpx.MockTransport(server.handle))
    client = Client("http://test", http=http, sleep=lambda _seconds: None)

    submitted = client.submit("Say hello")

    assert submitted.task_id == "task-1"
    assert len(server.started) == 1


def test_each_submit_has_a_key_of_its_own() -> None:
    server = answering(*[reply(task(), 201)] * 3)
    client = server.client()

    client.submit("Say hello")
    client.submit("Say hello")
    submit(server, "async")

    assert len(set(keys(server))) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_given_is_sent(kind: str) -> None:
    server = answering(reply(task(), 201))

    submit(server, kind, "order-17")

    assert keys(server) == ["order-17"]


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "ä", "x" * 256])
def test_a_key_that_cannot_be_one_is_not_sent(key: str) -> None:
    server = answering()

    with pytest.raises(ValueError, match="visible ASCII"):
        submit(server, "sync", key)

    assert server.requests == []


def test_a_submit_is_not_sent_for_ever() -> None:
    server = answering(*[broken] * 9)

    with pytest.raises(ConnectionFailed):
        submit(server, "sync")

    assert len(server.requests) == 4
    assert server.time.slept == [0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: problem(503, Retry_After="60"), Unavailable),  # longer than anybody waits for a submit
        (lambda: problem(429, Retry_After="1"), TooManyRequests),  # it may be long until there is room
    ],
)
def test_what_takes_longer_is_left_to_who_submits(
    answer: Callable[[], httpx.Response], error: type[Exception]
) -> None:
    server = answering(answer, reply(task(), 201))

    with pytest.raises(error):
        submit(server, "sync")

    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_sessions_are_forked_exported_and_imported(kind: str) -> None:
    document = b'{"format": "alex-session"}'
    server = answering(reply(SESSION, 201), lambda: httpx.Response(200, content=document), reply(SESSION, 201))

    if kind == "sync":
        client = server.client()
        forked = client.fork("demo", new_session_id="copy", metadata={"a": "b"})
        exported = client.export_session("demo")
        imported = client.import_session(exported)
    else:
        forked, exported, imported = asyncio.run(copies(server))

    assert (forked.id, forked.forked_from, forked.messages[0].content) == ("copy", "demo", "Say hello")
    assert (exported, imported.id) == (document, "copy")
    assert [(request.method, request.url.path) for request in server.requests] == [
        ("POST", "/api/sessions/demo/fork"),
        ("GET", "/api/sessions/demo/export"),
        ("POST", "/api/import"),
    ]
    assert json.loads(server.requests[0].content) == {"session_id": "copy", "metadata": {"a": "b"}}
    assert server.requests[2].content == document
    assert server.requests[2].headers["Content-Type"] == "application/json"


async def copies(server: ScriptedServer) -> tuple[SessionDetail, bytes, SessionDetail]:
    client = server.async_client()
    forked = await client.fork("demo", new_session_id="copy", metadata={"a": "b"})
    exported = await client.export_session("demo")
    return forked, exported, await client.import_session(exported)
