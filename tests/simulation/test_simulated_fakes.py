"""The fakes that users test their agents with: what they do, what they keep, what they say when used up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.events import IterationStart
from alex_actors.models.conversation import whole_reply
from alex_actors.ports import AgentError, Answer, Message, ModelReply, ToolContext, ToolError
from alex_actors.simulation import Decisions, Simulation
from alex_actors.simulation.fakes import (
    FOREVER,
    USAGE,
    Delay,
    FakeTool,
    ScriptedAgent,
    ScriptedModel,
    ScriptEndedError,
    react_agent,
    tool_call,
)
from alex_actors.simulation.runtime import SimulatedRuntime
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.strategies import Plain
from alex_actors.tasks import Task
from alex_actors.values import TaskId

T = TypeVar("T")
HOUR = 3600.0
FOR_A_TASK = ToolContext(TaskId("task-1"), Path("nowhere"))


def simulated() -> Simulation:
    return Simulation(decisions=Decisions(0), strategy=Plain())


def outcome(work: Callable[[Simulation], Coroutine[Any, Any, T]]) -> T:
    """Return what a coroutine returns, or raise what it raises, within a virtual hour."""
    simulation, tasks = simulated(), []

    def scenario(sim: Simulation) -> None:
        tasks.append(sim.event_loop().create_task(work(sim)))
        sim.sleep(HOUR)

    simulation.play(scenario)
    return tasks[0].result()


def question(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def test_a_model_takes_one_turn_after_the_other_and_keeps_what_it_was_asked() -> None:
    spelled_out = ModelReply(content="Well,", tool_calls=(tool_call("a"),), usage=USAGE)
    model = ScriptedModel(["4", tool_call("b", x=1), (tool_call("c"), tool_call("d")), spelled_out])

    async def work(_sim: Simulation) -> list[ModelReply]:
        return [await whole_reply(model, question(text), ()) for text in "1234"]

    replies = outcome(work)

    assert replies[0] == ModelReply(content="4", usage=USAGE)
    assert replies[1].tool_calls == (tool_call("b", x=1),)
    assert [call.tool_name for call in replies[2].tool_calls] == ["c", "d"]
    assert replies[3] is spelled_out
    assert [asked.messages[0].content for asked in model.asked] == ["1", "2", "3", "4"]
    assert model.left == 0


def test_a_delay_takes_virtual_time_before_the_next_turn() -> None:
    model = ScriptedModel([Delay(1800), Delay(60), "4"])

    async def work(sim: Simulation) -> float:
        await whole_reply(model, question("?"), ())
        return sim.clock.monotonic()

    assert model.left == 1
    assert outcome(work) == 1860


def test_an_exception_is_raised_and_the_script_goes_on() -> None:
    model = ScriptedModel([AgentError("Over quota."), "4"])

    async def work(_sim: Simulation) -> str:
        with pytest.raises(AgentError, match="Over quota"):
            await whole_reply(model, question("?"), ())
        return (await whole_reply(model, question("?"), ())).content

    assert outcome(work) == "4"


def test_a_model_whose_script_is_used_up_says_so_and_what_it_was_asked() -> None:
    model = ScriptedModel(["4"])

    async def work(_sim: Simulation) -> None:
        await whole_reply(model, question("?"), ())
        await whole_reply(model, question("And 3 + 3?"), ())

    with pytest.raises(ScriptEndedError, match=r"model had 1 turn, .*: And 3 \+ 3\?"):
        outcome(work)


def test_a_tool_does_what_a_function_says_and_keeps_its_calls() -> None:
    async def slow(arguments: Mapping[str, Any]) -> str:
        await asyncio.sleep(5)
        return f"slow {arguments['x']}"

    plain, awaited = FakeTool("plain", lambda arguments: f"plain {arguments['x']}"), FakeTool("awaited", slow)

    async def work(_sim: Simulation) -> list[str]:
        return list(await asyncio.gather(plain({"x": 1}, FOR_A_TASK), awaited({"x": 2}, FOR_A_TASK)))

    assert outcome(work) == ["plain 1", "slow 2"]
    assert (plain.calls, awaited.calls) == ([{"x": 1}], [{"x": 2}])


def test_a_tool_may_follow_a_script_and_says_when_that_is_used_up() -> None:
    tool = FakeTool("weather", [ToolError("Closed."), "warm"])

    async def work(_sim: Simulation) -> str:
        with pytest.raises(ToolError, match="Closed"):
            await tool({}, FOR_A_TASK)
        warm = await tool({}, FOR_A_TASK)
        with pytest.raises(ScriptEndedError, match=r"the tool 'weather' had 2 turns, .*'Lisbon'"):
            await tool({"city": "Lisbon"}, FOR_A_TASK)
        return warm

    assert outcome(work) == "warm"


def test_a_tool_that_hangs_runs_until_it_is_cancelled() -> None:
    tool = FakeTool("weather", [Delay(FOREVER)])

    async def work(_sim: Simulation) -> tuple[int, int]:
        call = asyncio.ensure_future(tool({}, FOR_A_TASK))
        await asyncio.sleep(HOUR / 2)
        running = tool.running
        call.cancel()
        await asyncio.wait([call])
        return running, tool.running

    assert outcome(work) == (1, 0)


def ended(store: SimulatedStore, agent: Any) -> tuple[Task, list[str]]:  # Any: an agent of any kind
    """Submit a task and return it at its end, with the types of its events."""
    simulation, seen = simulated(), []

    def scenario(sim: Simulation) -> None:
        system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent(sim))
        task_id = system.submit().task_id
        events = [event.event_type for event in system.follow(TaskTopic(task_id))]
        task = system.runtime.task(task_id)
        assert task is not None
        seen.append((task, events))

    simulation.play(scenario)
    return seen[0]


def test_an_agent_yields_its_script_to_each_task(store: SimulatedStore) -> None:
    agent = ScriptedAgent([IterationStart(iteration=1, total_iters=1), Delay(60), Answer("4")])

    task, events = ended(store, lambda _sim: agent)

    assert events == ["task_created", "task_started", "iteration_start", "task_completed"]
    assert task.result is not None
    assert task.result.answer == "4"
    assert [one.task_id for one in agent.tasks] == [task.task_id]


def test_an_agent_may_raise(store: SimulatedStore) -> None:
    task, _ = ended(store, lambda _sim: ScriptedAgent([AgentError("I cannot.")]))

    assert (task.status, task.error) == ("failed", "I cannot.")


def test_the_servers_own_agent_runs_with_a_fake_model_and_fake_tools(store: SimulatedStore) -> None:
    model = ScriptedModel([tool_call("weather", city="Lisbon"), "Warm."])
    tool = FakeTool("weather", ["25 degrees"], description="Tells the weather.")

    task, events = ended(store, lambda sim: react_agent(model=model, tools=[tool], clock=sim.clock))

    assert task.result is not None
    assert task.result.answer == "Warm."
    assert tool.calls == [{"city": "Lisbon"}]
    assert [spec.description for spec in model.asked[0].tools] == ["Tells the weather."]
    assert model.asked[1].messages[-1].content == "25 degrees"
    assert "tool_call_complete" in events


def test_that_a_script_is_used_up_shows_in_the_task(store: SimulatedStore) -> None:
    task, _ = ended(store, lambda sim: react_agent(model=ScriptedModel([]), clock=sim.clock))

    assert task.error is not None
    assert "ScriptEndedError: The script of the model had 0 turns" in task.error
