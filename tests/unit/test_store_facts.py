"""What the log says of events that the store has recorded: names and numbers, each once, after the commit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from alex_actors.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    AssistantDelta,
    ErrorRaised,
    IterationStart,
    TaskResumed,
    TaskStarted,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
    Usage,
)
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.store.facts import LONGEST_ERROR, LONGEST_NAME
from alex_actors.store.staging import Keys, Staging, live_task
from alex_actors.values import TaskId, Timestamp, timestamp
from tests.unit.protocol_system import CONTEXT, a_task
from tests.unit.store_under_test import COMPLETED, HOME, NOW, StoreUnderTest

THOUGHT = ThinkComplete(
    iteration=1, content="A secret thought", tool_call_count=1, duration=12.34567,
    usage=Usage(input_tokens=30, output_tokens=12, cost_usd=0.5),
)  # fmt: skip
SPENT = Usage(input_tokens=30, output_tokens=2, cost_usd=0.25)
BUSY = ErrorRaised(iteration=2, phase="think", error="It is busy (attempt 1 of 2).", recoverable=True)
DOWN = ErrorRaised(
    iteration=2, phase="think", error="It is down (attempt 2 of 2).", recoverable=False, usage=SPENT
)
ASKED = (IterationStart(iteration=2, total_iters=3), Thinking(iteration=2, message_count=4))
REFUSED = ToolCallComplete(call_id="call-1-1", tool_name="shell", result=None, error="No such file", duration=3.0)
WORK: tuple[AnyEvent, ...] = (
    TaskStarted(),
    IterationStart(iteration=1, total_iters=3),
    Thinking(iteration=1, message_count=2),
    AssistantDelta(iteration=1, delta="A secret"),
    THOUGHT,
    ApprovalRequested(iteration=1, call_id="call-1-1", tool_name="shell", arguments={"command": "ls secret"}),
    ApprovalResolved(call_id="call-1-1", approved=True, reason="a secret reason"),
    ToolCallStart(iteration=1, call_id="call-1-1", tool_name="shell", arguments={"command": "ls secret"}),
    REFUSED,
    COMPLETED,
)
FACTS = [
    "task.created", "task.started", "model.replied", "approval.requested", "approval.resolved", "tool.ended",
    "task.ended",
]  # fmt: skip


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    under = StoreUnderTest(tmp_path / "alex.db", restarted=True)
    yield under
    under.close()


def test_what_models_tools_and_people_did_is_logged_in_the_order_of_the_events(under: StoreUnderTest) -> None:
    under.create("a")
    under.run()
    under.record("a", 1, *WORK)
    under.run()

    assert under.log.events() == FACTS
    ids = [line["event_id"] for line in under.log.lines]
    assert ids == sorted(set(ids))
    for line in under.log.lines:
        assert (line["task_id"], line["session_id"], line["trace_id"]) == ("a", HOME, CONTEXT.trace_id)


def test_they_have_names_and_numbers_and_no_text_of_anybody(under: StoreUnderTest) -> None:
    under.create("a", text="A secret task")
    under.record("a", 1, *WORK)
    under.run()

    (replied,), (ended,) = under.log.named("model.replied"), under.log.named("tool.ended")
    assert {name: replied[name] for name in ("iteration", "model", "duration", "at")} == {
        "iteration": 1, "model": "offline", "duration": 12.346, "at": NOW,
    }  # fmt: skip
    assert (replied["input_tokens"], replied["output_tokens"], replied["cost_usd"]) == (30, 12, 0.5)
    assert {name: ended[name] for name in ("tool", "call_id", "duration", "error", "at")} == {
        "tool": "shell", "call_id": "call-1-1", "duration": 3.0, "error": True, "at": NOW,
    }  # fmt: skip
    assert under.log.named("approval.resolved")[0]["approved"] is True
    assert "secret" not in str(under.log.lines)
    assert "No such file" not in str(under.log.lines)


def test_what_nobody_counted_or_measured_is_left_out(under: StoreUnderTest) -> None:
    under.create("a")
    under.record("a", 1, TaskStarted(), ThinkComplete(iteration=1, content="Hello.", tool_call_count=0))
    under.run()

    (replied,) = under.log.named("model.replied")
    assert not {"duration", "input_tokens", "output_tokens", "cost_usd"} & replied.keys()


def test_a_name_that_a_model_made_up_is_cut(under: StoreUnderTest) -> None:
    made_up = ToolCallComplete(call_id="c" * 500, tool_name="t" * 100_000, result=None, error="none", duration=0.0)

    under.create("a")
    under.record("a", 1, TaskStarted(), made_up)
    under.run()

    (ended,) = under.log.named("tool.ended")
    assert (len(ended["tool"]), len(ended["call_id"])) == (LONGEST_NAME, LONGEST_NAME)


def test_after_a_crash_between_commit_and_log_each_is_told_once(under: StoreUnderTest) -> None:
    under.created("a")
    under.log.clear()
    under.record("a", 1, *WORK)

    under.crash_after_commit()

    assert [line["event"] for line in under.log.lines if line["event"] in FACTS] == FACTS[1:]
    assert under.log.named("model.replied")[0]["model"] == "offline"
    assert under.log.named("task.ended")[0]["status"] == "completed"
    assert [line["event_id"] for line in under.log.lines if "event_id" in line] == [2, 6, 7, 8, 10, 11]


def test_a_repeat_of_events_is_no_fact(under: StoreUnderTest) -> None:
    under.create("a")
    under.record("a", 1, *WORK[:5])
    under.record("a", 1, *WORK[:6])
    under.run()

    assert under.log.events() == FACTS[:4]


# A model that fails.


def later(seconds: float) -> Timestamp:
    return timestamp(EPOCH + timedelta(seconds=seconds))


def test_a_model_that_fails_is_a_warning_and_an_attempt_after_which_it_is_asked_again_is_none(
    under: StoreUnderTest,
) -> None:
    under.create("a")
    under.record("a", 1, TaskStarted(), *ASKED)
    under.record("a", 4, BUSY, at=later(1))
    under.record("a", 5, DOWN, at=later(3.5))
    under.run()

    (attempt,), (failed,) = under.log.named("model.attempt_failed"), under.log.named("model.failed")
    about = {"task_id": "a", "session_id": HOME, "trace_id": CONTEXT.trace_id, "iteration": 2, "model": "offline"}
    assert attempt == {
        **about, "event": "model.attempt_failed", "log_level": "info", "event_id": 5, "error": BUSY.error,
        "at": later(1),
    }  # fmt: skip
    assert failed == {
        **about, "event": "model.failed", "log_level": "warning", "event_id": 6, "error": DOWN.error,
        "at": later(3.5), "duration": 3500.0, "input_tokens": 30, "output_tokens": 2, "cost_usd": 0.25,
    }  # fmt: skip


@pytest.mark.parametrize("between", [
    (), (Thinking(iteration=2, message_count=4), TaskResumed()),
    (Thinking(iteration=1, message_count=4), THOUGHT),
    (Thinking(iteration=1, message_count=4), IterationStart(iteration=2, total_iters=3)),
])  # fmt: skip
def test_it_does_not_say_how_long_that_took_if_nobody_knows_when_the_model_was_asked(
    under: StoreUnderTest, between: tuple[AnyEvent, ...]
) -> None:
    under.create("a")
    under.record("a", 1, TaskStarted(), *between, DOWN)
    under.run()

    assert "duration" not in under.log.named("model.failed")[0]


def test_a_clock_that_was_set_back_makes_no_time_below_zero(under: StoreUnderTest) -> None:
    under.create("a")
    under.record("a", 1, TaskStarted(), *ASKED, at=later(5))
    under.record("a", 4, DOWN, at=later(2))
    under.run()

    assert under.log.named("model.failed")[0]["duration"] == 0.0


def test_of_what_a_model_says_went_wrong_the_log_has_the_beginning(under: StoreUnderTest) -> None:
    under.create("a")
    under.record("a", 1, ErrorRaised(iteration=1, phase="think", error="e" * 100_000, recoverable=False))
    under.run()

    assert len(under.log.named("model.failed")[0]["error"]) == LONGEST_ERROR


def test_an_error_of_a_tool_is_no_fact_of_a_model(under: StoreUnderTest) -> None:
    under.create("a")
    under.record("a", 1, ErrorRaised(iteration=1, phase="execute", error="It broke.", recoverable=False))
    under.run()

    assert under.log.events() == ["task.created"]


def test_after_a_crash_a_failure_is_told_as_it_would_have_been(under: StoreUnderTest) -> None:
    under.created("a")
    under.log.clear()
    under.record("a", 1, TaskStarted(), *ASKED)
    under.record("a", 4, BUSY, DOWN, REFUSED, at=later(2))

    under.crash_after_commit()

    (failed,) = under.log.named("model.failed")
    assert (failed["log_level"], failed["duration"], failed["error"]) == ("warning", 2000.0, DOWN.error)
    assert [line["event"] for line in under.log.lines if "event_id" in line] == [
        "task.started", "model.attempt_failed", "model.failed", "tool.ended",
    ]  # fmt: skip


def test_a_duration_that_is_no_number_is_left_out(under: StoreUnderTest) -> None:
    odd = ThinkComplete(iteration=1, content="", tool_call_count=0, duration=float("nan"))

    under.create("a")
    under.record("a", 1, TaskStarted(), odd)
    under.run()

    assert "duration" not in under.log.named("model.replied")[0]


def test_a_sub_agent_s_task_that_is_taken_up_again_is_told_with_its_parent() -> None:
    staged = Staging(live={}, session_keys={}, keys=Keys(last_session=0, last_event=0))
    task = live_task(a_task("a"), recorded=1)

    staged.recover(task)
    staged.recover(msgspec.structs.replace(task, parent_task_id=TaskId("parent")))

    assert [fact.fields.get("parent_task_id") for fact in staged.facts] == [None, "parent"]
    assert ["parent_task_id" in fact.fields for fact in staged.facts] == [False, True]
