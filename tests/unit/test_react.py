"""The ReAct agent: what it yields and when, and what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from alex_actors.agents.acting import MAX_ARGUMENTS
from alex_actors.events import (
    ErrorRaised,
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
    Usage,
)
from alex_actors.ports import (
    AgentError,
    Answer,
    Checkpoint,
    Message,
    ModelEvent,
    ModelReply,
    TextDelta,
    ToolError,
)
from tests.unit.fake_agents import (
    RecordingTool,
    ScriptedModel,
    make_react,
    make_task,
    names,
    reply,
    run,
    run_async,
)
from tests.unit.react_scripts import TASK, call_once, tool_messages, toolbox, two_then_one_then_answer, upper

TICK = 1000 / 1024


def test_a_task_is_a_loop_of_thinking_and_acting_until_an_answer(tmp_path: Path) -> None:
    model = ScriptedModel(two_then_one_then_answer)

    ran = run(make_react(model, toolbox(RecordingTool("upper", upper)), tmp_path), TASK)

    usage = Usage(input_tokens=0, output_tokens=10)
    assert ran.yielded[:9] == [
        TaskAnalysis(action_name="Find it", goal="Find it"),
        IterationStart(iteration=1, total_iters=50),
        Thinking(iteration=1, message_count=2),
        Checkpoint(),
        ThinkComplete(iteration=1, content="two", tool_call_count=2, usage=usage, duration=TICK),
        ToolCallStart(iteration=1, call_id="call-1-1", tool_name="upper", arguments={"text": "a"}),
        ToolCallStart(iteration=1, call_id="call-1-2", tool_name="upper", arguments={"text": "b"}),
        ToolCallComplete(call_id="call-1-1", tool_name="upper", result="A", error=None, duration=2 * TICK),
        ToolCallComplete(call_id="call-1-2", tool_name="upper", result="B", error=None, duration=2 * TICK),
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


def test_before_a_tool_that_is_not_safe_to_repeat_all_starts_are_committed(tmp_path: Path) -> None:
    safe = RecordingTool("safe", upper)
    unsafe = RecordingTool("unsafe", upper, repeatable=False)
    script = ScriptedModel(lambda m: reply("end") if tool_messages(m) else reply("", ("safe", {}), ("unsafe", {})))
    alone = ScriptedModel(lambda m: reply("end") if tool_messages(m) else reply("", ("safe", {})))

    both = run(make_react(script, toolbox(safe, unsafe), tmp_path), TASK)
    one = run(make_react(alone, toolbox(safe, unsafe), tmp_path), TASK)

    assert names(both.yielded)[5:10] == [
        "ToolCallStart", "ToolCallStart", "Checkpoint", "ToolCallComplete", "ToolCallComplete"
    ]  # fmt: skip
    assert names(one.yielded)[5:8] == ["ToolCallStart", "ToolCallComplete", "IterationComplete"]


def test_secrets_in_arguments_are_redacted_in_events_and_not_for_the_tool(tmp_path: Path) -> None:
    tool = RecordingTool("login", lambda _: "in")

    ran = run(make_react(call_once("login", {"password": "hunter2"}), toolbox(tool), tmp_path), TASK)

    start = next(item for item in ran.yielded if isinstance(item, ToolCallStart))
    assert start.arguments == {"password": "[redacted]"}
    assert tool.calls == [{"password": "hunter2"}]


class Waiting:
    """A model that begins to speak and then waits for ever, or one that calls a tool that does."""

    context_tokens = None

    def __init__(self, during: str) -> None:
        self.started = asyncio.Event()
        self.closed = 0
        self._during = during

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[object]
    ) -> AsyncGenerator[ModelEvent, None]:
        if self._during == "tool":
            yield reply("", ("wait", {}), ("wait", {}))
            return
        yield TextDelta("Well, ")
        await self.wait()

    async def wait(self, *_: object) -> str:
        try:
            self.started.set()
            await asyncio.Event().wait()
        finally:
            self.closed += 1
        return "never"


@pytest.mark.parametrize(("during", "closed"), [("model", 1), ("tool", 2)])
def test_a_cancel_passes_through_and_what_ran_has_stopped_by_then(
    tmp_path: Path, during: str, closed: int
) -> None:
    async def scenario() -> int:
        model, tool = Waiting(during), RecordingTool("wait", upper)
        tool.tool._run = model.wait
        running = asyncio.ensure_future(run_async(make_react(model, toolbox(tool), tmp_path), TASK))
        await model.started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return model.closed

    assert asyncio.run(scenario()) == closed
