"""What bodies look like on the wire, and how the runtime's records become them.

These structs are the HTTP contract: their fields, in their order. They are separate from the records of
``alex_actors``, so that renaming something inside cannot break a client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alex_actors.events import RecordedEvent, StopReason, TerminationReason
from alex_actors.replies import Component, SessionDetail, WaitingCalls
from alex_actors.tasks import Session, Status, Strategy, Task

encode = msgspec.json.Encoder().encode
"""Encode any reply."""

ID_PATTERN = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
"""An ID that a client may choose. Match it to both ends: ``$`` would let a newline pass."""

# Requests. Each description completes "must be …" in an error.

SessionIdIn = Annotated[
    Annotated[str, Meta(pattern=rf"\A(?:{ID_PATTERN})?\Z")] | None,
    Meta(
        description="a string of at most 128 letters, digits, '.', '_' and '-' that does not begin with '.',"
        " or null for a new session",
    ),
]
MetadataIn = Annotated[
    Annotated[
        dict[
            Annotated[str, Meta(max_length=128)],
            Annotated[str, Meta(max_length=4096, description="a string of at most 4,096 characters")],
        ],
        Meta(max_length=16),
    ]
    | None,
    Meta(description="an object of at most 16 strings, with keys of at most 128 characters, or null"),
]


class SubmitIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a submit. Absent, null and (for names) ``""`` all mean the default."""

    task: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=100_000,
            pattern=r"\S",
            description="a string of 1 to 100,000 characters that are not all blank",
        ),
    ]
    session_id: SessionIdIn = None
    agent_preset: Annotated[str | None, Meta(description="the name of an agent preset, or null")] = None
    tool_preset: Annotated[str | None, Meta(description="the name of a tool preset, or null")] = None
    multitask_strategy: Annotated[
        Literal[Strategy, ""] | None,
        Meta(description="one of 'enqueue', 'reject', 'interrupt' and 'parallel', or null"),
    ] = None
    timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=604_800)] | None,
        Meta(description="a number above 0 and at most 604800, or null for no timeout"),
    ] = None
    max_iterations: Annotated[
        Annotated[int, Meta(ge=1, le=1000)] | None, Meta(description="an integer from 1 to 1000, or null")
    ] = None
    model: Annotated[str | None, Meta(description="the name of a model, or null")] = None
    metadata: MetadataIn = None


class ApprovalIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's word on a tool call. With ``arguments`` it is run with those instead of the model's."""

    approved: Annotated[bool, Meta(description="true or false")]
    reason: Annotated[
        Annotated[str, Meta(max_length=2000)] | None,
        Meta(description="a string of at most 2,000 characters, or null"),
    ] = None
    arguments: Annotated[
        dict[str, Any] | None,  # Any: JSON, of what the tool takes
        Meta(description="an object of at most 262,144 bytes, or null for those of the model"),
    ] = None


class SessionIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a call that makes a session."""

    session_id: SessionIdIn = None
    metadata: MetadataIn = None


class EmptyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a call that takes none: an empty object at most."""


# Replies.


class ResultOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a completed task came to."""

    answer: str
    iterations: int
    tokens_used: int
    stop_reason: StopReason
    session_id: str


class TaskOut(msgspec.Struct, frozen=True, kw_only=True):
    """A task. Every key is there in every state; money in US dollars, timestamps in RFC 3339, UTC."""

    task_id: str
    session_id: str
    status: Status
    task: str
    agent_preset: str
    tool_preset: str
    model: str
    parent_task_id: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    current_iteration: int
    total_iterations: int
    tokens_used: int
    total_tokens: int
    cost_usd: float
    error: str | None
    termination_reason: TerminationReason | None
    result: ResultOut | None
    multitask_strategy: Strategy
    timeout_seconds: float | None
    max_iterations: int
    metadata: dict[str, str]


