"""The ReAct agent goes on where it was, wherever it was interrupted, and does nothing twice that must not be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from alex_actors.agents.turn_log import TurnLog
from alex_actors.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    AssistantDelta,
    ErrorRaised,
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    ThinkComplete,
    ToolCallComplete,
    ToolCallStart,
    Usage,
)
from alex_actors.ports import Answer, Checkpoint, Decision, Message, Model, ModelReply
from alex_actors.projection import Progress, advance
from alex_actors.tools import Toolbox
from alex_actors.values import Timestamp
from tests.unit.fake_agents import (
    RecordingTool,
    ScriptedModel,
    make_react,
    names,
    reply,
    run,
    without_durations,
)
from tests.unit.react_scripts import (
    TASK,
    StreamedModel,
    call_once,
    tool_messages,
    toolbox,
    two_then_one_then_answer,
    upper,
)


def resume_everywhere(tmp_path: Path, model: Model, tools: Toolbox) -> None:
    """Cut a run at every event and go on: with what was recorded, it is the run that was not cut."""
    whole = run(make_react(model, tools, tmp_path), TASK)
    for cut in range(len(whole.events) + 1):
        history = whole.events[:cut]
        resumed = run(make_react(model, tools, tmp_path), TASK, history)
        assert resumed.answer == whole.answer, cut
        union = [*history, *resumed.events]
        check_counters(union)
        assert essence(union) == essence(whole.events), cut


def essence(events: Sequence[AnyEvent]) -> list[Any]:  # JSON
    """Return events without what is different when the model is asked again: counters, pieces, troubles."""
    kept: list[Any] = []
    for event, body in zip(events, without_durations(events), strict=True):
        passing = isinstance(event, AssistantDelta | IterationComplete | ErrorRaised)
        body.pop("usage", None)
        if not passing and not (isinstance(event, ThinkComplete) and kept[-1] == body):
            kept.append(body)
    return kept


def check_counters(events: Sequence[AnyEvent]) -> None:
    starts = [event.iteration for event in events if isinstance(event, IterationStart)]
    completed = [event for event in events if isinstance(event, IterationComplete)]
    tokens = [event.tokens_used for event in completed]
    progress = Progress()
    for event in events:
        progress = advance(progress, Timestamp(""), event)
    thoughts = [event.usage for event in events if isinstance(event, ThinkComplete)]
    assert starts == list(range(1, len(starts) + 1))
    assert [event.iteration for event in completed] == starts
    assert all(before < after for before, after in itertools.pairwise(tokens)), tokens
    assert sum(isinstance(event, TaskAnalysis) for event in events) == 1
    assert progress.tokens_used == tokens[-1] == TurnLog(events).tokens
    assert progress.cost_usd == (completed[-1].cost_usd or 0.0) == TurnLog(events).cost_usd
    if all(thoughts):
        assert tokens[-1] == sum(usage.tokens for usage in thoughts if usage is not None)


def one_by_one(messages: Sequence[Message]) -> ModelReply:
    seen = tool_messages(messages)
    if len(seen) == 3:
        return priced(" ".join(seen))
    return priced(f"next {len(seen)}", ("upper", {"text": "abc"[len(seen)]}))


def priced(content: str, *calls: tuple[str, dict[str, Any]]) -> ModelReply:  # JSON
    said = reply(content, *calls)
    return ModelReply(
        content=said.content,
        tool_calls=said.tool_calls,
        usage=Usage(input_tokens=5, output_tokens=3, cost_usd=0.25),
    )


def uncounted(messages: Sequence[Message]) -> ModelReply:
    said = one_by_one(messages)
    return ModelReply(content=said.content, tool_calls=said.tool_calls)


@pytest.mark.parametrize(
    "model",
    [
        ScriptedModel(one_by_one),
        ScriptedModel(uncounted),
        StreamedModel(one_by_one),
        StreamedModel(one_by_one, trouble=True),
    ],
    ids=["counted", "uncounted", "streamed", "troubled"],
)
@pytest.mark.parametrize("approve", [(), ("upper",)], ids=["free", "asked"])
def test_a_run_that_is_cut_at_any_event_and_resumed_is_the_same_run(
    tmp_path: Path, model: Model, approve: Sequence[str]
) -> None:
    resume_everywhere(tmp_path, model, toolbox(RecordingTool("upper", upper), approve=approve))


def test_what_a_model_used_counts_again_when_it_is_asked_again(tmp_path: Path) -> None:
    model = ScriptedModel(lambda m: priced("end") if tool_messages(m) else priced("", ("upper", {"text": "a"})))
    tools = toolbox(RecordingTool("upper", upper))
    whole = run(make_react(model, tools, tmp_path), TASK)
    cut = names(whole.events).index("ThinkComplete") + 1

    resumed = run(make_react(model, tools, tmp_path), TASK, whole.events[:cut])

    assert [e.tokens_used for e in whole.events if isinstance(e, IterationComplete)] == [8, 16]
    completed = [e for e in resumed.events if isinstance(e, IterationComplete)]
    assert [(e.tokens_used, e.cost_usd) for e in completed] == [(16, 0.5), (24, 0.75)]


def test_a_turn_whose_later_calls_were_not_recorded_is_completed_and_the_model_told(tmp_path: Path) -> None:
    told: list[str] = []

    def answers(messages: Sequence[Message]) -> ModelReply:
        told.extend(message.content for message in messages[2:] if message.role == "user")
        return two_then_one_then_answer(messages)

    model = ScriptedModel(answers)
    tool = RecordingTool("upper", upper)
    whole = run(make_react(model, toolbox(tool), tmp_path), TASK)
    first_start = names(whole.events).index("ToolCallStart") + 1
    told_uninterrupted = list(told)

    resumed = run(make_react(model, toolbox(tool), tmp_path), TASK, whole.events[:first_start])

    assert isinstance(resumed.events[0], ToolCallComplete)
    assert resumed.events[1] == IterationComplete(iteration=1, tokens_used=10, tools_run=1)
    assert resumed.answer == Answer("A A B")
    assert told_uninterrupted == []
    assert "1 of them were not run" in told[0]
    check_counters([*whole.events[:first_start], *resumed.events])


def cut_after_the_start_of(
    tool: RecordingTool, arguments: dict[str, Any], tmp_path: Path
) -> list[AnyEvent]:  # JSON
    """Return the events of a run up to the start of a tool, and forget that the tool ran."""
    whole = run(make_react(call_once(tool.tool.spec.name, arguments), toolbox(tool), tmp_path), TASK)
    tool.calls.clear()
    return whole.events[: names(whole.events).index("ToolCallStart") + 1]


def test_an_interrupted_tool_that_is_not_safe_to_repeat_is_not_run_again(tmp_path: Path) -> None:
    tool = RecordingTool("pay", upper, repeatable=False)
    history = cut_after_the_start_of(tool, {"text": "x"}, tmp_path)

    resumed = run(make_react(call_once("pay", {}), toolbox(tool), tmp_path), TASK, history)

    assert tool.calls == []
    outcome = resumed.events[0]
    assert isinstance(outcome, ToolCallComplete)
    assert outcome.call_id == "call-1-1"
    assert outcome.error is not None
    assert "Whether it had its effect is not known" in outcome.error
    assert "is not known" in resumed.answer.text


def test_an_interrupted_tool_is_not_run_again_with_arguments_that_were_redacted(tmp_path: Path) -> None:
    tool = RecordingTool("login", upper)
    history = cut_after_the_start_of(tool, {"password": "hunter2"}, tmp_path)

    resumed = run(make_react(call_once("login", {}), toolbox(tool), tmp_path), TASK, history)

    assert tool.calls == []
    assert "is not known" in resumed.answer.text


def test_an_answer_that_was_recorded_is_not_asked_for_again(tmp_path: Path) -> None:
    whole = run(make_react(ScriptedModel(lambda _: reply("42")), toolbox(), tmp_path), TASK)
    model = ScriptedModel(lambda _: reply("another"))

    resumed = run(make_react(model, toolbox(), tmp_path), TASK, whole.events)

    assert resumed.yielded == [Answer("42")]
    assert model.seen == []


def test_what_a_model_says_again_is_the_same_however_long_it_took() -> None:
    said = ThinkComplete(iteration=1, content="", tool_call_count=1, duration=5.0)
    turns = TurnLog([IterationStart(iteration=1, total_iters=3), said])
    turn = turns.next_turn(3)
    assert turn is not None

    again = turns.note_thought(turn, structs.replace(said, duration=700.0))
    more = turns.note_thought(turn, structs.replace(said, tool_call_count=2, duration=700.0))

    assert (again, more) == (False, True)


def test_a_model_that_says_something_else_when_asked_again_is_recorded_again(tmp_path: Path) -> None:
    whole = run(
        make_react(call_once("upper", {"text": "x"}), toolbox(RecordingTool("upper", upper)), tmp_path), TASK
    )
    history = whole.events[: names(whole.events).index("ThinkComplete") + 1]

    resumed = run(make_react(ScriptedModel(lambda _: reply("42")), toolbox(), tmp_path), TASK, history)
    again = run(
        make_react(ScriptedModel(lambda _: reply("no")), toolbox(), tmp_path), TASK, [*history, *resumed.events]
    )

    usage = Usage(input_tokens=0, output_tokens=10)
    assert resumed.yielded == [
        Checkpoint(),
        ThinkComplete(iteration=1, content="42", tool_call_count=0, usage=usage, duration=1000 / 1024),
        IterationComplete(iteration=1, tokens_used=20, tools_run=0),
        Answer("42"),
    ]
    assert again.yielded == [Answer("42")]


# Approvals.


def payments(messages: Sequence[Message]) -> ModelReply:
    """Two calls that need a person's word, with one between that does not; then the answer."""
    seen = tool_messages(messages)
    return (
        reply(" ".join(seen))
        if seen
        else reply("", ("pay", {"n": 1}), ("upper", {"text": "x"}), ("pay", {"n": 2}))
    )


