"""A document as an export gives it, for tests to change."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
import pytest

from alex_actors.copies import BroughtSession
from alex_actors.events import AnyEvent
from alex_actors.values import Timestamp, moment
from alex_http.errors import BadFields, BadRequest
from alex_http.imports import read_document
from tests.unit.recorded_data import CREATED, WHOLE, WORK, at

Json: TypeAlias = dict[str, Any]  # Any: JSON

NOW: datetime = moment(Timestamp("2026-11-22T13:00:00.000000Z"))


def event(event_id: int, task_id: str, second: int, body: AnyEvent) -> Json:
    """Return an event of a task of the session."""
    head = {
        "event_id": event_id,
        "task_id": task_id,
        "session_id": "home",
        "parent_task_id": None,
        "timestamp": at(second),
        "agent_level": "core",
    }
    own: Json = json.loads(msgspec.json.encode(body))
    return head | own


def task(task_id: str, second: int, **changes: object) -> Json:
    """Return a task that runs, and has made one turn."""
    return {
        "task_id": task_id, "session_id": "home", "status": "running", "task": CREATED.task,
        "agent_preset": "default", "tool_preset": "safe", "model": "offline", "parent_task_id": None,
        "created_at": at(second), "started_at": at(second + 1), "completed_at": None, "current_iteration": 1,
        "total_iterations": 0, "tokens_used": 7, "total_tokens": 0, "cost_usd": 0.0, "error": None,
        "termination_reason": None, "result": None, "multitask_strategy": "enqueue", "timeout_seconds": None,
        "max_iterations": 50, "metadata": {"a": "b"},
    } | changes  # fmt: skip


def document() -> Json:
    """Return a session with a completed task and one that runs, and two messages from before."""
    result = {
        "answer": "4",
        "iterations": 1,
        "tokens_used": 7,
        "stop_reason": "final_answer",
        "session_id": "home",
    }
    done = task(
        "task-a", 0, status="completed", completed_at=at(4), total_iterations=1, total_tokens=7,
        termination_reason="completed", result=result,
    )  # fmt: skip
    running: tuple[AnyEvent, ...] = (CREATED, *WORK)
    events = [event(10 + n, "task-a", n, body) for n, body in enumerate(WHOLE)]
    events += [event(20 + n, "task-b", 20 + n, body) for n, body in enumerate(running)]
    return {
        "format": "alex-session",
        "version": 1,
        "exported_at": at(30),
        "session": {
            "id": "home", "created_at": at(0), "updated_at": at(20), "forked_from": "other", "metadata": {"k": "v"}
        },
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        "tasks": [done, task("task-b", 20)],
        "events": events,
    }  # fmt: skip


def changed(path: str, value: object) -> Json:
    """Return the document with another value at a path such as ``tasks.0.status``; DELETED: with none."""
    made = document()
    *parents, last = [int(name) if name.isdecimal() else name for name in path.split(".")]
    target: Any = made  # Any: JSON
    for name in parents:
        target = target[name]
    if value is DELETED:
        del target[last]
    else:
        target[last] = value
    return made


DELETED = object()


def read(made: Json) -> BroughtSession:
    """Return what a document brings."""
    return read_document(json.dumps(made).encode(), NOW)


def refused(data: bytes) -> BadRequest:
    """Return why a document is refused."""
    with pytest.raises(BadRequest) as caught:
        read_document(data, NOW)
    return caught.value


def faults(made: Json) -> dict[str, str]:
    """Return what is said of a document that is refused, by field."""
    problem = refused(json.dumps(made).encode())
    assert isinstance(problem, BadFields), problem.detail
    return {error.field: error.reason for error in problem.errors}
