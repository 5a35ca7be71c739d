"""The toolbox: what a preset offers, what it refuses and how it says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from alex_actors.ports import AgentError, ToolContext, ToolError, ToolSpec
from alex_actors.tools import Toolbox
from alex_actors.tools.tool import FunctionTool, in_thread, parameters
from alex_actors.values import TaskId
from tests.unit.tool_limits import tools_without_a_sandbox

CONTEXT = ToolContext(TaskId("task-1"), Path("nowhere"))


class Calls:
    """Counts the calls of a tool."""

    def __init__(self) -> None:
        self.arguments: list[Mapping[str, Any]] = []  # JSON

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON
        self.arguments.append(arguments)
        return "done"


def tool(name: str, calls: Calls, *, repeatable: bool = True) -> FunctionTool:
    schema = parameters({"n": {"type": "integer"}, "text": {"type": "string", "default": "x"}}, required=("n",))
    spec = ToolSpec(name=name, description=name, parameters=schema, repeatable=repeatable)
    return FunctionTool(spec=spec, run=calls.run)


def toolbox(calls: Calls) -> Toolbox:
    return Toolbox(
        tools={"think": tool("think", calls), "shell": tool("shell", calls, repeatable=False)},
        presets={"safe": ("think", "web_fetch"), "full": ("think", "shell"), "all": ("shell",)},
    )


def error_of(box: Toolbox, name: str, arguments: dict[str, Any], preset: str = "safe") -> str:  # JSON
    with pytest.raises(ToolError) as raised:
        asyncio.run(box.call(name, arguments, CONTEXT, preset))
    return str(raised.value)


def test_a_preset_offers_its_tools_that_are_there() -> None:
    box = toolbox(Calls())

    offered = box.offered("safe")

    assert [spec.name for spec in offered] == ["think"]


def test_an_unknown_preset_fails_and_names_those_that_there_are() -> None:
    box = toolbox(Calls())

    with pytest.raises(AgentError, match="There is no tool preset 'x'; there are: all, full, safe"):
        box.offered("x")


def test_a_tool_gets_its_arguments_with_defaults_filled_in() -> None:
    calls = Calls()

    result = asyncio.run(toolbox(calls).call("think", {"n": 1}, CONTEXT, "safe"))

    assert result == "done"
    assert calls.arguments == [{"n": 1, "text": "x"}]


def test_a_refused_tool_does_not_run_and_says_which_presets_would_allow_it() -> None:
    calls = Calls()

    error = error_of(toolbox(calls), "shell", {"n": 1})

    assert error == "The tool preset 'safe' does not allow 'shell'; 'full' and 'all' would."
    assert calls.arguments == []


def test_a_tool_that_one_preset_allows_is_refused_with_its_name() -> None:
    box = Toolbox(
        tools=tools_without_a_sandbox(),
        presets={"safe": ("think",), "full": ("shell",)},
    )

    error = error_of(box, "shell", {"command": "ls"})

    assert error == "The tool preset 'safe' does not allow 'shell'; 'full' would."


def test_an_unknown_tool_is_refused_with_those_that_are_offered() -> None:
    assert error_of(toolbox(Calls()), "x", {}) == "There is no tool 'x'. The tools are: think."


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "'think' needs the argument 'n'. It takes: n, text."),
        ({"n": 1, "m": 2}, "'think' has no argument 'm'. It takes: n, text."),
        ({"n": "1"}, "The argument 'n' of 'think' must be of type integer, not string."),
        ({"n": True}, "The argument 'n' of 'think' must be of type integer, not boolean."),
        ({"n": 1, "text": None}, "The argument 'text' of 'think' must be of type string, not null."),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(arguments: dict[str, Any], error: str) -> None:  # JSON
    calls = Calls()

    assert error_of(toolbox(calls), "think", arguments) == error
    assert calls.arguments == []


class Lenient:
    """A tool that takes arguments of which its specification says nothing."""

    spec = tool("lenient", Calls()).spec

    async def __call__(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON
        return str(arguments)


def test_the_check_of_arguments_is_left_to_the_tool() -> None:
    box = Toolbox(tools={"lenient": Lenient()}, presets={"safe": ("lenient",)})

    assert asyncio.run(box.call("lenient", {"m": 1}, CONTEXT, "safe")) == "{'m': 1}"


def test_only_a_tool_that_would_run_can_be_unsafe_to_repeat() -> None:
    box = toolbox(Calls())

    assert [box.repeatable(name, "full") for name in ("think", "shell", "x")] == [True, False, True]
    assert box.repeatable("shell", "safe")


def test_the_built_in_tools_are_these() -> None:
    tools = tools_without_a_sandbox()

    assert list(tools) == [
        "think", "calculator", "list_files", "file_read", "search", "file_write", "file_edit", "web_fetch",
        "shell", "todo",
    ]  # fmt: skip
    assert [name for name, tool in tools.items() if not tool.spec.repeatable] == ["file_edit", "shell"]
    assert [name for name, tool in tools.items() if tool.spec.alone] == [
        "file_write",
        "file_edit",
        "shell",
        "todo",
    ]


def test_the_toolbox_says_which_tools_run_alone() -> None:
    box = Toolbox(tools=tools_without_a_sandbox(), presets={})

    assert [box.alone(name) for name in ("shell", "file_read", "none")] == [True, False, False]


def test_thinking_returns_the_thought() -> None:
    think = tools_without_a_sandbox()["think"]

    assert asyncio.run(think({"thought": "7"}, CONTEXT)) == "7"


def test_a_cancel_waits_for_work_on_a_thread() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []
        loop = asyncio.get_running_loop()
        started, released = asyncio.Event(), asyncio.Event()

        def work() -> None:
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
            log.append("work ended")
            raise ValueError("of no interest any more")

        running = asyncio.ensure_future(in_thread(work, on_cancel=lambda: log.append("told")))
        await started.wait()
        running.cancel()
        loop.call_soon(released.set)
        with pytest.raises(asyncio.CancelledError):
            await running
        return log.copy()  # as it is now: asyncio.run() waits for the threads

    assert asyncio.run(scenario()) == ["told", "work ended"]


def test_another_cancel_waits_for_work_on_a_thread_as_well() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []
        loop = asyncio.get_running_loop()
        started, released = asyncio.Event(), asyncio.Event()

        def work() -> None:
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
            log.append("work ended")

        running = asyncio.ensure_future(in_thread(work, on_cancel=lambda: log.append("told")))
        await started.wait()
        for _ in range(3):
            running.cancel()
            await asyncio.sleep(0)
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        return log.copy()  # as it is now: asyncio.run() waits for the threads

    assert asyncio.run(scenario()) == ["told", "work ended"]


def test_work_that_waits_for_a_thread_when_it_is_cancelled_is_never_begun() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []
        loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(1)
        loop.set_default_executor(threads)
        started, released = asyncio.Event(), asyncio.Event()

        def work() -> None:
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
            log.append("first")

        first = asyncio.ensure_future(in_thread(work))
        await started.wait()
        second = asyncio.ensure_future(in_thread(lambda: log.append("second")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second  # and not only when there is a thread for it
        released.set()
        await first
        await in_thread(lambda: log.append("third"))
        return log

    assert asyncio.run(scenario()) == ["first", "third"]
