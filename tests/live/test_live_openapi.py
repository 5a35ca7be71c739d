"""Real replies against the OpenAPI document that the server serves; its examples, sent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from alex_actors.clock import SystemClock
from alex_actors.data_directory import tokens_file
from alex_actors.values import Owner
from alex_http.openapi import examples
from alex_http.pages import is_page
from alex_http.tokens import Scope, TokenFile
from tests.live.client import JSON_EVENTS, Client
from tests.live.conftest import Start
from tests.live.openapi_contract import Contract
from tests.live.process import Json, until

STREAM = {"Accept": "text/event-stream"}
JSON = {"Content-Type": "application/json"}
KEY = {"Idempotency-Key": "described-1"}
NOWHERE = {"task_id": "task-0", "session_id": "nobody-s", "call_id": "call-0", "file": "none.js"}
APPROVAL = "/api/tasks/{task_id}/approvals/{call_id}"


class Asked:
    """Asks a server, and looks at each reply in the document."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.contract = Contract(client.http.get("/openapi.json").raise_for_status().json())

    def __call__(
        self, method: str, path: str, status: int | None, *, headers: Mapping[str, str] = {}, **more: Any
    ) -> httpx.Response:  # Any: arguments of httpx
        """Return the reply, which is to have this status, if any. Of a stream, its first frame is read."""
        with self.client.http.stream(method, path, headers=dict(headers), **more) as reply:
            streaming = reply.headers.get("content-type", "").startswith("text/event-stream")
            body = next(reply.iter_bytes()) if streaming else reply.read()
            self.contract.check(method, reply.url.path, reply.status_code, reply.headers, body)
        assert status in (None, reply.status_code), body
        return reply


@pytest.fixture(scope="module")
def asked(client: Client) -> Asked:
    return Asked(client)


def ended(asked: Asked, body: Json) -> Json:
    """Submit a task, wait for its end, and return it."""
    task = asked("POST", "/api/tasks", 201, json=body).json()
    found: Json = asked("GET", f"/api/tasks/{task['task_id']}?wait=30", 200).json()
    return found


def masked(part: Any) -> Any:  # Any: JSON
    """Return a reply without what differs from run to run: IDs, moments, lengths of time."""
    if isinstance(part, list):
        return [masked(item) for item in part]
    if isinstance(part, dict):
        return {key: "…" if key in ("event_id", "last_event_id") else masked(value) for key, value in part.items()}
    return re.sub(r"^(task-|session-|2[0-9]{3}-).*", r"\1…", part) if isinstance(part, str) else part


def test_every_call_is_answered_as_the_document_says(asked: Asked) -> None:
    task = ended(asked, {"task": "What is 2 + 2?", "session_id": "described"})
    path, last = f"/api/tasks/{task['task_id']}", 10**6
    asked("GET", "/api/tasks?limit=1000&offset=0&session_id=described&status=completed", 200)
    asked("GET", "/api/approvals?limit=1000&cursor=1&session_id=described", 200)
    asked("GET", f"{path}/events?after=0&limit=1000", 200, headers=JSON_EVENTS)
    asked("GET", f"{path}/events", 200, headers=STREAM)
    asked("GET", f"{path}/events", 204, headers=STREAM | {"Last-Event-ID": str(last)})
    asked("POST", f"{path}/cancel", 409)
    slow = asked("POST", "/api/tasks", 201, json={"task": "Count from 1 to 100", "session_id": "described"}).json()
    asked("POST", f"/api/tasks/{slow['task_id']}/cancel", 200, json={})
    for status in (201, 200):
        asked("POST", "/api/tasks", status, headers=KEY, json={"task": "Say hello", "session_id": "described"})
    asked("POST", "/api/tasks", 422, headers=KEY, json={"task": "Say hallo", "session_id": "described"})
    asked("POST", "/api/sessions", 201, json={"metadata": {"a": "b"}})
    asked("POST", "/api/sessions", 200, json={"session_id": "described"})
    asked("GET", "/api/sessions?limit=1000&offset=0", 200)
    asked("GET", "/api/sessions/described", 200)
    asked("GET", "/api/sessions/described/events?after=0", 200)
    asked("GET", "/api/sse?session_id=described", 200)
    asked("POST", "/api/sessions/described/fork", 201, json={"session_id": "described-2"})
    asked("POST", "/api/sessions/described/fork", 409, json={"session_id": "described-2"})
    exported = asked("GET", "/api/sessions/described/export", 200)
    asked("POST", "/api/import", 409, json=exported.json())
    asked("DELETE", "/api/sessions/described", 204)
    asked("POST", "/api/import", 201, json=exported.json())
    asked("DELETE", "/api/sessions/described", 204)
    asked("GET", "/health", 200)
    asked("GET", "/ready", 200)
    asked("GET", "/metrics", 200)
    asked("GET", "/metrics", 200, headers={"Accept": "application/openmetrics-text"})
    asked("GET", "/openapi.json", 200)
    for page in ("/", "/page/icon.svg", "/docs", "/docs/docs.js", "/favicon.ico"):
        etag = asked("GET", page, 200).headers["ETag"]
        asked("GET", page, 304, headers={"If-None-Match": etag})

    asked("POST", "/api/logout", 204)
    on_other_servers = {("/api/login", "post"), (APPROVAL, "post")}

    answered = {(path, method) for path, method, status in asked.contract.seen if status < "300"}

    assert answered | on_other_servers == asked.contract.operations()