def decided(request: ApprovalRequested) -> Decision:
    return Decision(approved=request.arguments == {"n": 2}, reason="Too much.")


def test_whenever_it_is_interrupted_nobody_is_asked_twice_and_nothing_is_paid_twice_or_without_a_yes(
    tmp_path: Path,
) -> None:
    pay = RecordingTool("pay", lambda arguments: f"paid {arguments['n']}", repeatable=False)
    tools = toolbox(pay, RecordingTool("upper", upper), approve=["pay"])
    whole = run(make_react(ScriptedModel(payments), tools, tmp_path), TASK, decide=decided)
    pay.calls.clear()

    for cut in range(len(whole.events) + 1):
        history = whole.events[:cut]
        resumed = run(make_react(ScriptedModel(payments), tools, tmp_path), TASK, history, decide=decided)
        union = [*history, *resumed.events]

        asked = [event.call_id for event in union if isinstance(event, ApprovalRequested)]
        resolved = [event.call_id for event in union if isinstance(event, ApprovalResolved)]
        started = [event.call_id for event in union if isinstance(event, ToolCallStart)]
        begun = any(isinstance(e, ToolCallStart) and e.tool_name == "pay" for e in history)
        assert len(set(asked)) == len(asked)
        assert set(resolved) == set(asked)
        assert set(started) <= {"call-1-2", "call-1-3"}
        assert pay.calls in ([{"n": 2}], []), cut
        assert not (begun and pay.calls)
        check_counters(union)
        pay.calls.clear()