class TasksOut(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tasks, newest first."""

    tasks: list[TaskOut]
    total: int
    limit: int
    offset: int


class ApprovalOut(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that waits for a person's word. ``expires_at``: when it counts as denied; null: never."""

    task_id: str
    session_id: str
    call_id: str
    iteration: int
    tool_name: str
    arguments: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
    requested_at: str
    expires_at: str | None


class ApprovalsOut(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tool calls that wait, oldest first. ``next_cursor`` is for the next page; null: there is none."""

    approvals: list[ApprovalOut]
    next_cursor: str | None


class CancelledOut(msgspec.Struct, frozen=True, kw_only=True):
    """The cancellation is recorded."""

    task_id: str
    status: Literal["cancelled"] = "cancelled"


class EventsOut(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a task's events, oldest first. ``last_event_id`` is where the next page goes on."""

    events: list[msgspec.Raw]
    last_event_id: int


class SessionOut(msgspec.Struct, frozen=True, kw_only=True):
    """A session in a list."""

    id: str
    created_at: str
    updated_at: str
    task_count: int
    last_task: str | None
    forked_from: str | None
    metadata: dict[str, str]


class SessionsOut(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sessions, last used first."""

    sessions: list[SessionOut]
    total: int
    limit: int
    offset: int


class MessageOut(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a session's conversation."""

    role: Literal["user", "assistant"]
    content: str


class SessionDetailOut(SessionOut, frozen=True, kw_only=True):
    """One session, with the conversation so far and its tasks, both in the order of the tasks."""

    messages: list[MessageOut]
    tasks: list[TaskOut]


class ComponentOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The health of one part; ``detail`` and ``figures`` where there is something to tell."""

    status: Literal["ok", "degraded", "down"]
    detail: str | None = None
    figures: dict[str, float | int] = msgspec.field(default_factory=dict)


class HealthOut(msgspec.Struct, frozen=True, kw_only=True):
    """The health of the server: ``error`` if a component is down. A degraded one still does its work."""

    status: Literal["ok", "error"]
    version: str
    components: dict[str, ComponentOut]


class ReadyOut(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks are accepted."""

    status: Literal["ready"] = "ready"


# From records to replies.


def task_out(task: Task) -> TaskOut:
    """Return a task as clients see it."""
    result = task.result
    return TaskOut(
        task_id=task.task_id,
        session_id=task.session_id,
        status=task.status,
        task=task.task,
        agent_preset=task.agent_preset,
        tool_preset=task.tool_preset,
        model=task.model,
        parent_task_id=task.parent_task_id,
        created_at=task.created_at,
        started_at=task.started_at,
        completed_at=task.completed_at,
        current_iteration=task.current_iteration,
        total_iterations=task.total_iterations,
        tokens_used=task.tokens_used,
        total_tokens=task.total_tokens,
        cost_usd=task.cost_usd,
        error=task.error,
        termination_reason=task.termination_reason,
        result=None
        if result is None
        else ResultOut(
            answer=result.answer,
            iterations=result.iterations,
            tokens_used=result.tokens_used,
            stop_reason=result.stop_reason,
            session_id=task.session_id,
        ),
        multitask_strategy=task.strategy,
        timeout_seconds=task.timeout_seconds,
        max_iterations=task.max_iterations,
        metadata=task.metadata,
    )


def approvals_out(page: WaitingCalls) -> ApprovalsOut:
    """Return a page of tool calls that wait."""
    return ApprovalsOut(
        approvals=[
            ApprovalOut(
                task_id=call.task_id,
                session_id=call.session_id,
                call_id=call.call_id,
                iteration=call.iteration,
                tool_name=call.tool_name,
                arguments=call.arguments,
                requested_at=call.requested_at,
                expires_at=call.expires_at,
            )
            for call in page.calls
        ],
        next_cursor=str(page.calls[-1].event_id) if page.goes_on else None,
    )


def session_out(session: Session) -> SessionOut:
    """Return a session as a list shows it."""
    return SessionOut(
        id=session.session_id,
        created_at=session.created_at,
        updated_at=session.updated_at,
        task_count=session.task_count,
        last_task=session.last_task,
        forked_from=session.forked_from,
        metadata=session.metadata,
    )


def session_detail_out(detail: SessionDetail) -> SessionDetailOut:
    """Return a session with its conversation and its tasks."""
    return SessionDetailOut(
        **msgspec.structs.asdict(session_out(detail.session)),
        messages=_conversation(detail),
        tasks=[task_out(task) for task in detail.tasks],
    )


def _conversation(detail: SessionDetail) -> list[MessageOut]:
    """Return what was said: what it has inherited, then each task, followed by its answer if it came to one.

    What a task told its sub-agents is none of it.
    """
    messages = [MessageOut(role=one.role, content=one.content) for one in detail.messages]
    for task in detail.tasks:
        if task.parent_task_id is not None:
            continue
        messages.append(MessageOut(role="user", content=task.task))
        if task.result is not None:
            messages.append(MessageOut(role="assistant", content=task.result.answer))
    return messages


def events_out(events: Sequence[RecordedEvent], after: int) -> EventsOut:
    """Return a page of events; an empty one goes on where it was asked for."""
    return EventsOut(
        events=[event.json() for event in events], last_event_id=events[-1].event_id if events else after
    )


def health_out(components: Mapping[str, Component], version: str) -> HealthOut:
    """Return the health of the whole."""
    down = any(component.status == "down" for component in components.values())
    return HealthOut(
        status="error" if down else "ok",
        version=version,
        components={
            name: ComponentOut(status=component.status, detail=component.detail, figures=dict(component.figures))
            for name, component in components.items()
        },
    )
