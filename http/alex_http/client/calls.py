"""What each call of the client sends, what it makes of the replies, and when it tries again. No input or output.

A call is a generator: it yields a Request, is sent the Reply, or is thrown a ConnectionFailed, and returns its
result. A client that blocks and one that does not drive the same generators (*sans I/O*:
https://sans-io.readthedocs.io).

What only reads is repeated when the connection fails, or the server is not ready. So is a submit: its idempotency
key tells the server that it is the same one, so that no second task is started. What else changes something is
sent once: after a connection that broke nobody knows whether the server got it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from math import inf
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from alex_http.client.errors import (
    TEMPORARY,
    AlexError,
    ConnectionFailed,
    CopyRefused,
    NothingWaits,
    SessionIsBusy,
    TaskHasEnded,
    Unavailable,
    UnknownSession,
    UnknownTask,
    WaitTimedOut,
)
from alex_http.client.following import Following
from alex_http.client.patience import FIRST_PAUSE, Patience
from alex_http.client.request_reply import Refusals, Reply, Request, bad_reply, check, read
from alex_http.client.values import (
    UNREADABLE,
    ApprovalPage,
    Event,
    EventPage,
    Health,
    Session,
    SessionDetail,
    SessionPage,
    Status,
    Strategy,
    Task,
    TaskPage,
    read_event,
)

ATTEMPTS = 4
"""How often a read or a submit is sent at most."""
FIRST_READ_PAUSE, LONGEST_READ_PAUSE = 0.2, 2.0
"""Seconds before it is sent again: somebody waits for it, and a server may ask for minutes (``Retry-After``)."""
LONGEST_POLL = 30.0
"""Seconds that one reply is waited for. The server takes 60; proxies tend to cut what is silent for as long."""
GRACE = 1.0
"""Seconds by which `wait` may overrun its timeout: a reply that is on its way is read."""

T = TypeVar("T")
Call: TypeAlias = Generator[Request, Reply, T]

_TASK = Refusals(not_found=UnknownTask, conflict=TaskHasEnded)
_APPROVAL = Refusals(not_found=UnknownTask, conflict=NothingWaits)
_OTHER = Refusals()
_SESSION = Refusals(not_found=UnknownSession, conflict=SessionIsBusy)
_COPY = Refusals(not_found=UnknownSession, conflict=CopyRefused)

_KEY = re.compile(r"[!-~]{1,255}")


class _Submit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a submit."""

    task: str
    session_id: str | None = None
    agent_preset: str | None = None
    tool_preset: str | None = None
    multitask_strategy: Strategy | None = None
    timeout_seconds: float | None = None
    max_iterations: int | None = None
    model: str | None = None
    metadata: Mapping[str, str] | None = None


