"""What a task's events make of its state, whatever they are."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alex_actors.events import (
    AnyEvent,
    ErrorRaised,
    IterationComplete,
    IterationStart,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TaskStarted,
    TerminalEvent,
    ThinkComplete,
    Thinking,
    Usage,
)
from alex_actors.projection import MOST_COUNTED, Progress, advance, miscounted
from alex_actors.values import Timestamp, timestamp

COMPLETED = TaskCompleted(
    final_answer="4", stop_reason="final_answer", total_iterations=2, total_tokens=60, duration=1.0
)
FAILED = TaskFailed(
    error="no model",
    termination_reason="error",
    stop_reason="error",
    total_iterations=0,
    total_tokens=0,
    duration=1.0,
)
CANCELLED = TaskCancelled(error="The task was cancelled.", total_iterations=0, total_tokens=0, duration=1.0)

RANK = {"pending": 0, "running": 1, "completed": 2, "failed": 2, "cancelled": 2}

numbers = st.one_of(st.integers(-10, 10), st.integers(-(2**70), 2**70))
terminal_events = st.sampled_from([COMPLETED, FAILED, CANCELLED])
events: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(IterationStart, iteration=numbers, total_iters=numbers),
    st.builds(IterationComplete, iteration=numbers, tokens_used=numbers, tools_run=numbers),
    st.builds(Thinking, iteration=numbers, message_count=numbers),
    st.just(TaskCreated(task="What is 2 + 2?")),
    st.just(TaskStarted()),
    terminal_events,
)


def at(second: int) -> Timestamp:
    return timestamp(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second))


def states(happened: list[AnyEvent]) -> list[Progress]:
    """Return the state before the first event and after each."""
    made = [Progress()]
    for second, event in enumerate(happened):
        made.append(advance(made[-1], at(second), event))
    return made


@given(st.lists(events))
def test_counters_never_shrink(happened: list[AnyEvent]) -> None:
    made = states(happened)

    for before, after in itertools.pairwise(made):
        assert 0 <= before.current_iteration <= after.current_iteration
        assert 0 <= before.tokens_used <= after.tokens_used
        assert max(after.current_iteration, after.tokens_used) <= MOST_COUNTED
        assert 0 <= before.total_iterations <= after.total_iterations
        assert 0 <= before.total_tokens <= after.total_tokens


@given(st.lists(events))
def test_the_status_only_moves_forward(happened: list[AnyEvent]) -> None:
    made = states(happened)

    for before, after in itertools.pairwise(made):
        assert RANK[before.status] < RANK[after.status] or before.status == after.status


@given(st.lists(events), terminal_events, st.lists(events))
def test_nothing_changes_after_the_end(before: list[AnyEvent], end: TerminalEvent, after: list[AnyEvent]) -> None:
    ended = states([*before, end])[-1]

    assert ended.ended
    assert states([*before, end, *after])[-1] == ended


@given(st.lists(events), terminal_events)
def test_the_totals_are_zero_until_the_end_and_then_what_was_counted(
    happened: list[AnyEvent], end: TerminalEvent
) -> None:
    made = states([*happened, end])

    for progress in made:
        expected = (progress.current_iteration, progress.tokens_used) if progress.ended else (0, 0)
        assert (progress.total_iterations, progress.total_tokens) == expected


@given(st.lists(events))
def test_what_started_and_what_ended_say_when(happened: list[AnyEvent]) -> None:
    for progress in states(happened):
        assert progress.ended == (RANK[progress.status] == 2)
        assert (progress.termination_reason is None) == (not progress.ended)
        if progress.status == "running":
            assert progress.started_at is not None


def test_what_a_model_used_up_counts_whether_it_replied_or_not() -> None:
    usage = Usage(input_tokens=5, output_tokens=3, cost_usd=0.25)
    thought = ThinkComplete(iteration=1, content="", tool_call_count=0, usage=usage)
    error = ErrorRaised(iteration=1, phase="think", error="It broke off.", recoverable=False, usage=usage)
    other = ErrorRaised(iteration=1, phase="execute", error="It broke.", recoverable=True)

    spent = states([thought, other, error])[-1]

    assert (spent.tokens_used, spent.cost_usd) == (16, 0.5)
    assert list(miscounted(error)) == list(miscounted(other)) == []


def test_what_a_model_cannot_have_used_up_is_found() -> None:
    usage = Usage(input_tokens=-1, output_tokens=2**60, cost_usd=-1.0)
    error = ErrorRaised(iteration=1, phase="think", error="x", recoverable=False, usage=usage)

    assert list(miscounted(error)) == ["usage.input_tokens", "usage.output_tokens", "usage.cost_usd"]


def test_a_task_starts_when_it_first_starts() -> None:
    started = states([TaskCreated(task="x"), TaskStarted(), TaskStarted()])[-1]

    assert (started.status, started.started_at) == ("running", at(1))


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (COMPLETED, ("completed", "completed", None, "4", "final_answer")),
        (FAILED, ("failed", "error", "no model", None, "error")),
        (CANCELLED, ("cancelled", "cancelled", "The task was cancelled.", None, "cancelled")),
    ],
)
def test_an_end_says_how_it_came(
    end: TerminalEvent, expected: tuple[str, str, str | None, str | None, str]
) -> None:
    ended = states([TaskCreated(task="x"), TaskStarted(), IterationStart(iteration=2, total_iters=5), end])[-1]

    assert (
        ended.status,
        ended.termination_reason,
        ended.error,
        ended.answer,
        ended.stop_reason,
    ) == expected
    assert ended.completed_at == at(3)
    assert ended.total_iterations == 2


def test_a_task_may_end_before_it_starts() -> None:
    ended = states([TaskCreated(task="x"), CANCELLED])[-1]

    assert (ended.status, ended.started_at, ended.completed_at) == ("cancelled", None, at(1))