def test_every_call_refuses_as_the_document_says(asked: Asked) -> None:
    for template, method in sorted(asked.contract.operations()):
        path = template.format(**NOWHERE)
        of_page = 404 if "{" in template else 200  # links to pages are decorated by who passes them on
        asked(method.upper(), f"{path}?nonsense=1", of_page if is_page(path) else 400)
        asked(method.upper(), path, 403, headers={"Host": "evil.example"})
        asked(method.upper(), path, 403, headers={"Origin": "http://evil.example"})
        asked(method.upper(), path, 431, headers={"X-Long": "x" * 300_000})
        if "{" in template:
            asked(method.upper(), path, 404, **({"json": examples.APPROVAL} if template == APPROVAL else {}))
        if template.endswith(("/events", "/sse")):
            asked(
                method.upper(), f"{path}{'?session_id=a' * ('sse' in path)}", 406, headers={"Accept": "text/html"}
            )
    for path in ("/api/tasks", "/api/sessions", "/api/import", "/api/sessions/nobody-s/fork"):
        asked("POST", path, 400, headers=JSON, content=b"[")
        asked("POST", path, 400, json={"session_id": "a/b", "nonsense": 1})
        asked("POST", path, 415, content=b"{}")
        if path != "/api/import":  # which takes more
            asked("POST", path, 413, headers=JSON, content=b"[" * (2**21 + 1))
    asked("POST", "/api/tasks/task-0/cancel", 400, json={"nonsense": 1})
    asked("POST", APPROVAL.format(**NOWHERE), 400, json={"approved": 1})
    asked("POST", APPROVAL.format(**NOWHERE), 415, content=b"{}")


@pytest.mark.parametrize("body", [examples.APPROVAL, examples.CHANGED_APPROVAL, examples.DENIAL])
def test_an_approval_is_answered_as_the_document_says(start: Start, body: Json) -> None:
    with Client(start(settings={"TOOLS__APPROVE": "calculator"}).url) as client:
        asked = Asked(client)
        created = asked("POST", "/api/tasks", 201, json=examples.SUBMIT).json()
        path = f"/api/tasks/{created['task_id']}"
        call_id = until(lambda: call_that_waits(client, created["task_id"]), "a call that waits")
        listed = asked("GET", f"/api/approvals?session_id={examples.SESSION_ID}", 200).json()

        decided = asked("POST", f"{path}/approvals/{call_id}", 200, json=body).json()
        asked("POST", f"{path}/approvals/{call_id}", 409, json=body)
        asked("GET", f"{path}?wait=30", 200)
        asked("GET", f"{path}/events?limit=1000", 200, headers=JSON_EVENTS)

    assert listed["approvals"][0].keys() == examples.APPROVALS["approvals"][0].keys()
    assert decided.keys() == examples.RUNNING.keys()
    assert decided["current_iteration"] >= 1


def call_that_waits(client: Client, task_id: str) -> str | None:
    """Return the call for which a task asks for approval, if it does."""
    asked = [event for event in client.events(task_id) if event["event_type"] == "approval_requested"]
    return asked[0]["call_id"] if asked else None


