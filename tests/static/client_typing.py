"""The types of the client, as tested API: mypy checks this file, and nothing runs it.

Each deliberate error carries the code of the error that a type checker must report. If one is reported no
more, its ``type: ignore`` is unused, and that is an error (``warn_unused_ignores``, part of ``--strict``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, assert_type

import httpx

from alex_http.client import (
    AsyncClient,
    AsyncEventStream,
    Client,
    Event,
    EventPage,
    EventStream,
    Health,
    Session,
    SessionDetail,
    SessionPage,
    Task,
    TaskPage,
)


def blocking() -> None:
    with Client("http://127.0.0.1:8080", token="secret", timeout=5, http=httpx.Client()) as alex:
        task = assert_type(alex.submit("Say hello", strategy="parallel", metadata={"a": "b"}), Task)
        assert_type(task.status, Literal["pending", "running", "completed", "failed", "cancelled"])
        assert_type(task.created_at, datetime)
        assert_type(task.answer, str | None)
        assert_type(alex.task("a"), Task)
        assert_type(alex.tasks(limit=5, status="running"), TaskPage)
        assert_type(alex.wait("a", timeout=1), Task)
        assert_type(alex.recorded_events("a", after=1), EventPage)
        assert_type(alex.make_session(metadata={}), Session)
        assert_type(alex.submit("Say hello", idempotency_key="order-17"), Task)
        assert_type(alex.session("a"), SessionDetail)
        assert_type(alex.fork("a", new_session_id="b", metadata={}), SessionDetail)
        assert_type(alex.import_session(assert_type(alex.export_session("a"), bytes)), SessionDetail)
        assert_type(alex.sessions(), SessionPage)
        assert_type(alex.health(), Health)
        for event in assert_type(alex.events(task_id="a", after=1), EventStream):
            assert_type(event, Event)
            assert_type(event.data, dict[str, Any])  # Any: JSON
        with alex.events(session_id="a") as events:
            assert_type(next(events), Event)


async def asynchronous() -> None:
    async with AsyncClient() as alex:
        assert_type(await alex.submit("Say hello"), Task)
        assert_type(await alex.wait("a"), Task)
        assert_type(await alex.tasks(), TaskPage)
        assert_type(await alex.session("a"), SessionDetail)
        assert_type(await alex.fork("a"), SessionDetail)
        assert_type(await alex.import_session(assert_type(await alex.export_session("a"), bytes)), SessionDetail)
        async for event in assert_type(alex.events(task_id="a"), AsyncEventStream):
            assert_type(event, Event)
        async with alex.events(session_id="a") as events:
            assert_type(await anext(events), Event)


def wrongly(alex: Client, task: Task) -> None:
    alex.submit("a", strategy="sometimes")  # type: ignore[arg-type] # no such strategy
    alex.submit("a", "demo")  # type: ignore[call-arg] # options have names
    alex.submit("a", metadata={"a": 1})  # type: ignore[dict-item] # of strings alone
    alex.submit("a", sesion_id="demo")  # type: ignore[call-arg] # a slip of the pen
    alex.tasks(status="done")  # type: ignore[arg-type] # no such status
    alex.events()  # type: ignore[call-overload] # of what?
    alex.events(task_id="a", session_id="b")  # type: ignore[call-overload] # of one of them
    Client(http=httpx.AsyncClient())  # type: ignore[arg-type] # that is for the other client
    task.status = "completed"  # type: ignore[misc] # a value, not a handle
    with alex.events(task_id="a") as events:
        assert_type(list(events), list[Event])


def aborts(alex: Client) -> None:
    alex.cancel("a")
    alex.delete_session("a")
