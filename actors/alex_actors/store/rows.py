"""Between rows and records: the one place that knows both the columns and the types."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from alex_actors.events import RecordedEvent
from alex_actors.tasks import Result, Session, Task
from alex_actors.values import SessionId, TaskId, Timestamp

TaskRow = dict[str, Any]  # Any: column values

_encoder = msgspec.json.Encoder()


def row_of_task(task: Task, *, owner: str) -> TaskRow:
    """Return the row that records a task that was just created."""
    row = msgspec.structs.asdict(task)
    del row["session_id"], row["result"]
    return row | {"owner": owner, "answer": None, "stop_reason": None}


def task_of_row(row: Row[*tuple[Any, ...]]) -> Task:  # Any: column values
    """Read a task. The row has all columns of ``tasks`` and the session's ``session_id``."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    answer, stop_reason = values.pop("answer"), values.pop("stop_reason")
    del values["owner"]
    result = None
    if values["status"] == "completed":
        result = Result(
            answer=answer,
            iterations=values["total_iterations"],
            tokens_used=values["total_tokens"],
            stop_reason=stop_reason,
        )
    return Task(**values, result=result)


def session_of_row(row: Row[*tuple[Any, ...]]) -> Session:  # Any: column values
    """Read a session. The row has the fields of Session by name."""
    return Session(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


class Header(msgspec.Struct, frozen=True):
    """What every event starts with, beside its type."""

    event_id: int
    task_id: TaskId
    session_id: SessionId
    parent_task_id: TaskId | None
    timestamp: Timestamp
    agent_level: str


def recorded_event(
    *,
    event_id: int,
    event_type: str,
    task_id: TaskId,
    session_id: SessionId,
    parent_task_id: TaskId | None,
    timestamp: Timestamp,
    body: bytes,
) -> RecordedEvent:
    """Put an event together for its readers: the header and the body as one JSON object."""
    header = Header(
        event_id=event_id,
        task_id=task_id,
        session_id=session_id,
        parent_task_id=parent_task_id,
        timestamp=timestamp,
        agent_level="core" if parent_task_id is None else "subagent",
    )
    # Both are JSON objects with at least one member, so that joining them is joining their text.
    data = msgspec.Raw(_encoder.encode(header)[:-1] + b"," + body[1:])
    return RecordedEvent(event_id, event_type, task_id, session_id, data)
