"""A server for tests of the client, below httpx: it has one task, and does to each connection what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from alex_http.client import AsyncClient, Client, Event, Task

URL = "http://test"
TASK_ID, SESSION_ID = "task-1", "session-1"
CONNECTED = (
    b'retry: 1000\nevent: connected\ndata: {"task_id": "task-1", "session_id": "session-1", "after": 0}\n\n'
)
HEARTBEAT = b": heartbeat\n\n"
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
PROBLEM = {"Content-Type": "application/problem+json"}


class FakeTime:
    """Goes on when somebody sleeps, or holds a reply."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


def event(
    event_id: int, event_type: str = "thinking", task_id: str = TASK_ID, **data: Any
) -> dict[str, Any]:  # Any: JSON
    """Return an event of the task, as the server records it."""
    return {
        "event_id": event_id,
        "task_id": task_id,
        "session_id": SESSION_ID,
        "parent_task_id": None,
        "timestamp": "2026-11-22T13:10:55.354842Z",
        "agent_level": "core",
        "event_type": event_type,
        **data,
    }


def frame(recorded: dict[str, Any]) -> bytes:  # Any: JSON
    """Return the frame of an event."""
    data = json.dumps(recorded, ensure_ascii=False)
    return f"id: {recorded['event_id']}\nevent: {recorded['event_type']}\ndata: {data}\n\n".encode()


def task(**changes: Any) -> dict[str, Any]:  # Any: JSON
    """Return a task as JSON has it."""
    return {
        "task_id": TASK_ID,
        "session_id": SESSION_ID,
        "status": "running",
        "task": "Say hello",
        "agent_preset": "default",
        "tool_preset": "safe",
        "model": "offline",
        "parent_task_id": None,
        "created_at": "2026-11-22T13:10:55.354842Z",
        "started_at": "2026-11-22T13:10:55.371366Z",
        "completed_at": None,
        "current_iteration": 1,
        "total_iterations": 0,
        "tokens_used": 8,
        "total_tokens": 0,
        "cost_usd": 0.0,
        "error": None,
        "termination_reason": None,
        "result": None,
        "multitask_strategy": "enqueue",
        "timeout_seconds": None,
        "max_iterations": 50,
        "metadata": {},
    } | changes


ENDED = task(status="cancelled", termination_reason="cancelled", error="Cancelled by a client.")


def problem(status: int, detail: str = "No.", **headers: str) -> httpx.Response:
    """Return an error of the server."""
    body = {"type": "about:blank", "title": "A title", "status": status, "detail": detail}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=json.dumps(body), headers=PROBLEM | named)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in these pieces, and then breaks, or ends."""

    def __init__(self, pieces: Sequence[bytes], error: Callable[[], Exception] | None = None) -> None:
        self._pieces = pieces
        self._error = error
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._error is not None:
            raise self._error()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def broken() -> Exception:
    return httpx.ReadError("Connection reset by peer")


def silent() -> Exception:
    return httpx.ReadTimeout("timed out")


def refused() -> Exception:
    return httpx.ConnectError("[Errno 111] Connection refused")


@dataclass(frozen=True)
class Cut:
    """The stream breaks after so many bytes, or ends there, if ``error`` is None."""

    at: int
    error: Callable[[], Exception] | None = broken


@dataclass(frozen=True)
class Repeat:
    """A faulty server, or a proxy, sends so many of the events before the position again, and then ends."""

    back: int


Fault: TypeAlias = Cut | Repeat | Callable[[], Exception] | Callable[[], httpx.Response]


@dataclass
class ScriptedServer:
    """Serves the stream of these events; the first connections meet the faults, one each."""

    events: list[dict[str, Any]]  # Any: JSON
    faults: list[Fault] = field(default_factory=list)
    time: FakeTime = field(default_factory=FakeTime)
    requests: list[httpx.Request] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request for the stream."""
        self.requests.append(request)
        assert len(self.requests) < 200, "it would go on for ever"
        after = int(request.headers.get("Last-Event-ID", "0"))
        fault = self.faults.pop(0) if self.faults else Cut(1_000_000, None)
        match fault:
            case Cut(at=at, error=error):
                return self._stream(self.after(after), at, error)
            case Repeat(back=back):
                return self._stream(self.after(after - back), 1_000_000, None)
            case _:
                made = fault()
                if isinstance(made, Exception):
                    raise made
                return made

    def after(self, after: int) -> bytes:
        """Return the stream from a position: heartbeats between the events."""
        frames = [frame(recorded) + HEARTBEAT for recorded in self.events if recorded["event_id"] > after]
        return CONNECTED + b"".join(frames)

    def _stream(self, content: bytes, at: int, error: Callable[[], Exception] | None) -> httpx.Response:
        ended = not content.removeprefix(CONNECTED)
        if ended:
            return httpx.Response(204)
        self.bodies.append(Body([content[:at]], error))
        return httpx.Response(200, headers=STREAM, stream=self.bodies[-1])

    # Both clients, on it.

    def client(self, **options: Any) -> Client:  # Any: the client's own
        """Return a client that blocks, of this server."""
        http = httpx.Client(transport=httpx.MockTransport(self.handle))
        return Client(
            URL, http=http, sleep=self.time.sleep, monotonic=self.time.monotonic, chance=lambda: 0.5, **options
        )

    def async_client(self, **options: Any) -> AsyncClient:  # Any: the client's own
        """Return a client for asyncio, of this server."""
        http = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return AsyncClient(
            URL, http=http, sleep=self.time.asleep, monotonic=self.time.monotonic, chance=lambda: 0.5, **options
        )

    def follow(
        self, kind: str = "sync", *, after: int = 0, **options: Any
    ) -> list[Event]:  # Any: the client's own
        """Return what a client of this kind receives of the task, until its stream ends."""
        if kind == "sync":
            return list(self.client(**options).events(task_id=TASK_ID, after=after))

        async def collect() -> list[Event]:
            return [event async for event in self.async_client(**options).events(task_id=TASK_ID, after=after)]

        return asyncio.run(collect())

    def wait(self, kind: str = "sync", *, timeout: float | None = None, **options: Any) -> Task:  # Any: as above
        """Return the task when it has ended, as a client of this kind does."""
        if kind == "sync":
            return self.client(**options).wait(TASK_ID, timeout=timeout)
        return asyncio.run(self.async_client(**options).wait(TASK_ID, timeout=timeout))


def reply(body: Any, status: int = 200) -> Callable[[], httpx.Response]:  # Any: JSON
    """Return a way to answer with this."""
    return lambda: httpx.Response(status, json=body)


def answering(*replies: Fault) -> ScriptedServer:
    """Return a server that answers like this, in this order."""
    return ScriptedServer([], list(replies))
