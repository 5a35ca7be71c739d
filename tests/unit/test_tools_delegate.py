"""The tool that hands on a part of a task: what a sub-agent may have, and what its call gives back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from alex_actors.ports import Tool, ToolContext, ToolError
from alex_actors.sub_agents import SubAgents
from alex_actors.tasks import NewTask, Result, Task
from alex_actors.tools.delegate import delegate_tool
from alex_actors.tools.excerpts import MAX_TEXT
from alex_actors.values import TaskId
from tests.unit.protocol_system import a_task

PARENT = a_task("parent")
WITHIN = {("read-only", "safe")}


def ended(answer: str) -> Task:
    """Return a task that came to an answer."""
    result = Result(answer=answer, iterations=1, tokens_used=1, stop_reason="final_answer")
    return msgspec.structs.replace(a_task("child"), status="completed", result=result)


class FakeSubAgents:
    """Remembers what is asked for, and answers when it may."""

    def __init__(self, answer: Task | None, *, depth: int = 0) -> None:
        self.asked: list[tuple[NewTask, str]] = []
        self.at_work = self.most_at_work = 0
        self._answer = answer
        self._depth = depth

    async def depth(self, task: Task) -> int:
        assert task is PARENT
        return self._depth

    async def run(self, new: NewTask, *, parent: Task, call_id: str) -> Task | None:
        assert parent is PARENT
        self.asked.append((new, call_id))
        self.at_work += 1
        self.most_at_work = max(self.at_work, self.most_at_work)
        await asyncio.sleep(0)
        self.at_work -= 1
        return self._answer


def tool_over(fake: FakeSubAgents, *, most_at_once: int = 8, max_depth: int = 1) -> Tool:
    return delegate_tool(
        sub_agents=lambda: cast(SubAgents, fake),
        within=lambda inner, outer: (inner, outer) in WITHIN,
        agent_presets=("default", "critic"),
        models_of_presets={"critic": "large"},
        most_at_once=most_at_once,
        max_depth=max_depth,
    )


def call(tool: Tool, *, call_id: str = "call-1-1", of: Task | None = PARENT, **arguments: Any) -> str:  # JSON
    context = ToolContext(TaskId("parent"), Path("nowhere"), call_id=call_id, task=of)
    return asyncio.run(_awaited(tool, arguments, context))


async def _awaited(tool: Tool, arguments: dict[str, Any], context: ToolContext) -> str:  # Any: JSON
    return await tool(arguments, context)


def test_a_sub_agent_has_what_its_parent_has_and_its_answer_is_the_result() -> None:
    fake = FakeSubAgents(ended("It is 4."))

    result = call(tool_over(fake), task="What is 2 + 2?")

    ((new, call_id),) = fake.asked
    assert result == "It is 4."
    assert call_id == "call-1-1"
    assert new == NewTask(
        task="What is 2 + 2?", session_id=PARENT.session_id, agent_preset=PARENT.agent_preset,
        tool_preset=PARENT.tool_preset, model=PARENT.model, strategy="parallel", timeout_seconds=None,
        max_iterations=PARENT.max_iterations, metadata={}, parent_task_id=PARENT.task_id,
    )  # fmt: skip


def test_another_agent_and_fewer_tools_can_be_asked_for() -> None:
    fake = FakeSubAgents(ended("Fine."))

    call(tool_over(fake), task="Look at it", agent_preset="critic", tool_preset="read-only")

    ((new, _),) = fake.asked
    assert (new.agent_preset, new.tool_preset) == ("critic", "read-only")
    assert new.model == "large", "the preset's own"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"task": " "}, "must say what is to be done"),
        ({"task": "x" * 100_001}, "has 100,001 characters; 100,000 may be"),
        ({"task": "x", "tool_preset": "all"}, "'all' is not within that"),
        ({"task": "x", "agent_preset": "nobody"}, "there are: critic, default"),
        ({"task": 1}, "must be of type string"),
        ({}, "needs the argument 'task'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_a_reason(arguments: dict[str, Any], told: str) -> None:
    fake = FakeSubAgents(ended("No."))
    tool = tool_over(fake)
    context = ToolContext(TaskId("parent"), Path("nowhere"), call_id="call-1-1", task=PARENT)

    with pytest.raises(ToolError) as refusal:
        asyncio.run(_awaited(tool, arguments, context))

    assert told in str(refusal.value)
    assert fake.asked == []


@pytest.mark.parametrize(("depth", "max_depth"), [(0, 0), (1, 1), (2, 2)])
def test_sub_agents_are_only_so_deep(depth: int, max_depth: int) -> None:
    fake = FakeSubAgents(ended("No."), depth=depth)

    with pytest.raises(ToolError, match="so deep down already"):
        call(tool_over(fake, max_depth=max_depth), task="x")

    assert fake.asked == []


def test_only_a_tasks_own_call_that_has_a_name_can_be_told_from_others() -> None:
    tool = tool_over(FakeSubAgents(ended("No.")))

    with pytest.raises(ToolError, match="a call that has a name"):
        call(tool, call_id="", task="x")
    with pytest.raises(ToolError, match="Only a task"):
        call(tool, of=None, task="x")


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (msgspec.structs.replace(a_task("child"), status="failed", error="No model."), "failed: No model."),
        (msgspec.structs.replace(a_task("child"), status="cancelled", error="By hand."), "cancelled: By hand."),
        (None, "was deleted"),
    ],
)
def test_the_model_is_told_why_there_is_no_answer(task: Task | None, told: str) -> None:
    tool = tool_over(FakeSubAgents(task))

    with pytest.raises(ToolError) as refusal:
        call(tool, task="x")

    assert told in str(refusal.value)


def test_a_long_answer_is_cut_and_the_model_is_told_so() -> None:
    tool = tool_over(FakeSubAgents(ended("ä" * MAX_TEXT)))

    result = call(tool, task="x")

    assert len(result.encode()) < MAX_TEXT + 100
    assert "only the first" in result


def test_no_more_sub_agents_of_a_task_are_at_work_than_may() -> None:
    fake = FakeSubAgents(ended("Done."))
    tool = tool_over(fake, most_at_once=2)

    async def five() -> list[str]:
        contexts = [
            ToolContext(TaskId("parent"), Path("nowhere"), call_id=f"call-{n}", task=PARENT) for n in range(5)
        ]
        return await asyncio.gather(*(tool({"task": "x"}, context) for context in contexts))

    results = asyncio.run(five())

    assert results == ["Done."] * 5
    assert fake.most_at_work == 2


@pytest.mark.parametrize("rounds", [1, 2])
def test_who_is_cancelled_while_it_waits_keeps_no_room(rounds: int) -> None:
    fake = FakeSubAgents(ended("Done."))
    tool = tool_over(fake, most_at_once=1)

    async def scenario() -> list[str | BaseException]:
        contexts = [
            ToolContext(TaskId("parent"), Path("nowhere"), call_id=f"call-{n}", task=PARENT) for n in range(4)
        ]
        jobs = [asyncio.ensure_future(_awaited(tool, {"task": "x"}, context)) for context in contexts]
        for _ in range(rounds):
            await asyncio.sleep(0)
        jobs[1].cancel()
        return await asyncio.gather(*jobs, return_exceptions=True)

    results = asyncio.run(asyncio.wait_for(scenario(), timeout=10))

    assert [results[number] for number in (0, 2, 3)] == ["Done."] * 3
    assert isinstance(results[1], asyncio.CancelledError)
    assert fake.most_at_work == 1


def test_repeating_it_is_harmless_and_it_runs_beside_others() -> None:
    spec = tool_over(FakeSubAgents(None)).spec

    assert (spec.repeatable, spec.alone) == (True, False)
