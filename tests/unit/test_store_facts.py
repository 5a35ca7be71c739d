"""What the log says of events that the store has recorded: names and numbers, each once, after the commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    AssistantDelta,
    IterationStart,
    TaskStarted,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
    Usage,
)
from alex_actors.store.facts import LONGEST_NAME
from tests.unit.protocol_system import CONTEXT
from tests.unit.store_under_test import COMPLETED, HOME, NOW, StoreUnderTest

THOUGHT = ThinkComplete(
    iteration=1, content="A secret thought", tool_call_count=1, duration=12.34567,
    usage=Usage(input_tokens=30, output_tokens=12, cost_usd=0.5),
)  # fmt: skip
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
