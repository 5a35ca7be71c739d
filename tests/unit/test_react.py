"""The ReAct agent: what it yields and when, what it survives, and that it goes on where it was."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from alex_actors.agents.react import MAX_ARGUMENTS
from alex_actors.events import (
    AnyEvent,
    ErrorRaised,
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
)
from alex_actors.ports import AgentError, Answer, Checkpoint, Message, ModelReply, ToolError
from alex_actors.tools import Toolbox
from tests.unit.fake_agents import (
    RecordingTool,
    ScriptedModel,
    make_react,
    make_task,
    names,
    reply,
    run,
    run_async,
    without_durations,
)

TICK = 1000 / 1024
TASK = make_task("Find it", tool_preset="all")


def upper(arguments: Mapping[str, Any]) -> str:  # JSON
    return str(arguments.get("text", "")).upper()


def toolbox(*tools: RecordingTool) -> Toolbox:
    specs = {tool.tool.spec.name: tool.tool for tool in tools}
    return Toolbox(tools=specs, presets={"all": tuple(specs), "none": ()})


def tool_messages(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages if message.role == "tool"]


def two_then_one_then_answer(messages: Sequence[Message]) -> ModelReply:
    """Two calls, one call, an answer made of all results: what comes next follows from what was seen."""
    seen = tool_messages(messages)
    if len(seen) < 2:
        return reply("two", ("upper", {"text": "a"}), ("upper", {"text": "b"}))
    if len(seen) < 3:
        return reply("one", ("upper", {"text": "c"}))
    return reply(" ".join(seen))


def test_a_task_is_a_loop_of_thinking_and_acting_until_an_answer(tmp_path: Path) -> None:
    model = ScriptedModel(two_then_one_then_answer)

    ran = run(make_react(model, toolbox(RecordingTool("upper", upper)), tmp_path), TASK)

    assert ran.yielded[:9] == [
        TaskAnalysis(action_name="Find it", goal="Find it"),
        IterationStart(iteration=1, total_iters=50),
        Thinking(iteration=1, message_count=2),
        Checkpoint(),
        ThinkComplete(iteration=1, content="two", tool_call_count=2),
        ToolCallStart(iteration=1, call_id="call-1-1", tool_name="upper", arguments={"text": "a"}),
        ToolCallComplete(call_id="call-1-1", tool_name="upper", result="A", error=None, duration=TICK),
        ToolCallStart(iteration=1, call_id="call-1-2", tool_name="upper", arguments={"text": "b"}),
        ToolCallComplete(call_id="call-1-2", tool_name="upper", result="B", error=None, duration=TICK),
    ]
    completed = [item for item in ran.yielded if isinstance(item, IterationComplete)]
    assert completed == [
        IterationComplete(iteration=1, tokens_used=10, tools_run=2),
        IterationComplete(iteration=2, tokens_used=20, tools_run=1),
        IterationComplete(iteration=3, tokens_used=30, tools_run=0),
    ]
    assert ran.answer == Answer("A B C")
    assert names(ran.yielded[-2:]) == ["IterationComplete", "Answer"]


def test_the_model_sees_the_persona_the_task_its_calls_and_their_results(tmp_path: Path) -> None:
    model = ScriptedModel(two_then_one_then_answer)

    run(make_react(model, toolbox(RecordingTool("upper", upper)), tmp_path), TASK)

    messages, tools = model.seen[1]
    assert tools == ("upper",)
    assert [(m.role, m.content, len(m.tool_calls), m.call_id) for m in messages] == [
        ("system", "You are default.", 0, None),
        ("user", "Find it", 0, None),
        ("assistant", "two", 2, None),
        ("tool", "A", 0, "call-1-1"),
        ("tool", "B", 0, "call-1-2"),
    ]


def test_the_tool_preset_decides_which_tools_the_model_is_offered(tmp_path: Path) -> None:
    model = ScriptedModel(lambda _: reply("done"))

    run(
        make_react(model, toolbox(RecordingTool("upper", upper)), tmp_path),
        make_task("x", tool_preset="none"),
    )

    assert model.seen[0][1] == ()


def call_once(name: str, arguments: dict[str, Any]) -> ScriptedModel:  # JSON
    """Return a model that calls a tool once and answers with its result."""
    return ScriptedModel(
        lambda messages: (
            reply(tool_messages(messages)[-1]) if tool_messages(messages) else reply("", (name, arguments))
        )
    )


def test_a_tools_refusal_is_told_to_the_model_and_the_task_goes_on(tmp_path: Path) -> None:
    def refuse(arguments: Mapping[str, Any]) -> str:  # JSON
        raise ToolError("Not so.")

    ran = run(make_react(call_once("no", {}), toolbox(RecordingTool("no", refuse)), tmp_path), TASK)

    assert ran.answer.text == "The tool call failed: Not so."
    outcome = next(item for item in ran.yielded if isinstance(item, ToolCallComplete))
    assert (outcome.result, outcome.error) == (None, "Not so.")
    assert "ErrorRaised" not in names(ran.yielded)


def test_a_call_that_is_too_large_to_be_recorded_is_not_run(tmp_path: Path) -> None:
    tool = RecordingTool("upper", upper)

    ran = run(make_react(call_once("upper", {"text": "x" * MAX_ARGUMENTS}), toolbox(tool), tmp_path), TASK)

    start = next(item for item in ran.yielded if isinstance(item, ToolCallStart))
    assert start.arguments == {}
    assert f"{MAX_ARGUMENTS} may be" in ran.answer.text


def test_a_tool_that_breaks_ends_its_call_and_not_the_task(tmp_path: Path) -> None:
    def break_down(arguments: Mapping[str, Any]) -> str:  # JSON
        raise KeyError("line one\nline two")

    ran = run(make_react(call_once("x", {}), toolbox(RecordingTool("x", break_down)), tmp_path), TASK)

    error = r"KeyError: 'line one\nline two'"
    assert names(ran.yielded)[6:9] == ["ToolCallComplete", "ErrorRaised", "IterationComplete"]
    assert ErrorRaised(iteration=1, phase="execute", error=error, recoverable=True) in ran.yielded
    assert ran.answer.text == f"The tool call failed: {error}"


@pytest.mark.parametrize(
    ("raised", "text"),
    [(AgentError("The model is busy."), "The model is busy."), (ValueError("a\n b"), "ValueError: a b")],
)
def test_a_model_that_raises_fails_the_task(tmp_path: Path, raised: Exception, text: str) -> None:
    def fail(messages: Sequence[Message]) -> ModelReply:
        raise raised

    ran = run(make_react(ScriptedModel(fail), toolbox(), tmp_path), TASK)

    assert ran.yielded[-1] == ErrorRaised(iteration=1, phase="think", error=text, recoverable=False)
    assert ran.error == text


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (AgentError("sk-proj-0123456789abcdef \ud800"), "[redacted] ?"),
        (ValueError("sk-proj-0123456789abcdef \ud800"), "ValueError: [redacted] ?"),
        (Mute(), "Mute"),
    ],
)
def test_what_is_told_of_an_error_has_no_secrets_and_can_be_recorded(
    tmp_path: Path, raised: Exception, text: str
) -> None:
    def fail(_: object) -> Any:  # it never returns
        raise raised

    thinking = run(make_react(ScriptedModel(fail), toolbox(), tmp_path), TASK)
    acting = run(make_react(call_once("x", {}), toolbox(RecordingTool("x", fail)), tmp_path), TASK)

    assert thinking.error is not None
    assert thinking.error.removesuffix(":") == text
    assert acting.answer.text.removesuffix(":") == f"The tool call failed: {text}"


def test_what_a_tool_says_can_be_recorded(tmp_path: Path) -> None:
    def refuse(arguments: Mapping[str, Any]) -> str:  # JSON
        raise ToolError("no \ud800")

    tools = toolbox(RecordingTool("x", lambda _: "yes \ud800"), RecordingTool("no", refuse))

    answers = [run(make_react(call_once(name, {}), tools, tmp_path), TASK).answer.text for name in ("x", "no")]

    assert answers == ["yes ?", "The tool call failed: no ?"]


def test_a_tool_preset_that_is_gone_fails_the_task(tmp_path: Path) -> None:
    ran = run(
        make_react(call_once("x", {}), toolbox(), tmp_path),
        make_task("x", tool_preset="gone"),
    )

    assert ran.error == "There is no tool preset 'gone'; there are: all, none."


def test_used_up_iterations_end_with_what_the_task_had(tmp_path: Path) -> None:
    model = ScriptedModel(lambda _: reply("again", ("upper", {"text": "x"})))
    task = make_task("x", tool_preset="all", max_iterations=3)

    ran = run(make_react(model, toolbox(RecordingTool("upper", upper)), tmp_path), task)

    assert ran.answer.stop_reason == "max_iterations"
    assert ran.answer.text == (
        "Stopped after 3 iterations, the limit of this task, without a final answer.\n"
        "The model said last: again\nThe last tool call came to: X"
    )
    assert names(ran.yielded).count("IterationStart") == 3


def test_only_a_tool_that_is_not_safe_to_repeat_has_a_checkpoint_before_it(tmp_path: Path) -> None:
    safe = RecordingTool("safe", upper)
    unsafe = RecordingTool("unsafe", upper, repeatable=False)
    script = ScriptedModel(lambda m: reply("end") if tool_messages(m) else reply("", ("safe", {}), ("unsafe", {})))

    ran = run(make_react(script, toolbox(safe, unsafe), tmp_path), TASK)

    assert names(ran.yielded)[5:10] == [
        "ToolCallStart", "ToolCallComplete", "ToolCallStart", "Checkpoint", "ToolCallComplete"
    ]  # fmt: skip


def test_secrets_in_arguments_are_redacted_in_events_and_not_for_the_tool(tmp_path: Path) -> None:
    tool = RecordingTool("login", lambda _: "in")

    ran = run(make_react(call_once("login", {"password": "hunter2"}), toolbox(tool), tmp_path), TASK)

    start = next(item for item in ran.yielded if isinstance(item, ToolCallStart))
    assert start.arguments == {"password": "[redacted]"}
    assert tool.calls == [{"password": "hunter2"}]


@pytest.mark.parametrize("during", ["model", "tool"])
def test_a_cancel_passes_through(tmp_path: Path, during: str) -> None:
    async def scenario() -> None:
        started = asyncio.Event()

        class Waiting:
            async def complete(self, messages: Sequence[Message], tools: Sequence[object]) -> ModelReply:
                if during == "tool":
                    return reply("", ("wait", {}))
                return await wait()

        async def wait() -> ModelReply:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError("the wait never ends by itself")

        tool = RecordingTool("wait", upper)

        async def run_tool(arguments: object, context: object) -> str:
            return (await wait()).content

        tool.tool._run = run_tool
        running = asyncio.ensure_future(run_async(make_react(Waiting(), toolbox(tool), tmp_path), TASK))
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())


def resume_everywhere(tmp_path: Path, model: ScriptedModel, tools: Toolbox) -> None:
    """Cut a run at every event and go on: with what was recorded, it is the run that was not cut."""
    whole = run(make_react(model, tools, tmp_path), TASK)
    for cut in range(len(whole.events) + 1):
        history = whole.events[:cut]
        resumed = run(make_react(model, tools, tmp_path), TASK, history)
        assert resumed.answer == whole.answer, cut
        union = [*history, *resumed.events]
        check_counters(union)
        assert [e for e in without_durations(union) if "tokens_used" not in e] == [
            e for e in without_durations(whole.events) if "tokens_used" not in e
        ], cut


def check_counters(events: Sequence[AnyEvent]) -> None:
    starts = [event.iteration for event in events if isinstance(event, IterationStart)]
    completed = [event for event in events if isinstance(event, IterationComplete)]
    tokens = [event.tokens_used for event in completed]
    assert starts == list(range(1, len(starts) + 1))
    assert [event.iteration for event in completed] == starts
    assert all(before < after for before, after in itertools.pairwise(tokens)), tokens
    assert sum(isinstance(event, TaskAnalysis) for event in events) == 1


def test_a_run_that_is_cut_at_any_event_and_resumed_is_the_same_run(tmp_path: Path) -> None:
    def one_by_one(messages: Sequence[Message]) -> ModelReply:
        seen = tool_messages(messages)
        return (
            reply(f"next {len(seen)}", ("upper", {"text": "abc"[len(seen)]}))
            if len(seen) < 3
            else reply(" ".join(seen))
        )

    resume_everywhere(tmp_path, ScriptedModel(one_by_one), toolbox(RecordingTool("upper", upper)))


def test_a_turn_whose_later_calls_were_not_recorded_is_completed_and_the_model_told(tmp_path: Path) -> None:
    told: list[str] = []

    def answers(messages: Sequence[Message]) -> ModelReply:
        told.extend(message.content for message in messages[2:] if message.role == "user")
        return two_then_one_then_answer(messages)

    model = ScriptedModel(answers)
    tool = RecordingTool("upper", upper)
    whole = run(make_react(model, toolbox(tool), tmp_path), TASK)
    first_result = names(whole.events).index("ToolCallComplete") + 1
    told_uninterrupted = list(told)

    resumed = run(make_react(model, toolbox(tool), tmp_path), TASK, whole.events[:first_result])

    assert resumed.events[0] == IterationComplete(iteration=1, tokens_used=5, tools_run=1)
    assert resumed.answer == Answer("A A B")
    assert told_uninterrupted == []
    assert "1 of them were not run" in told[0]
    check_counters([*whole.events[:first_result], *resumed.events])


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


def test_a_model_that_says_something_else_when_asked_again_is_recorded_again(tmp_path: Path) -> None:
    whole = run(
        make_react(call_once("upper", {"text": "x"}), toolbox(RecordingTool("upper", upper)), tmp_path), TASK
    )
    history = whole.events[: names(whole.events).index("ThinkComplete") + 1]

    resumed = run(make_react(ScriptedModel(lambda _: reply("42")), toolbox(), tmp_path), TASK, history)
    again = run(
        make_react(ScriptedModel(lambda _: reply("no")), toolbox(), tmp_path), TASK, [*history, *resumed.events]
    )

    assert resumed.yielded == [
        Checkpoint(),
        ThinkComplete(iteration=1, content="42", tool_call_count=0),
        IterationComplete(iteration=1, tokens_used=10, tools_run=0),
        Answer("42"),
    ]
    assert again.yielded == [Answer("42")]
