"""The meter of what is recorded, behind a store actor over a real file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from alex_actors.events import (
    ErrorRaised,
    IterationStart,
    TaskCancelled,
    TaskFailed,
    TaskResumed,
    TaskStarted,
    ThinkComplete,
    ToolCallComplete,
    Usage,
)
from alex_actors.metrics.tallies import Histogram
from alex_actors.metrics.task_meter import MOST_TOOLS, OTHER, TaskMeter
from alex_actors.ports import Clock, Meter
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.values import Timestamp, timestamp
from tests.unit.store_under_test import COMPLETED, StoreUnderTest

MODEL = "offline"
FAILED = TaskFailed(
    error="It broke.", termination_reason="error", stop_reason="error", total_iterations=0, total_tokens=0,
    duration=0.0,
)  # fmt: skip
CANCELLED = TaskCancelled(error="Somebody did.", total_iterations=0, total_tokens=0, duration=0.0)
ITERATION = IterationStart(iteration=1, total_iters=3)


class Metered:
    """A store actor, and its meter."""

    def __init__(self, path: Path) -> None:
        self.under = StoreUnderTest(path, restarted=True, meter=self._make)
        self.under.run()

    def _make(self, clock: Clock) -> Meter:
        self.meter = TaskMeter(clock=clock, models=(MODEL,), tools=("calculator",))
        return self.meter

    def unfinished(self) -> tuple[int, int]:
        """Return how many tasks are pending, and running."""
        return self.meter.pending, self.meter.running


@pytest.fixture
def metered(tmp_path: Path) -> Iterator[Metered]:
    metered = Metered(tmp_path / "alex.sqlite3")
    yield metered
    metered.under.close()


def after(seconds: float) -> Timestamp:
    return timestamp(EPOCH + timedelta(seconds=seconds))


def count(histogram: Histogram) -> int:
    return round(histogram.read().buckets[-1][1])


def tool(name: str, *, error: str | None = None, milliseconds: float = 2) -> ToolCallComplete:
    return ToolCallComplete(call_id="c", tool_name=name, result=None, error=error, duration=milliseconds)


# Tasks.


def test_a_task_is_pending_then_running_then_has_ended(metered: Metered) -> None:
    under, seen = metered.under, []

    for step in (TaskStarted(), ITERATION, COMPLETED):
        if step == TaskStarted():
            under.created("a")
            seen.append(metered.unfinished())
        under.record("a", len(seen), step)
        under.run()
        seen.append(metered.unfinished())

    assert seen == [(1, 0), (0, 1), (0, 1), (0, 0)]
    assert metered.meter.created == 1
    assert metered.meter.ended["completed", "completed"] == 1


def test_ends_are_told_apart_by_status_and_reason(metered: Metered) -> None:
    under = metered.under
    under.created("a", "b", "c", "d")

    under.record("a", 1, TaskStarted(), FAILED)
    under.record("b", 1, CANCELLED)
    under.record_crash("c")
    under.run()

    assert metered.meter.ended == {
        ("completed", "completed"): 0,
        ("failed", "error"): 2,
        ("failed", "timeout"): 0,
        ("failed", "interrupted"): 0,
        ("cancelled", "cancelled"): 1,
    }
    assert metered.unfinished() == (1, 0)


def test_what_is_sent_again_counts_once(metered: Metered) -> None:
    metered.under.created("a")

    for _ in range(3):
        metered.under.record("a", 1, TaskStarted(), tool("calculator"), COMPLETED)
        metered.under.run()

    assert metered.unfinished() == (0, 0)
    assert metered.meter.tool_calls["calculator", "ok"] == 1
    assert metered.meter.ended["completed", "completed"] == 1


def test_waiting_in_line_and_running_are_measured_by_the_events_times(metered: Metered) -> None:
    under, meter = metered.under, metered.meter
    under.created("a")

    under.record("a", 1, TaskStarted(), at=after(4))
    under.record("a", 2, COMPLETED, at=after(44))
    under.run()

    assert (count(meter.queue_seconds), meter.queue_seconds.read().total) == (1, 4.0)
    assert (count(meter.run_seconds), meter.run_seconds.read().total) == (1, 40.0)


def test_a_task_that_never_started_did_not_wait_nor_run(metered: Metered) -> None:
    metered.under.created("a")

    metered.under.record("a", 1, CANCELLED, at=after(4))
    metered.under.run()

    assert count(metered.meter.queue_seconds) == count(metered.meter.run_seconds) == 0


def test_the_first_event_of_an_agent_is_measured_when_it_is_committed(metered: Metered) -> None:
    under, meter = metered.under, metered.meter
    under.created("a", "b", "c")
    under.clock.advance_to(under.clock.monotonic() + 7)

    under.record("a", 1, TaskStarted())
    under.record("a", 2, ITERATION, ITERATION)
    under.record("b", 1, TaskStarted(), COMPLETED)  # its agent yields none
    under.record("c", 1, TaskStarted(), TaskResumed(), ITERATION)  # the server was down: that says nothing
    under.run()

    assert (count(meter.first_event_seconds), meter.first_event_seconds.read().total) == (1, 7.0)


def test_after_a_crash_of_the_store_actor_the_gauges_are_right_and_the_counters_go_on(metered: Metered) -> None:
    under = metered.under
    under.created("a", "b", "c")
    under.record("a", 1, TaskStarted())
    under.run()

    under.record("b", 1, TaskStarted())
    under.crash_after_commit()

    assert metered.unfinished() == (1, 2)
    assert metered.meter.created == 3


def test_a_transaction_that_fails_counts_nothing(metered: Metered) -> None:
    under, meter = metered.under, metered.meter
    under.created("a")
    commits = count(meter.commit_seconds)
    under.store.writer.fail_next(True)
    under.record("a", 1, TaskStarted())

    under.run()

    assert metered.unfinished() == (1, 0)
    assert count(meter.commit_seconds) == commits


def test_what_is_committed_together_is_one_commit_of_so_many_messages(metered: Metered) -> None:
    under, meter = metered.under, metered.meter
    for task_id in ("a", "b", "c"):
        under.create(task_id)

    under.run()

    assert (count(meter.commit_messages), meter.commit_messages.read().total) == (1, 3.0)


# Models and tools.


def test_a_call_of_a_model_counts_its_time_its_tokens_and_its_price(metered: Metered) -> None:
    usage = Usage(input_tokens=100, output_tokens=20, cost_usd=0.25)
    replied = ThinkComplete(iteration=1, content="4", tool_call_count=0, usage=usage, duration=1500.0)
    broke = ErrorRaised(iteration=2, phase="think", error="It broke.", recoverable=True, usage=usage)
    metered.under.created("a")

    metered.under.record("a", 1, TaskStarted(), replied, broke)
    metered.under.run()

    meter = metered.meter
    assert meter.model_seconds[MODEL].read().total == 1.5
    assert meter.model_tokens == {(MODEL, "input"): 200, (MODEL, "output"): 40}
    assert meter.model_dollars == {MODEL: 0.5}
    assert meter.model_errors == {MODEL: 1}
    assert meter.model_calls == {(MODEL, "ok"): 1, (MODEL, "error"): 0}


def test_a_call_fails_once_however_many_of_its_attempts_do(metered: Metered) -> None:
    again, over = (
        ErrorRaised(iteration=1, phase="think", error="It is down.", recoverable=recoverable)
        for recoverable in (True, False)
    )
    metered.under.created("a")

    metered.under.record("a", 1, TaskStarted(), again, again, over)
    metered.under.run()

    assert metered.meter.model_errors == {MODEL: 3}
    assert metered.meter.model_calls == {(MODEL, "ok"): 0, (MODEL, "error"): 1}


def test_a_time_that_is_no_number_spoils_no_sum(metered: Metered) -> None:
    metered.under.created("a")

    metered.under.record("a", 1, TaskStarted(), *(
        ThinkComplete(iteration=1, content="", tool_call_count=0, duration=duration)
        for duration in (float("nan"), float("inf"), 500.0)
    ))  # fmt: skip
    metered.under.run()

    assert metered.meter.model_seconds[MODEL].read().total == 0.5
    assert metered.meter.model_calls[MODEL, "ok"] == 3


def test_an_error_of_a_tool_is_none_of_the_model(metered: Metered) -> None:
    metered.under.created("a")

    metered.under.record(
        "a", 1, TaskStarted(), ErrorRaised(iteration=1, phase="execute", error="It broke.", recoverable=True)
    )
    metered.under.run()

    assert metered.meter.model_errors == {MODEL: 0}
    assert metered.meter.model_calls[MODEL, "error"] == 0


def test_a_tool_that_nobody_knows_counts_as_other_until_a_call_of_it_went_well(metered: Metered) -> None:
    metered.under.created("a")

    metered.under.record(
        "a", 1, TaskStarted(), tool("calculator", error="No."), tool("made_up", error="There is none."),
        tool("mine"), tool("mine", error="No."), tool('evil"} 1\nalex_tasks 7'), tool("x" * 65),
    )  # fmt: skip
    metered.under.run()

    assert metered.meter.tool_calls == {
        ("calculator", "ok"): 0, ("calculator", "error"): 1, (OTHER, "error"): 1,
        ("mine", "ok"): 1, ("mine", "error"): 1, (OTHER, "ok"): 2,
    }  # fmt: skip


def test_only_so_many_tools_are_told_apart(metered: Metered) -> None:
    metered.under.created("a")

    metered.under.record("a", 1, TaskStarted(), *(tool(f"tool_{number}") for number in range(MOST_TOOLS + 5)))
    metered.under.run()

    assert len(metered.meter.tool_seconds) == MOST_TOOLS  # the calculator has a name, and no call
    assert metered.meter.tool_calls[OTHER, "ok"] == 6
