"""The tool calls of one turn of the ReAct agent: side by side, alone, and with a person's word."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from alex_actors.agents import ReActAgent
from alex_actors.agents.acting import MOST_AT_ONCE
from alex_actors.events import (
    ApprovalRequested,
    ErrorRaised,
    ToolCallComplete,
    ToolCallStart,
)
from alex_actors.ports import AwaitApprovals, Decision, Message, ModelReply, ToolContext, ToolError
from alex_actors.tools import Toolbox
from alex_actors.tools.tool import FunctionTool
from alex_actors.values import Timestamp
from tests.unit.fake_agents import (
    RecordingTool,
    ScriptedModel,
    TickingClock,
    make_react,
    names,
    reply,
    run,
    run_async,
)
from tests.unit.react_scripts import TASK, tool_messages, toolbox, upper


def all_at_once(*calls: tuple[str, dict[str, Any]]) -> ScriptedModel:  # JSON
    """Return a model that makes these calls in one turn, and answers with their results."""

    def script(messages: Sequence[Message]) -> ModelReply:
        seen = tool_messages(messages)
        return reply(" | ".join(seen)) if seen else reply("", *calls)

    return ScriptedModel(script)


class Gate:
    """A tool whose calls wait for each other: each ends when the one that it names has ended."""

    def __init__(self, *, alone: bool = False) -> None:
        self.ended: dict[str, asyncio.Event] = {}
        self.log: list[str] = []
        self.recording = RecordingTool("gate", str, alone=alone)
        self.recording.tool._run = self._run

    async def _run(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON
        name, after = arguments["name"], arguments.get("after")
        self.log.append(f"{name} begins")
        if after is not None:
            await self.ended.setdefault(after, asyncio.Event()).wait()
        await asyncio.sleep(0)
        self.log.append(f"{name} ends")
        self.ended.setdefault(name, asyncio.Event()).set()
        return f"{name} of {context.call_id} for {context.task.task_id if context.task else None}"


def test_calls_of_one_turn_run_side_by_side_and_the_model_is_told_in_its_own_order(tmp_path: Path) -> None:
    gate = Gate()
    model = all_at_once(("gate", {"name": "a", "after": "b"}), ("gate", {"name": "b"}))

    ran = run(make_react(model, toolbox(gate.recording), tmp_path), TASK)

    assert gate.log == ["a begins", "b begins", "b ends", "a ends"]
    completed = [event.call_id for event in ran.events if isinstance(event, ToolCallComplete)]
    assert completed == ["call-1-2", "call-1-1"]
    assert ran.answer.text == "a of call-1-1 for task-1 | b of call-1-2 for task-1"


def test_a_tool_that_runs_alone_is_a_barrier(tmp_path: Path) -> None:
    alone, gate = RecordingTool("alone", upper, alone=True), Gate()
    model = all_at_once(
        ("gate", {"name": "a", "after": "b"}), ("gate", {"name": "b"}), ("alone", {}), ("gate", {"name": "c"})
    )

    ran = run(make_react(model, toolbox(gate.recording, alone), tmp_path), TASK)

    calls = [
        (type(event).__name__, event.call_id)
        for event in ran.events
        if isinstance(event, ToolCallStart | ToolCallComplete)
    ]
    assert calls == [
        ("ToolCallStart", "call-1-1"), ("ToolCallStart", "call-1-2"),
        ("ToolCallComplete", "call-1-2"), ("ToolCallComplete", "call-1-1"),
        ("ToolCallStart", "call-1-3"), ("ToolCallComplete", "call-1-3"),
        ("ToolCallStart", "call-1-4"), ("ToolCallComplete", "call-1-4"),
    ]  # fmt: skip


def test_what_one_call_comes_to_changes_nothing_for_those_beside_it(tmp_path: Path) -> None:
    def refuse(_: object) -> str:
        raise ToolError("no")

    def break_down(_: object) -> str:
        raise ValueError("broken")

    tools = toolbox(
        RecordingTool("no", refuse), RecordingTool("broken", break_down), RecordingTool("upper", upper)
    )

    ran = run(make_react(all_at_once(("no", {}), ("broken", {}), ("upper", {"text": "a"})), tools, tmp_path), TASK)

    failed = "The tool call failed: "
    assert ran.answer.text == f"{failed}no | {failed}ValueError: broken | A"
    assert [e.error for e in ran.events if isinstance(e, ErrorRaised)] == ["ValueError: broken"]


def test_of_a_turn_with_very_many_calls_only_so_many_run_at_once_and_each_once(tmp_path: Path) -> None:
    at_work: list[int] = []
    most: list[int] = []

    async def work(arguments: Mapping[str, Any], context: object) -> str:  # JSON
        at_work.append(arguments["n"])
        most.append(len(at_work))
        for _ in range(1 + arguments["n"] % 5):
            await asyncio.sleep(0)
        at_work.remove(arguments["n"])
        return str(arguments["n"])

    busy = RecordingTool("busy", upper)
    busy.tool._run = work

    ran = run(make_react(all_at_once(*(("busy", {"n": n}) for n in range(100))), toolbox(busy), tmp_path), TASK)

    assert max(most) == MOST_AT_ONCE
    assert ran.answer.text == " | ".join(map(str, range(100)))


@pytest.mark.parametrize("obeys", [True, False])
def test_after_a_cancel_no_call_of_the_turn_begins_any_more(tmp_path: Path, obeys: bool) -> None:
    begun: list[int] = []
    all_begun = asyncio.Event()

    async def wait(arguments: Mapping[str, Any], context: object) -> str:  # JSON
        begun.append(arguments["n"])
        if len(begun) == MOST_AT_ONCE:
            all_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if obeys:
                raise
        return ""

    waiting = RecordingTool("wait", upper)
    waiting.tool._run = wait
    agent = make_react(all_at_once(*(("wait", {"n": n}) for n in range(100))), toolbox(waiting), tmp_path)

    async def scenario() -> None:
        running = asyncio.create_task(run_async(agent, TASK))
        await asyncio.wait_for(all_begun.wait(), 10)
        running.cancel()
        await asyncio.wait([running], timeout=10)

    asyncio.run(scenario())

    assert begun == list(range(MOST_AT_ONCE))


def test_a_tool_that_awaits_what_was_cancelled_ends_its_call_and_not_the_task(tmp_path: Path) -> None:
    async def lose(arguments: object, context: object) -> str:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        lost.cancel()
        return await lost

    losing = RecordingTool("lose", upper)
    losing.tool._run = lose
    tools = toolbox(losing, RecordingTool("upper", upper))

    ran = run(make_react(all_at_once(("lose", {}), ("upper", {"text": "a"})), tools, tmp_path), TASK)

    assert ran.answer.text == "The tool call failed: CancelledError | A"
    assert [e.error for e in ran.events if isinstance(e, ErrorRaised)] == ["CancelledError"]


class Stop(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize("error", [Stop, SystemExit, KeyboardInterrupt])
def test_what_is_no_exception_goes_to_who_runs_the_agent_and_the_calls_beside_it_have_stopped(
    tmp_path: Path, error: type[BaseException]
) -> None:
    stopped: list[str] = []

    async def wait(arguments: object, context: object) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            stopped.append("waiting")
        return ""

    def stop(_: object) -> str:
        raise error

    waiting = RecordingTool("wait", upper)
    waiting.tool._run = wait
    agent = make_react(
        all_at_once(("wait", {}), ("stop", {})), toolbox(waiting, RecordingTool("stop", stop)), tmp_path
    )

    async def scenario() -> str:
        try:
            await run_async(agent, TASK)
        except error:
            return "raised"
        return "not raised"

    assert asyncio.run(scenario()) == "raised"
    assert stopped == ["waiting"]


# A person's word.


def asking(tools: Toolbox, model: ScriptedModel, root: Path, *, seconds: float | None = None) -> ReActAgent:
    return ReActAgent(
        model=model,
        toolbox=tools,
        persona=str,
        workspace=lambda _: root,
        clock=TickingClock(),
        approval_timeout_seconds=seconds,
    )


def test_calls_side_by_side_that_need_a_word_are_asked_for_at_once_when_those_that_need_none_are_done(
    tmp_path: Path,
) -> None:
    pay, look = RecordingTool("pay", upper), RecordingTool("upper", upper)
    model = all_at_once(("upper", {"text": "a"}), ("pay", {"token": "x", "text": "b"}), ("pay", {"text": "c"}))

    ran = run(asking(toolbox(pay, look, approve=["pay"]), model, tmp_path, seconds=60), TASK)

    (asked,) = [item for item in ran.yielded if isinstance(item, AwaitApprovals)]
    until = Timestamp("2026-01-01T00:01:00.000000Z")
    assert asked.requests == (
        ApprovalRequested(
            iteration=1, call_id="call-1-2", tool_name="pay", arguments={"token": "[redacted]", "text": "b"},
            expires_at=until,
        ),
        ApprovalRequested(
            iteration=1, call_id="call-1-3", tool_name="pay", arguments={"text": "c"}, expires_at=until
        ),
    )  # fmt: skip
    assert [name for name in names(ran.yielded) if name.startswith(("Tool", "Await"))] == [
        "ToolCallStart", "ToolCallComplete", "AwaitApprovals",
        "ToolCallStart", "ToolCallStart", "ToolCallComplete", "ToolCallComplete",
    ]  # fmt: skip
    assert pay.calls == [{"token": "x", "text": "b"}, {"text": "c"}]
    assert ran.answer.text == "A | B | C"


def test_a_question_comes_after_what_runs_before_it_and_before_what_runs_after_it(tmp_path: Path) -> None:
    write = RecordingTool("write", upper, alone=True, repeatable=False)
    tools = toolbox(write, RecordingTool("pay", upper), approve=["pay"])
    model = all_at_once(("pay", {}), ("write", {}), ("pay", {}), ("pay", {}), ("write", {}))

    ran = run(asking(tools, model, tmp_path), TASK)

    told = [
        (type(event).__name__[:-5], event.call_id)
        for event in ran.events
        if isinstance(event, ApprovalRequested | ToolCallStart)
    ]
    asked, start = "ApprovalRequ", "ToolCall"
    assert [(kind, int(call_id[-1])) for kind, call_id in told] == [
        (asked, 1), (start, 1), (start, 2), (asked, 3), (asked, 4), (start, 3), (start, 4), (start, 5)
    ]  # fmt: skip


def test_without_a_time_limit_a_person_may_take_for_ever(tmp_path: Path) -> None:
    tools = toolbox(RecordingTool("pay", upper), approve=["pay"])

    ran = run(asking(tools, all_at_once(("pay", {})), tmp_path), TASK)

    assert next(e for e in ran.events if isinstance(e, ApprovalRequested)).expires_at is None


def test_a_call_that_is_denied_is_not_run_and_the_model_is_told_why(tmp_path: Path) -> None:
    pay = RecordingTool("pay", upper)
    tools = toolbox(pay, RecordingTool("upper", upper), approve=["pay"])
    model = all_at_once(("pay", {}), ("upper", {"text": "a"}))

    ran = run(
        make_react(model, tools, tmp_path),
        TASK,
        decide=lambda _: Decision(approved=False, reason="Too\nmuch, sk-proj-0123456789abcdef."),
    )

    assert pay.calls == []
    assert [e.call_id for e in ran.events if isinstance(e, ToolCallStart)] == ["call-1-2"]
    assert [(e.call_id, e.result) for e in ran.events if isinstance(e, ToolCallComplete)] == [
        ("call-1-2", "A"), ("call-1-1", None)
    ]  # fmt: skip
    assert ran.answer.text == (
        "The tool call failed: This call was not run: it needs a person's approval, and was denied. "
        "The reason: Too much, [redacted]. | A"
    )


def test_a_call_that_nobody_decided_on_is_not_run(tmp_path: Path) -> None:
    pay = RecordingTool("pay", upper)
    agent = make_react(all_at_once(("pay", {})), toolbox(pay, approve=["pay"]), tmp_path)

    async def scenario() -> None:
        async for _ in agent.run(TASK, ()):
            pass  # what waits is not answered

    asyncio.run(scenario())

    assert pay.calls == []


def test_the_arguments_of_a_person_are_checked_by_the_tool_as_the_models_are(tmp_path: Path) -> None:
    recording = RecordingTool("pay", upper)
    spec = recording.tool.spec
    strict = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = FunctionTool(
        spec=type(spec)(name="pay", description="", parameters=strict, repeatable=True), run=recording._call
    )
    tools = Toolbox(tools={"pay": tool}, presets={"all": ("pay",)}, approve_always=["pay"])

    ran = run(
        make_react(all_at_once(("pay", {"n": 1})), tools, tmp_path),
        TASK,
        decide=lambda _: Decision(approved=True, arguments={"n": "one"}),
    )

    assert recording.calls == []
    assert ran.answer.text.startswith("The tool call failed: ")