class _Decide(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an approval."""

    approved: bool
    reason: str | None = None
    arguments: Mapping[str, Any] | None = None  # Any: JSON


class _MakeSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a call that makes a session, new or as a fork."""

    session_id: str | None = None
    metadata: Mapping[str, str] | None = None


class _RawEventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events as it comes."""

    events: list[msgspec.Raw]
    last_event_id: int


class Calls:
    """The calls of one client. ``timeout`` and ``give_up_after`` in seconds."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        new_key: Callable[[], str],
        timeout: float,
        give_up_after: float | None,
    ) -> None:
        self._monotonic = monotonic
        self._random = random
        self._new_key = new_key
        self._timeout = timeout
        self._give_up_after = give_up_after

    def submit(
        self,
        task: str,
        *,
        session_id: str | None,
        agent_preset: str | None,
        tool_preset: str | None,
        strategy: Strategy | None,
        timeout_seconds: float | None,
        max_iterations: int | None,
        model: str | None,
        metadata: Mapping[str, str] | None,
        idempotency_key: str | None,
    ) -> Call[Task]:
        """Submit a task, under a key of its own if none is given. Raises ValueError for a key that is none."""
        key = self._new_key() if idempotency_key is None else idempotency_key
        if not _KEY.fullmatch(key):
            raise ValueError(f"idempotency_key has 1 to 255 visible ASCII characters; it was {key!r}.")
        body = _Submit(
            task=task,
            session_id=session_id,
            agent_preset=agent_preset,
            tool_preset=tool_preset,
            multitask_strategy=strategy,
            timeout_seconds=timeout_seconds,
            max_iterations=max_iterations,
            model=model,
            metadata=metadata,
        )
        request = _post("/api/tasks", body)
        request = replace(request, headers={**request.headers, "Idempotency-Key": key})
        reply = yield from self._until_answered(request, _SESSION)
        return read(reply, Task, _SESSION)

    def task(self, task_id: str) -> Call[Task]:
        """Read a task."""
        reply = yield from self._get(_task(task_id), refusals=_TASK)
        return read(reply, Task, _TASK)

    def tasks(self, limit: int, offset: int, session_id: str | None, status: Status | None) -> Call[TaskPage]:
        """List tasks."""
        wanted = {"session_id": session_id, "status": status}
        query = {name: value for name, value in wanted.items() if value is not None}
        reply = yield from self._get("/api/tasks", {"limit": limit, "offset": offset, **query})
        return read(reply, TaskPage, _OTHER)

    def wait(self, task_id: str, timeout: float | None) -> Call[Task]:
        """Wait until a task has ended. Goes on when the server is away, restarts or answers too early."""
        patience = self._patience()
        deadline = inf if timeout is None else self._monotonic() + timeout
        seen: Task | None = None
        pause = 0.0
        while True:
            asked = self._monotonic() + pause
            poll = max(0.0, min(LONGEST_POLL, deadline - asked))
            reason: AlexError | None = None
            try:
                seen = yield from self._poll(task_id, poll, deadline - asked, pause)
            except TEMPORARY as error:
                reason = error
                pause = patience.pause(error)
            else:
                if seen.has_ended:
                    return seen
                patience.reached()
                # A server that stops answers at once. Asking it again at once would be a loop without a pause.
                pause = FIRST_PAUSE if self._monotonic() - asked < poll / 2 else 0.0
            left = deadline - self._monotonic()
            if timeout is not None and left <= 0:
                raise WaitTimedOut(task_id, timeout, seen) from reason
            pause = min(pause, left)

    def _poll(self, task_id: str, poll: float, left: float, pause: float) -> Call[Task]:
        reply = yield Request(
            method="GET",
            path=_task(task_id),
            query={"wait": f"{poll:.3f}"},
            read_timeout=min(poll + self._timeout, max(left, 0.0) + GRACE),
            pause=pause,
        )
        return read(reply, Task, _TASK)

    def cancel(self, task_id: str) -> Call[None]:
        """Cancel a task."""
        reply = yield Request(method="POST", path=f"{_task(task_id)}/cancel")
        check(reply, _TASK)

    def approvals(self, limit: int, cursor: str | None, session_id: str | None) -> Call[ApprovalPage]:
        """List the tool calls that wait."""
        wanted = {"cursor": cursor, "session_id": session_id}
        query = {name: value for name, value in wanted.items() if value is not None}
        reply = yield from self._get("/api/approvals", {"limit": limit, **query})
        return read(reply, ApprovalPage, _OTHER)

    def decide(
        self,
        task_id: str,
        call_id: str,
        *,
        approved: bool,
        reason: str | None,
        arguments: Mapping[str, Any] | None = None,  # Any: JSON
    ) -> Call[Task]:
        """Approve or deny a tool call."""
        body = _Decide(approved=approved, reason=reason, arguments=arguments)
        reply = yield _post(f"{_task(task_id)}/approvals/{quote(call_id, safe='')}", body)
        return read(reply, Task, _APPROVAL)

    def recorded_events(self, task_id: str, after: int, limit: int) -> Call[EventPage]:
        """Read a page of a task's events."""
        reply = yield from self._get(f"{_task(task_id)}/events", {"after": after, "limit": limit}, refusals=_TASK)
        page = read(reply, _RawEventPage, _TASK)
        return EventPage(events=[_event(raw, reply) for raw in page.events], last_event_id=page.last_event_id)

    def make_session(self, session_id: str | None, metadata: Mapping[str, str] | None) -> Call[Session]:
        """Make a session, unless it exists."""
        reply = yield _post("/api/sessions", _MakeSession(session_id=session_id, metadata=metadata))
        return read(reply, Session, _SESSION)

    def session(self, session_id: str) -> Call[SessionDetail]:
        """Read a session."""
        reply = yield from self._get(_session(session_id), refusals=_SESSION)
        return read(reply, SessionDetail, _SESSION)

    def sessions(self, limit: int, offset: int) -> Call[SessionPage]:
        """List sessions."""
        reply = yield from self._get("/api/sessions", {"limit": limit, "offset": offset})
        return read(reply, SessionPage, _OTHER)

    def delete_session(self, session_id: str) -> Call[None]:
        """Delete a session."""
        reply = yield Request(method="DELETE", path=_session(session_id))
        check(reply, _SESSION)

    def fork(
        self, session_id: str, new_session_id: str | None, metadata: Mapping[str, str] | None
    ) -> Call[SessionDetail]:
        """Copy a session."""
        body = _MakeSession(session_id=new_session_id, metadata=metadata)
        reply = yield _post(f"{_session(session_id)}/fork", body)
        return read(reply, SessionDetail, _COPY)

    def export_session(self, session_id: str) -> Call[bytes]:
        """Read all of a session, as one document."""
        reply = yield from self._get(f"{_session(session_id)}/export", refusals=_COPY)
        return reply.body

    def import_session(self, document: bytes) -> Call[SessionDetail]:
        """Make the session that was exported."""
        headers = {"Content-Type": "application/json"}
        reply = yield Request(method="POST", path="/api/import", headers=headers, body=document)
        return read(reply, SessionDetail, _COPY)

    def health(self) -> Call[Health]:
        """Read the server's health. That it is bad is no error: 503 has the same body."""
        reply = yield Request(method="GET", path="/health")
        if reply.status == 503 and reply.headers.get("content-type", "").startswith("application/json"):
            reply = replace(reply, status=200)
        return read(reply, Health, _OTHER)

    def events(self, *, task_id: str | None, session_id: str | None, after: int) -> Following:
        """Follow a task or a session. Raises ValueError unless it is one of them."""
        if (task_id is None) == (session_id is None):
            raise ValueError("events() follows either a task or a session: give it task_id or session_id.")
        if after < 0:
            raise ValueError(f"after is the id of an event, or 0; it was {after}.")
        path, refusals = (_task(task_id), _TASK) if task_id is not None else (_session(session_id or ""), _SESSION)
        return Following(
            path=f"{path}/events", refusals=refusals, task_id=task_id, after=after, patience=self._patience()
        )

    def _patience(self) -> Patience:
        return Patience(monotonic=self._monotonic, random=self._random, give_up_after=self._give_up_after)

    def _get(
        self, path: str, query: Mapping[str, str | int] | None = None, *, refusals: Refusals = _OTHER
    ) -> Call[Reply]:
        """Read, a few times if need be."""
        request = Request(method="GET", path=path, query=query or {}, headers={"Accept": "application/json"})
        return (yield from self._until_answered(request, refusals))

    def _until_answered(self, request: Request, refusals: Refusals) -> Call[Reply]:
        """Send what may be sent again, a few times if need be. Raises what went wrong the last time."""
        patience = Patience(
            monotonic=self._monotonic, random=self._random, give_up_after=None, first_pause=FIRST_READ_PAUSE
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                reply = yield request
                check(reply, refusals)
            except (ConnectionFailed, Unavailable) as error:
                pause = patience.pause(error)
                if attempt == ATTEMPTS or pause > LONGEST_READ_PAUSE:
                    raise
                request = replace(request, pause=pause)
            else:
                break
        return reply


def _task(task_id: str) -> str:
    return f"/api/tasks/{quote(task_id, safe='')}"


def _session(session_id: str) -> str:
    return f"/api/sessions/{quote(session_id, safe='')}"


def _post(path: str, body: msgspec.Struct) -> Request:
    headers = {"Content-Type": "application/json"}
    return Request(method="POST", path=path, headers=headers, body=msgspec.json.encode(body))


def _event(raw: msgspec.Raw, reply: Reply) -> Event:
    try:
        event = read_event(raw)
    except UNREADABLE as error:
        raise bad_reply(reply, str(error)) from error
    if event is None:
        raise bad_reply(reply, "an event has no event_id")
    return event
