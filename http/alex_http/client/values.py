"""What the server tells: tasks, sessions, events, health.

The fields are those of the contract. These structs are not the server's own: a client meets servers that are
newer than itself. So it ignores fields that it does not know, and takes any text where words may be added.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["pending", "running", "completed", "failed", "cancelled"]
Strategy: TypeAlias = Literal["enqueue", "reject", "interrupt", "parallel"]

TERMINAL_EVENTS = frozenset({"task_completed", "task_failed", "task_cancelled"})


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a completed task came to. ``stop_reason``: ``final_answer`` or ``max_iterations``."""

    answer: str
    iterations: int
    tokens_used: int
    stop_reason: str
    session_id: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task, as it was when it was read. Times in UTC, money in US dollars."""

    task_id: str
    session_id: str
    status: Status
    task: str
    agent_preset: str
    tool_preset: str
    model: str
    parent_task_id: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    current_iteration: int
    total_iterations: int
    tokens_used: int
    total_tokens: int
    cost_usd: float
    error: str | None
    termination_reason: str | None
    result: Result | None
    multitask_strategy: Strategy
    timeout_seconds: float | None
    max_iterations: int
    metadata: dict[str, str]

    @property
    def has_ended(self) -> bool:
        """Whether its status will never change again."""
        return self.status not in ("pending", "running")

    @property
    def answer(self) -> str | None:
        """Its answer; None unless it is ``completed``."""
        return None if self.result is None else self.result.answer


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some tasks, newest first; ``total`` is how many there are on all pages."""

    tasks: list[Task]
    total: int
    limit: int
    offset: int


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that waits for a person's word. ``expires_at``: when it counts as denied; None: never."""

    task_id: str
    session_id: str
    call_id: str
    iteration: int
    tool_name: str
    arguments: dict[str, Any]  # Any: JSON, as the tool takes it
    requested_at: datetime
    expires_at: datetime | None


class ApprovalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some tool calls that wait, oldest first. ``next_cursor`` is where the next page goes on; None: nowhere."""

    approvals: list[Approval]
    next_cursor: str | None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session. ``last_task`` is the text of the task that was submitted last."""

    id: str
    created_at: datetime
    updated_at: datetime
    task_count: int
    last_task: str | None
    forked_from: str | None
    metadata: dict[str, str]


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some sessions, last used first; ``total`` is how many there are on all pages."""

    sessions: list[Session]
    total: int
    limit: int
    offset: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation. ``role``: ``user`` or ``assistant``."""

    role: str
    content: str


class SessionDetail(Session, frozen=True, kw_only=True):
    """One session, with the conversation so far and its tasks, both in the order of the tasks."""

    messages: list[Message]
    tasks: list[Task]


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """The health of one part of the server. ``status``: ``ok``, ``degraded`` or ``down``."""

    status: str
    detail: str | None = None
    figures: dict[str, float] = msgspec.field(default_factory=dict)


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The health of the server: ``error`` if a component is down."""

    status: Literal["ok", "error"]
    version: str
    components: dict[str, Component]


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """What all events share."""

    event_id: int
    event_type: str
    task_id: str
    session_id: str
    parent_task_id: str | None
    timestamp: datetime
    agent_level: str


class Event(_Header, frozen=True, kw_only=True):
    """One step of a task. Its id is a position in the log of the whole server: ids only grow.

    ``data`` has the fields of its type, less those that all events share: for ``iteration_complete``
    ``{"iteration": 1, "tokens_used": 60, "tools_run": 0}``.
    """

    data: dict[str, Any]  # Any: JSON, different for each type

    @property
    def is_terminal(self) -> bool:
        """Whether it is the last event of its task."""
        return self.event_type in TERMINAL_EVENTS


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some recorded events of a task, oldest first. ``last_event_id`` is where the next page goes on."""

    events: list[Event]
    last_event_id: int


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON raises. RecursionError: it is nested more deeply than the interpreter goes."""

_objects = msgspec.json.Decoder(dict[str, Any])  # Any: as above


def read_event(text: str | bytes | msgspec.Raw) -> Event | None:
    """Return an event from its JSON; None if it has no ``event_id``. Raises UNREADABLE."""
    members = _objects.decode(text)
    if "event_id" not in members:
        return None
    header = msgspec.structs.asdict(msgspec.convert(members, _Header))
    return Event(**header, data={name: value for name, value in members.items() if name not in header})
