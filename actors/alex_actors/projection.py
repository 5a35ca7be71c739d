"""What a task's events make of its state: the one place where an event changes a status or a counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from alex_actors.events import (
    EVENT_TYPES,
    AnyEvent,
    ErrorRaised,
    IterationComplete,
    IterationStart,
    StopReason,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskStarted,
    TerminationReason,
    ThinkComplete,
    Usage,
)
from alex_actors.tasks import Status, Task
from alex_actors.values import Timestamp, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_COUNTED = 2**53 - 1
"""The largest whole number that every reader of JSON gets right (RFC 8259, section 6); a database holds it too."""

MOST_PAID = 1e9
"""US dollars that a task may be said to have cost: enough, and still exact to a ten-millionth."""

_counts = {
    kind: tuple(field.name for field in msgspec.structs.fields(kind) if field.type is int)
    for kind in (*EVENT_TYPES, Usage)
}


class Progress(Value, frozen=True):
    """The part of a task that its events change. The fields are columns of ``tasks``."""

    status: Status = "pending"
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    current_iteration: int = 0
    total_iterations: int = 0
    tokens_used: int = 0
    total_tokens: int = 0
    cost_usd: float = 0.0
    error: str | None = None
    termination_reason: TerminationReason | None = None
    answer: str | None = None
    stop_reason: StopReason | None = None

    @property
    def ended(self) -> bool:
        """Whether there is a terminal event."""
        return self.completed_at is not None


def progress_of(task: Task) -> Progress:
    """Return how far a task is that has not ended."""
    return Progress(
        status=task.status,
        started_at=task.started_at,
        current_iteration=task.current_iteration,
        tokens_used=task.tokens_used,
        cost_usd=task.cost_usd,
    )


def advance(progress: Progress, at: Timestamp, event: AnyEvent) -> Progress:
    """Return the state after an event.

    Counters never shrink and stay within ``MOST_COUNTED``, whatever an agent says; a task starts once, and its
    first end is its last event.
    """
    if progress.ended:
        return progress
    match event:
        case IterationStart(iteration=iteration):
            return msgspec.structs.replace(
                progress, current_iteration=_counted(progress.current_iteration, iteration)
            )
        case ThinkComplete(usage=Usage() as usage) | ErrorRaised(usage=Usage() as usage):
            return msgspec.structs.replace(
                progress,
                tokens_used=min(progress.tokens_used + usage.tokens, MOST_COUNTED),
                cost_usd=min(progress.cost_usd + (usage.cost_usd or 0.0), MOST_PAID),
            )
        case IterationComplete(tokens_used=tokens, cost_usd=cost):
            return msgspec.structs.replace(
                progress,
                tokens_used=_counted(progress.tokens_used, tokens),
                cost_usd=max(progress.cost_usd, min(cost or 0.0, MOST_PAID)),
            )
        case TaskStarted() if progress.started_at is None:
            return msgspec.structs.replace(progress, status="running", started_at=at)
        case TaskCompleted() | TaskFailed() | TaskCancelled():
            return msgspec.structs.replace(
                progress,
                status=event.status,
                completed_at=at,
                total_iterations=progress.current_iteration,
                total_tokens=progress.tokens_used,
                error=None if isinstance(event, TaskCompleted) else event.error,
                termination_reason=event.termination_reason,
                answer=event.final_answer if isinstance(event, TaskCompleted) else None,
                stop_reason=event.stop_reason,
            )
        case _:
            return progress


def miscounted(event: AnyEvent) -> Iterator[str]:
    """Yield the fields of an event that count something, and are below 0 or above what is counted or paid."""
    yield from (name for name in _counts[type(event)] if not 0 <= getattr(event, name) <= MOST_COUNTED)
    if isinstance(event, IterationComplete) and not 0 <= (event.cost_usd or 0) <= MOST_PAID:
        yield "cost_usd"
    if isinstance(event, ThinkComplete | ErrorRaised) and (usage := event.usage) is not None:
        yield from (f"usage.{name}" for name in _counts[Usage] if not 0 <= getattr(usage, name) <= MOST_COUNTED)
        if usage.cost_usd is not None and not 0 <= usage.cost_usd <= MOST_PAID:
            yield "usage.cost_usd"


def _counted(before: int, said: int) -> int:
    return max(before, min(said, MOST_COUNTED))
