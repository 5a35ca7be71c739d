"""A client of the HTTP contract: what a user's program does, and raw requests that no HTTP library sends."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tests.live.process import SOON, Json, until

JSON_EVENTS = {"Accept": "application/json"}
TERMINAL = ("task_completed", "task_failed", "task_cancelled")
UNFINISHED = ("pending", "running")


class Client:
    """Talks to one server; any number of threads may share it."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Not by a proxy of the environment, and as many connections as threads that ask.
        limits = httpx.Limits(max_connections=200)
        self.http = httpx.Client(base_url=url, timeout=SOON, trust_env=False, limits=limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    # Tasks.

    def try_submit(self, task: str, **fields: Any) -> httpx.Response:  # Any: JSON of the contract
        """Submit a task, and return the reply, whatever it is."""
        return self.http.post("/api/tasks", json={"task": task, **fields})

    def submit(self, task: str, **fields: Any) -> Json:  # Any: JSON of the contract
        """Submit a task, and return it as it was recorded."""
        return _json(self.try_submit(task, **fields), 201)

    def task(self, task_id: str) -> Json:
        """Return a task."""
        return _json(self.http.get(f"/api/tasks/{task_id}"), 200)

    def tasks(self, **query: str | int) -> Json:
        """Return a page of tasks."""
        return _json(self.http.get("/api/tasks", params=query), 200)

    def cancel(self, task_id: str) -> httpx.Response:
        """Cancel a task, and return the reply, whatever it is."""
        return self.http.post(f"/api/tasks/{task_id}/cancel")

    def events(self, task_id: str) -> list[Json]:
        """Return all events of a task that are recorded."""
        found: list[Json] = []
        after = 0
        while True:
            query = {"after": after, "limit": 1000}
            page = _json(self.http.get(f"/api/tasks/{task_id}/events", params=query, headers=JSON_EVENTS), 200)
            if not page["events"]:
                return found
            found += page["events"]
            after = page["last_event_id"]

    def session(self, session_id: str) -> Json:
        """Return a session."""
        return _json(self.http.get(f"/api/sessions/{session_id}"), 200)

    # Waiting.

    def ended(self, task_id: str) -> Json:
        """Wait until a task has ended, and return it."""
        return self.task_when(task_id, lambda task: task["status"] not in UNFINISHED)

    def answered(self, task: str, **fields: Any) -> Json:  # Any: JSON of the contract
        """Submit a task, wait until it is completed, and return it. Raises AssertionError if it ends otherwise."""
        ended = self.ended(self.submit(task, **fields)["task_id"])
        assert ended["status"] == "completed", ended["error"]
        return ended

    def running(self, task_id: str) -> Json:
        """Wait until a task runs, and return it; the first of its iterations has begun."""
        return self.task_when(task_id, lambda task: task["status"] == "running" and task["current_iteration"] > 0)

    def task_when(self, task_id: str, condition: Callable[[Json], bool]) -> Json:
        """Wait until a task is as ``condition`` says, and return it."""

        def look() -> Json | None:
            task = self.task(task_id)
            return task if condition(task) else None

        return until(look, f"the task {task_id} is as expected")

    # Below HTTP.

    def connect(self) -> socket.socket:
        """Open a connection."""
        address = urlsplit(self.url)
        return socket.create_connection((address.hostname or "", address.port or 0), timeout=SOON)

    def send_raw(self, request: bytes) -> RawReply:
        """Send bytes that may be no HTTP, and return the reply."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_reply(connection)


class RawReply:
    """A reply as it came: its status, headers and body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status_code = response.status
        self.headers = httpx.Headers(response.getheaders())
        self.content = response.read()

    def json(self) -> Any:  # Any: JSON
        """Return the body, decoded."""
        return httpx.Response(self.status_code, content=self.content).json()


def read_reply(connection: socket.socket, method: str = "GET") -> RawReply:
    """Read one reply to a request of this method."""
    response = http.client.HTTPResponse(connection, method=method)
    with response:
        response.begin()
        return RawReply(response)


def types(events: list[Json]) -> list[str]:
    """Return the types of events, in order."""
    return [event["event_type"] for event in events]


def _json(reply: httpx.Response, status: int) -> Json:
    assert reply.status_code == status, f"{reply.request.method} {reply.request.url}: {reply.text}"
    body: Json = reply.json()
    return body