@pytest.mark.parametrize("resolved", [0, 1])
def test_a_restart_while_somebody_thinks_changes_nothing_of_the_order_and_runs_nothing_twice(
    tmp_path: Path, resolved: int
) -> None:
    log: list[str] = []

    def tool(name: str, *, alone: bool) -> RecordingTool:
        def note(_: object) -> str:
            log.append(name)
            return name

        return RecordingTool(name, note, repeatable=False, alone=alone)

    def plan(messages: Sequence[Message]) -> ModelReply:
        told = [message.content for message in messages[2:] if message.role == "user"]
        wanted = ("write", "pay", "look", "give", "delete")
        seen = tool_messages(messages)
        return reply(" ".join([*seen, *told])) if seen else reply("", *((name, {}) for name in wanted))

    tools = toolbox(
        tool("write", alone=True), tool("pay", alone=False), tool("look", alone=False),
        tool("give", alone=False), tool("delete", alone=True), approve=["pay", "give"],
    )  # fmt: skip
    whole = run(make_react(ScriptedModel(plan), tools, tmp_path), TASK)
    in_one_run, waiting = [*log], names(whole.events).index("ApprovalResolved")
    log.clear()

    resumed = run(make_react(ScriptedModel(plan), tools, tmp_path), TASK, whole.events[: waiting + resolved])

    assert in_one_run == ["write", "look", "pay", "give", "delete"]
    assert whole.answer.text == "write pay look give delete"
    started = [e.tool_name for e in whole.events[:waiting] if isinstance(e, ToolCallStart)]
    assert started == ["write", "look"]
    assert log == ["pay", "give"]
    assert resumed.answer.text.startswith("write pay look give The task was interrupted")
    assert "1 of them were not run" in resumed.answer.text


