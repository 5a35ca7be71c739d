"""What an exported session looks like as JSON: the document that ``export`` gives and ``import`` takes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from alex_actors.copies import MOST_MESSAGES
from alex_actors.events import StopReason, TerminationReason
from alex_actors.executor import LONGEST_RECORDED
from alex_actors.projection import MOST_COUNTED
from alex_actors.replies import ExportedSession
from alex_actors.store.replaying import MODEL_PATTERN, PRESET_PATTERN
from alex_actors.tasks import Status, Strategy
from alex_actors.values import Timestamp
from alex_http.wire import ID_PATTERN, MessageOut, TaskOut, task_out

FORMAT = "alex-session"
VERSION = 1


# What export gives.


class SessionHeadOut(msgspec.Struct, frozen=True, kw_only=True):
    """A session, less what its tasks make of it."""

    id: str
    created_at: str
    updated_at: str
    forked_from: str | None
    metadata: dict[str, str]


class DocumentOut(msgspec.Struct, frozen=True, kw_only=True):
    """All that is recorded of a session: its tasks in their order, their events in the order of their ids."""

    format: str = FORMAT
    version: int = VERSION
    exported_at: str
    session: SessionHeadOut
    messages: list[MessageOut]
    """Those that it has from the session that it was forked from."""
    tasks: list[TaskOut]
    events: list[msgspec.Raw]


def document_out(exported: ExportedSession, at: Timestamp) -> DocumentOut:
    """Return the document of a session."""
    session = exported.detail.session
    head = SessionHeadOut(
        id=session.session_id,
        created_at=session.created_at,
        updated_at=session.updated_at,
        forked_from=session.forked_from,
        metadata=session.metadata,
    )
    return DocumentOut(
        exported_at=at,
        session=head,
        messages=[MessageOut(role=one.role, content=one.content) for one in exported.detail.messages],
        tasks=[task_out(task) for task in exported.detail.tasks],
        events=[event.json() for event in exported.events],
    )


# What import takes. Each description completes "must be …" in an error.

Id = Annotated[
    str,
    Meta(
        pattern=rf"\A{ID_PATTERN}\Z",
        description="a string of 1 to 128 letters, digits, '.', '_' and '-' that does not begin with '.'",
    ),
]
Moment = Annotated[
    str,
    Meta(
        pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z",
        description="a moment in UTC with microseconds, such as '2026-11-22T12:00:00.000000Z'",
    ),
]
Count = Annotated[int, Meta(ge=0, le=MOST_COUNTED, description=f"an integer from 0 to {MOST_COUNTED}")]
Name = Annotated[str, Meta(min_length=1, max_length=256, description="a string of 1 to 256 characters")]
Preset = Annotated[
    str,
    Meta(
        pattern=rf"\A{PRESET_PATTERN}\Z",
        description="a string of 1 to 64 small letters, digits and hyphens that does not begin with a hyphen",
    ),
]
Model = Annotated[
    str,
    Meta(
        pattern=rf"\A{MODEL_PATTERN}\Z",
        description="a string of 1 to 128 letters, digits, '.', '_', ':', '/', '@', '+' and '-' that begins with"
        " a letter or a digit",
    ),
]
Text = Annotated[
    str, Meta(max_length=LONGEST_RECORDED, description=f"a string of at most {LONGEST_RECORDED:,} characters")
]
MetadataGiven = Annotated[
    dict[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=4096)]],
    Meta(
        max_length=16,
        description="an object of at most 16 strings of at most 4,096 characters, with keys of at most 128",
    ),
]


class _In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the document: every field is there, and no other."""


class SessionHeadIn(_In, frozen=True, kw_only=True):
    """As SessionHeadOut."""

    id: Id
    created_at: Moment
    updated_at: Moment
    forked_from: Id | None
    metadata: MetadataGiven


class MessageIn(_In, frozen=True, kw_only=True):
    """As MessageOut."""

    role: Annotated[Literal["user", "assistant"], Meta(description="'user' or 'assistant'")]
    content: Text


class ResultIn(_In, frozen=True, kw_only=True):
    """As ResultOut."""

    answer: Text
    iterations: Count
    tokens_used: Count
    stop_reason: StopReason
    session_id: Id


class TaskIn(_In, frozen=True, kw_only=True):
    """As TaskOut."""

    task_id: Id
    session_id: Id
    status: Status
    task: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=100_000,
            pattern=r"\S",
            description="a string of 1 to 100,000 characters that are not all blank",
        ),
    ]
    agent_preset: Preset
    tool_preset: Preset
    model: Model
    parent_task_id: Id | None
    created_at: Moment
    started_at: Moment | None
    completed_at: Moment | None
    current_iteration: Count
    total_iterations: Count
    tokens_used: Count
    total_tokens: Count
    cost_usd: Annotated[float, Meta(ge=0, le=1e9, description="a number from 0 to 1,000,000,000")]
    error: Text | None
    termination_reason: TerminationReason | None
    result: ResultIn | None
    multitask_strategy: Strategy
    timeout_seconds: (
        Annotated[float, Meta(gt=0, le=604_800, description="a number above 0 and at most 604800, or null")] | None
    )
    max_iterations: Annotated[int, Meta(ge=1, le=1000, description="an integer from 1 to 1000")]
    metadata: MetadataGiven


class HeadIn(msgspec.Struct, frozen=True, kw_only=True):
    """What every event has; what more it has depends on its type."""

    event_id: Annotated[int, Meta(ge=1, le=MOST_COUNTED, description=f"an integer from 1 to {MOST_COUNTED}")]
    event_type: Name
    task_id: Id
    session_id: Id
    parent_task_id: Id | None
    timestamp: Moment
    agent_level: Annotated[Literal["core", "subagent"], Meta(description="'core' or 'subagent'")]


class DocumentIn(_In, frozen=True, kw_only=True):
    """As DocumentOut."""

    format: Annotated[Literal["alex-session"], Meta(description="'alex-session'")]
    version: Annotated[Literal[1], Meta(description="1: that is the version which this server knows")]
    exported_at: Moment
    session: SessionHeadIn
    messages: Annotated[
        list[MessageIn],
        Meta(max_length=MOST_MESSAGES, description=f"a list of at most {MOST_MESSAGES:,} messages"),
    ]
    tasks: list[TaskIn]
    events: list[HeadIn]


class PartsIn(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a document as they were sent."""

    session: msgspec.Raw
    messages: list[msgspec.Raw]
    tasks: list[msgspec.Raw]
    events: list[msgspec.Raw]