def test_what_is_busy_is_a_conflict_as_the_document_says(asked: Asked) -> None:
    body = {"task": "Count from 1 to 100", "session_id": "busy", "multitask_strategy": "reject"}
    task = asked("POST", "/api/tasks", 201, json=body).json()

    asked("POST", "/api/tasks", 409, json=body)

    asked("POST", f"/api/tasks/{task['task_id']}/cancel", 200)


def test_who_is_not_let_in_is_told_so_as_the_document_says(start: Start, tmp_path: Path) -> None:
    server = start()
    tokens = {scope: made_token(tmp_path, scope) for scope in get_args(Scope)}
    with Client(server.url) as client:
        client.http.headers.update(tokens["admin"])
        asked = Asked(client)

        for template, method in sorted(asked.contract.operations()):
            path, scope = template.format(**NOWHERE), asked.contract.scope(template, method)
            if scope is not None:
                asked(method.upper(), path, 401, headers={"Authorization": ""})
            if scope == "write":
                asked(method.upper(), path, 403, headers=tokens["read"])
            if scope is not None:
                asked(method.upper(), path, 403, headers=tokens["write"] | {"X-Alex-Owner": "somebody"})
        right = tokens["write"]["Authorization"].removeprefix("Bearer ")
        asked("POST", "/api/login", 204, json={"token": right})
        asked("GET", "/api/tasks", 403, headers={"Authorization": "Bearer wrong"})
        statuses = {asked("POST", "/api/login", None, json={"token": "wrong"}).status_code for _ in range(30)}

    assert statuses == {403, 429}


def made_token(directory: Path, scope: Scope) -> dict[str, str]:
    """Make a token, and return the header that it is sent in."""
    file = TokenFile(tokens_file(directory / "data"), now=SystemClock().now, random_hex=secrets.token_hex)
    text = file.create(name=scope, owner=Owner(scope), scope=scope)[1]
    return {"Authorization": f"Bearer {text}"}


def test_limits_are_told_as_the_document_says(start: Start) -> None:
    limits = {"LIMITS__MAX_UNFINISHED_TASKS": "1", "LIMITS__MAX_STREAMS": "1"}
    with Client(start(settings=limits).url) as client:
        asked = Asked(client)
        asked("POST", "/api/tasks", 201, json={"task": "Count from 1 to 100", "session_id": "full"})
        with client.http.stream("GET", "/api/sessions/full/events") as taken:
            pieces = taken.iter_bytes()  # kept: without it, httpx would close the stream
            next(pieces)

            asked("POST", "/api/tasks", 429, json={"task": "Say hello"})
            asked("GET", "/api/sessions/full/events", 503)


def test_the_examples_are_true(start: Start) -> None:
    with Client(start().url) as client:
        asked = Asked(client)
        made = asked("POST", "/api/sessions", 201, json=examples.SESSION_IN)
        created = asked("POST", "/api/tasks", 201, json=examples.SUBMIT).json()
        path = f"/api/tasks/{created['task_id']}"
        completed = asked("GET", f"{path}?wait=30", 200).json()
        events = asked("GET", f"{path}/events?limit=1", 200, headers=JSON_EVENTS)

        assert masked(made.json()) == masked(examples.MADE_SESSION)
        assert masked(created) == masked(examples.CREATED)
        assert masked(completed) == masked(examples.COMPLETED)
        assert masked(events.json()) == masked(examples.EVENTS)
        for path, example in {
            "/api/tasks": examples.TASKS,
            "/api/sessions": examples.SESSIONS,
            f"/api/sessions/{examples.SESSION_ID}": examples.SESSION_DETAIL,
            "/ready": examples.READY,
        }.items():
            assert masked(asked("GET", path, 200).json()) == masked(example)
        forked = asked("POST", f"/api/sessions/{examples.SESSION_ID}/fork", 201, json=examples.FORK)
        asked("POST", "/api/import", 201, json=examples.DOCUMENT)
        exported = asked("GET", f"/api/sessions/{examples.DOCUMENT['session']['id']}/export", 200)
        assert masked(forked.json()) == masked(examples.FORKED)
        assert masked(exported.json()) == masked(examples.DOCUMENT)
        long = asked("POST", "/api/tasks", 201, json=examples.LONG_SUBMIT).json()
        cancelled = asked("POST", f"/api/tasks/{long['task_id']}/cancel", 200)
        assert masked(cancelled.json()) == masked(examples.CANCELLED)