def test_a_call_that_waited_for_a_person_is_not_run_with_what_is_left_of_its_arguments(tmp_path: Path) -> None:
    login = RecordingTool("login", upper)
    tools = toolbox(login, approve=["login"])
    whole = run(make_react(call_once("login", {"password": "hunter2"}), tools, tmp_path), TASK)
    cut = names(whole.events).index("ApprovalRequested") + 1
    ran_at_once, login.calls = login.calls, []

    resumed = run(make_react(call_once("login", {}), tools, tmp_path), TASK, whole.events[:cut])

    assert ran_at_once == [{"password": "hunter2"}]
    assert login.calls == []
    assert "Make the call again" in resumed.answer.text
    assert "ToolCallStart" not in names(resumed.events)


def test_the_arguments_that_a_person_put_in_place_of_the_models_are_on_record_and_count(tmp_path: Path) -> None:
    tool = RecordingTool("upper", upper)
    tools = toolbox(tool, approve=["upper"])
    whole = run(
        make_react(call_once("upper", {"text": "a"}), tools, tmp_path),
        TASK,
        decide=lambda _: Decision(approved=True, arguments={"text": "b"}),
    )
    cut = names(whole.events).index("ApprovalResolved") + 1
    tool.calls.clear()

    resumed = run(make_react(call_once("upper", {"text": "a"}), tools, tmp_path), TASK, whole.events[:cut])

    assert whole.answer.text == resumed.answer.text == "B"
    assert tool.calls == [{"text": "b"}]
    assert (
        ToolCallStart(iteration=1, call_id="call-1-1", tool_name="upper", arguments={"text": "b"}) in whole.events
    )


def test_a_call_that_waited_waits_on_though_it_would_not_have_to_by_now(tmp_path: Path) -> None:
    tool = RecordingTool("upper", upper)
    model = call_once("upper", {"text": "a"})
    whole = run(make_react(model, toolbox(tool, approve=["upper"]), tmp_path), TASK)
    history = whole.events[: names(whole.events).index("ApprovalRequested") + 1]
    tool.calls.clear()

    resumed = run(
        make_react(model, toolbox(tool), tmp_path), TASK, history, decide=lambda _: Decision(approved=False)
    )

    assert tool.calls == []
    assert "was denied" in resumed.answer.text


def test_after_an_interruption_the_model_is_told_of_its_calls_in_its_own_order(tmp_path: Path) -> None:
    def calls(messages: Sequence[Message]) -> ModelReply:
        seen = tool_messages(messages)
        return reply("end") if seen else reply("", ("upper", {"text": "a"}), ("pay", {"text": "b"}))

    tools = toolbox(RecordingTool("pay", upper), RecordingTool("upper", upper), approve=["pay"])
    first, second = ScriptedModel(calls), ScriptedModel(calls)
    whole = run(make_react(first, tools, tmp_path), TASK)
    cut = names(whole.events).index("IterationComplete")

    run(make_react(second, tools, tmp_path), TASK, whole.events[:cut])

    assert second.seen[0] == first.seen[1]
