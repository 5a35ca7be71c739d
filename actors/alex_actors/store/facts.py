"""What the log says of events that are recorded: the facts of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from alex_actors.events import (
    EVENT_TYPES,
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    RecordedEvent,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskStarted,
    ThinkComplete,
    ToolCallComplete,
    read_back,
)
from alex_actors.text import shortened
from alex_actors.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alex_actors.store.reader import StoreReader
    from alex_actors.tasks import Task
    from alex_actors.values import Owner, TaskId

Field: TypeAlias = str | int | float | bool | None

NAMES: Mapping[type[AnyEvent], str] = {
    TaskCreated: "task.created",
    TaskStarted: "task.started",
    ThinkComplete: "model.replied",
    ApprovalRequested: "approval.requested",
    ApprovalResolved: "approval.resolved",
    ToolCallComplete: "tool.ended",
    TaskCompleted: "task.ended",
    TaskFailed: "task.ended",
    TaskCancelled: "task.ended",
}
"""The fact that an event is; the log says nothing of others."""

TOLD = frozenset(EVENT_TYPES[kind] for kind in NAMES)
"""The types of events that the log has a fact of."""

LONGEST_NAME = 100
"""Characters of a name that a model or an agent gave: of a tool, of a call."""


class Fact(Value, frozen=True):
    """A line for the log, once the transaction is committed."""

    name: str
    fields: dict[str, Field]


def fact_of(recorded: RecordedEvent, event: AnyEvent, *, trace_id: str, model: str) -> Fact | None:
    """Return the fact that a recorded event is, with the trace ID and the model of its task; None if it is none.

    No text of a task, a model, a tool or a person is in it: names, numbers, and whether it went well. What takes
    time has the moment in which it was over, ``at``, since lines are logged after a commit.
    """
    name = NAMES.get(type(event))
    if name is None:
        return None
    ids = {"task_id": recorded.task_id, "session_id": recorded.session_id, "trace_id": trace_id}
    return Fact(name, {**ids, "event_id": recorded.event_id, **_more(recorded, event, model)})


def facts_on_record(events: Iterable[RecordedEvent], reader: StoreReader) -> list[Fact]:
    """Return the facts that recorded events are, in their order, less those of tasks that are deleted.

    Raises SQLAlchemyError if the tasks cannot be read.
    """
    facts: list[Fact] = []
    tasks: dict[tuple[TaskId, Owner], Task | None] = {}
    for recorded in events:
        if recorded.event_type not in TOLD:
            continue
        name = recorded.task_id, recorded.owner
        if name not in tasks:
            tasks[name] = reader.task(recorded.task_id, owner=recorded.owner)
        task = tasks[name]
        if task is not None:
            fact = fact_of(recorded, read_back(recorded.body), trace_id=task.trace_id, model=task.model)
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
    if event.duration is not None:
        fields["duration"] = round(event.duration, 3)
    if event.usage is not None:
        fields["input_tokens"] = event.usage.input_tokens
        fields["output_tokens"] = event.usage.output_tokens
        if event.usage.cost_usd is not None:
            fields["cost_usd"] = event.usage.cost_usd
    return fields
