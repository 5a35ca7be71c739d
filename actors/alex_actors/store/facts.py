"""What the log says of events that are recorded: the facts of tasks."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Literal, TypeAlias

from alex_actors.events import (
    EVENT_TYPES,
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    ErrorRaised,
    IterationStart,
    RecordedEvent,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskResumed,
    TaskStarted,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    Usage,
    read_back,
)
from alex_actors.text import shortened
from alex_actors.values import Value, milliseconds_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alex_actors.store.reader import StoreReader
    from alex_actors.tasks import Task
    from alex_actors.values import Owner, TaskId, Timestamp

Field: TypeAlias = str | int | float | bool | None

NAMES: Mapping[type[AnyEvent], str] = {
    TaskCreated: "task.created",
    TaskStarted: "task.started",
    ThinkComplete: "model.replied",
    ErrorRaised: "model.failed",
    ApprovalRequested: "approval.requested",
    ApprovalResolved: "approval.resolved",
    ToolCallComplete: "tool.ended",
    TaskCompleted: "task.ended",
    TaskFailed: "task.ended",
    TaskCancelled: "task.ended",
}
"""The fact that an event is; the log says nothing of others, nor of errors that are none of a model."""

ATTEMPT_FAILED = "model.attempt_failed"
"""In place of ``model.failed``, if the model is asked again."""

TOLD = frozenset(EVENT_TYPES[kind] for kind in NAMES)
"""The types of events that the log has a fact of."""

LONGEST_NAME = 100
"""Characters of a name that a model or an agent gave: of a tool, of a call."""

LONGEST_ERROR = 500
"""Characters of what went wrong with a model: the event has all of it."""

_ASKED = EVENT_TYPES[Thinking]
_ASKED_NO_MORE = frozenset(EVENT_TYPES[kind] for kind in (ThinkComplete, IterationStart, TaskResumed))
"""After the last, a model is asked again of which nobody knows when it was to be asked first."""


class Fact(Value, frozen=True):
    """A line for the log, once the transaction is committed."""

    name: str
    fields: dict[str, Field]
    level: Literal["info", "warning"] = "info"


def asked_since(before: Timestamp | None, event_type: str, at: Timestamp) -> Timestamp | None:
    """Return since when a task's model is asked, after an event: its last ``thinking``; None if nobody knows.

    ``before``: what it was before the event.
    """
    if event_type == _ASKED:
        return at
    return None if event_type in _ASKED_NO_MORE else before


def fact_of(
    recorded: RecordedEvent, event: AnyEvent, *, trace_id: str, model: str, asked: Timestamp | None = None
) -> Fact | None:
    """Return the fact that a recorded event is, with the trace ID and the model of its task; None if it is none.

    No text of a task, a model, a tool or a person is in it: names, numbers, and whether it went well; but for what
    went wrong with a model, which nothing else would say. What takes time has the moment in which it was over,
    ``at``, since lines are logged after a commit. ``asked``: see ``asked_since``.
    """
    name = NAMES.get(type(event))
    if name is None:
        return None
    ids: dict[str, Field] = {
        "task_id": recorded.task_id, "session_id": recorded.session_id, "trace_id": trace_id,
        "event_id": recorded.event_id,
    }  # fmt: skip
    if isinstance(event, ErrorRaised):
        if event.phase != "think":
            return None
        if event.recoverable:  # how long an attempt took is not known: only when the first of them began
            return Fact(ATTEMPT_FAILED, {**ids, **_trouble(recorded, event, model, None)})
        return Fact(name, {**ids, **_trouble(recorded, event, model, asked)}, "warning")
    return Fact(name, {**ids, **_more(recorded, event, model)})


def facts_on_record(events: Iterable[RecordedEvent], reader: StoreReader) -> list[Fact]:
    """Return the facts that recorded events are, in their order, less those of tasks that are deleted.

    Raises SQLAlchemyError if the tasks cannot be read.
    """
    facts: list[Fact] = []
    tasks: dict[tuple[TaskId, Owner], Task | None] = {}
    asked: dict[tuple[TaskId, Owner], Timestamp | None] = {}
    for recorded in events:
        name = recorded.task_id, recorded.owner
        since = asked[name] = asked_since(asked.get(name), recorded.event_type, recorded.timestamp)
        if recorded.event_type not in TOLD:
            continue
        if name not in tasks:
            tasks[name] = reader.task(recorded.task_id, owner=recorded.owner)
        task = tasks[name]
        if task is not None:
            event = read_back(recorded.body)
            fact = fact_of(recorded, event, trace_id=task.trace_id, model=task.model, asked=since)
            facts += [] if fact is None else [fact]
    return facts


def _more(recorded: RecordedEvent, event: AnyEvent, model: str) -> dict[str, Field]:
    match event:
        case TaskCreated() if recorded.parent_task_id is not None:
            return {"parent_task_id": recorded.parent_task_id}
        case ThinkComplete():
            return {**_reply(event, model), "at": recorded.timestamp}
        case ToolCallComplete():
            return {
                "tool": shortened(event.tool_name, LONGEST_NAME),
                "call_id": shortened(event.call_id, LONGEST_NAME),
                "duration": round(event.duration, 3),
                "error": event.error is not None,
                "at": recorded.timestamp,
            }
        case ApprovalRequested():
            tool, call_id = shortened(event.tool_name, LONGEST_NAME), shortened(event.call_id, LONGEST_NAME)
            return {"iteration": event.iteration, "tool": tool, "call_id": call_id}
        case ApprovalResolved():
            return {"call_id": shortened(event.call_id, LONGEST_NAME), "approved": event.approved}
        case TaskCompleted() | TaskFailed() | TaskCancelled():
            return {"status": event.status, "reason": event.termination_reason}
        case _:
            return {}


def _reply(event: ThinkComplete, model: str) -> dict[str, Field]:
    """What a call of a model took, as far as that is known."""
    fields: dict[str, Field] = {"iteration": event.iteration, "model": model}
    # An agent of somebody's own may have measured what is no number; on record it is null.
    if event.duration is not None and isfinite(event.duration):
        fields["duration"] = round(event.duration, 3)
    return fields | _used(event.usage)


def _trouble(recorded: RecordedEvent, event: ErrorRaised, model: str, asked: Timestamp | None) -> dict[str, Field]:
    """What went wrong with a model, and what that took, as far as it is known."""
    fields: dict[str, Field] = {"iteration": event.iteration, "model": model}
    if asked is not None:
        fields["duration"] = round(milliseconds_between(asked, recorded.timestamp), 3)
    error = shortened(event.error, LONGEST_ERROR)
    return {**fields, **_used(event.usage), "error": error, "at": recorded.timestamp}


def _used(usage: Usage | None) -> dict[str, Field]:
    """The tokens of a call of a model and its price, if somebody counted them."""
    if usage is None:
        return {}
    tokens: dict[str, Field] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return tokens if usage.cost_usd is None else {**tokens, "cost_usd": usage.cost_usd}
