"""The terminal events of a task, from how far it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

from alex_actors.events import TaskCancelled, TaskCompleted, TaskFailed, TerminalEvent
from alex_actors.ports import Aborted, Failed, Finished, NotResumed, Outcome
from alex_actors.values import milliseconds_between

if TYPE_CHECKING:
    from alex_actors.ports import Answer
    from alex_actors.projection import Progress
    from alex_actors.values import Timestamp

FailureReason: TypeAlias = Literal["error", "timeout", "interrupted"]


def of(outcome: Outcome, progress: Progress, at: Timestamp) -> TerminalEvent:
    """Return the end of a task that nobody interrupted, by what came of its agent."""
    match outcome:
        case Finished(answer=answer):
            return completed(progress, at, answer)
        case Failed(error=error):
            return failed(progress, at, error, "error")
        case Aborted():
            return failed(progress, at, "The agent stopped without an answer.", "error")
        case NotResumed():
            error = "The server went down while the task ran, and its agent does not go on from there."
            return failed(progress, at, error, "interrupted")
        case _:
            assert_never(outcome)


def completed(progress: Progress, at: Timestamp, answer: Answer) -> TaskCompleted:
    """Return the end of a task whose agent answered."""
    return TaskCompleted(
        final_answer=answer.text,
        stop_reason=answer.stop_reason,
        total_iterations=progress.current_iteration,
        total_tokens=progress.tokens_used,
        duration=milliseconds_between(progress.started_at, at),
    )


def failed(progress: Progress, at: Timestamp, error: str, reason: FailureReason) -> TaskFailed:
    """Return the end of a task that came to none of its own."""
    return TaskFailed(
        error=error,
        termination_reason=reason,
        stop_reason=reason,
        total_iterations=progress.current_iteration,
        total_tokens=progress.tokens_used,
        duration=milliseconds_between(progress.started_at, at),
    )


def cancelled(progress: Progress, at: Timestamp) -> TaskCancelled:
    """Return the end of a task that somebody cancelled."""
    return TaskCancelled(
        error="The task was cancelled.",
        total_iterations=progress.current_iteration,
        total_tokens=progress.tokens_used,
        duration=milliseconds_between(progress.started_at, at),
    )
