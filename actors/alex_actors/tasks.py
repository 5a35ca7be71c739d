"""A task: its record, and how events change it."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, TypeAlias

from alex_actors.events import StopReason, TerminationReason
from alex_actors.values import LOCAL_OWNER, Context, Owner, SessionId, TaskId, Timestamp, Value

Status: TypeAlias = Literal["pending", "running", "completed", "failed", "cancelled"]
Strategy: TypeAlias = Literal["enqueue", "reject", "interrupt", "parallel"]

UNFINISHED: tuple[Status, ...] = ("pending", "running")


class NewTask(Value, frozen=True, kw_only=True):
    """What a client asks for, checked and with every default filled in."""

    task: str
    session_id: SessionId | None
    """None: a new session."""
    agent_preset: str
    tool_preset: str
    model: str
    strategy: Strategy
    timeout_seconds: float | None
    max_iterations: int
    metadata: dict[str, str]
    parent_task_id: TaskId | None = None
    """Of a sub-agent's task: the one whose agent asked for it."""


class Result(Value, frozen=True, kw_only=True):
    """What a completed task came to."""

    answer: str
    iterations: int
    tokens_used: int
    stop_reason: StopReason


class Task(Value, frozen=True, kw_only=True):
    """A task as recorded. The defaults are what holds of one that was just created."""

    task_id: TaskId
    session_id: SessionId
    session_key: int
    """The session's own key in the store: names its workspace, and is never used again."""
    place: int
    """Where its session was confirmed in the order of all confirmations; larger is later."""
    status: Status = "pending"
    task: str
    agent_preset: str
    tool_preset: str
    model: str
    parent_task_id: TaskId | None = None
    created_at: Timestamp
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    current_iteration: int = 0
    total_iterations: int = 0
    tokens_used: int = 0
    total_tokens: int = 0
    cost_usd: float = 0.0
    error: str | None = None
    termination_reason: TerminationReason | None = None
    result: Result | None = None
    strategy: Strategy
    timeout_seconds: float | None
    max_iterations: int
    metadata: dict[str, str]
    trace_id: str
    """The trace of the request that submitted it: its log lines carry it."""
    owner: Owner = LOCAL_OWNER

    def context(self, sender: str) -> Context:
        """Return the context of messages about it."""
        return Context(self.trace_id, self.task_id, self.session_id, sender, self.owner)


KEYS_ARE_KEPT = timedelta(hours=24)
"""How long a submit can be repeated with its idempotency key."""


class IdempotencyKey(Value, frozen=True):
    """Tells a repeated submit from a new one."""

    text: str
    """What the client calls it; its owner's alone."""
    fingerprint: str
    """Of the body that came with it: a repeat has the same."""


class Session(Value, frozen=True, kw_only=True):
    """A session as recorded, with what its tasks make of it."""

    session_id: SessionId
    created_at: Timestamp
    updated_at: Timestamp
    task_count: int
    last_task: str | None
    """The text of the task that was confirmed last."""
    forked_from: SessionId | None
    metadata: dict[str, str]
