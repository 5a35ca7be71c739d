"""Between rows and records: the one place that knows both the columns and the types."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from alex_actors.events import RecordedEvent
from alex_actors.store.schema import tasks
from alex_actors.tasks import Result, Session, Task
from alex_actors.values import SessionId, SessionName, Timestamp

_encode = msgspec.json.Encoder().encode
_task_columns = tasks.columns.keys()


def row_of_task(task: Task) -> tuple[object, ...]:
    """Return the row that records a task that was just created, in the order of the columns."""
    values = msgspec.structs.asdict(task)
    values.update(answer=None, stop_reason=None, metadata=_encode(task.metadata).decode())
    return tuple([values[column] for column in _task_columns])


def row_of_session(
    *,
    session_key: int,
    session: SessionName,
    at: Timestamp,
    metadata: dict[str, str],
    forked_from: SessionId | None = None,
) -> tuple[object, ...]:
    """Return the row that records a new session, in the order of the columns."""
    return (session_key, *session, at, at, forked_from, _encode(metadata).decode())


def row_of_event(event: RecordedEvent, *, place: int, session_key: int) -> tuple[object, ...]:
    """Return the row that records an event, in the order of the columns."""
    return (event.event_id, place, session_key, event.event_type, event.timestamp, event.body)


def task_of_row(row: Row[*tuple[Any, ...]]) -> Task:  # Any: column values
    """Read a task. The row has all columns of ``tasks`` and the session's ``session_id``."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    answer, stop_reason = values.pop("answer"), values.pop("stop_reason")
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
