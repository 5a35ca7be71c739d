"""The server's own agent, with a model and tools that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.ports import AgentError, Decision, ToolError
from alex_actors.pytest_plugin import Explorer
from alex_actors.replies import Decided, NothingWaits
from alex_actors.simulation import SimulatedRuntime, SimulatedStore, Simulation
from alex_actors.simulation.fakes import FOREVER, Delay, FakeTool, ScriptedModel, react_agent, tool_call
from alex_actors.tasks import Task


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    """Give all runs of this file one database."""
    with SimulatedStore() as store:
        yield store


def ended(
    sim: Simulation, store: SimulatedStore, *, model: ScriptedModel, tool: FakeTool, seconds: float | None = None
) -> Task:
    """Submit a task to a server with this model and tool, and return it at its end."""
    agent = react_agent(model=model, tools=[tool], clock=sim.clock)
    system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent)
    task = system.submit("Is it warm in Lisbon?", timeout_seconds=seconds)
    for _ in system.follow(TaskTopic(task.task_id)):
        pass
    system.settle()
    after = system.runtime.task(task.task_id)
    assert after is not None
    return after


def test_what_a_tool_says_is_told_to_the_model(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        model = ScriptedModel([tool_call("weather", city="Lisbon"), Delay(2), "Yes, it is."])
        tool = FakeTool("weather", lambda arguments: f"25 degrees in {arguments['city']}")

        task = ended(sim, store, model=model, tool=tool)

        assert task.result is not None, task.error
        assert task.result.answer == "Yes, it is."
        assert tool.calls == [{"city": "Lisbon"}]
        assert model.asked[1].messages[-1].content == "25 degrees in Lisbon"
        assert model.left == 0

    simulation.explore(scenario, seeds=50)


def test_when_a_tool_fails_the_model_may_try_again(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        call = tool_call("weather", city="Lisbon")
        model = ScriptedModel([call, call, "Yes, it is."])
        tool = FakeTool("weather", [Delay(1), ToolError("The station does not answer."), "25 degrees"])

        task = ended(sim, store, model=model, tool=tool)

        assert (task.status, task.error) == ("completed", None)
        assert "The station does not answer." in model.asked[1].messages[-1].content

    simulation.explore(scenario, seeds=50)


def test_a_model_that_cannot_fails_the_task(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        model = ScriptedModel([AgentError("The model is over its quota.")])

        task = ended(sim, store, model=model, tool=FakeTool("weather", []))

        assert (task.status, task.error) == ("failed", "The model is over its quota.")

    simulation.explore(scenario, seeds=20)


def test_a_tool_that_hangs_is_stopped_with_its_task(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        model = ScriptedModel([tool_call("weather", city="Lisbon")])
        tool = FakeTool("weather", [Delay(FOREVER)])

        task = ended(sim, store, model=model, tool=tool, seconds=30)

        assert task.termination_reason == "timeout"
        assert tool.running == 0

    simulation.explore(scenario, seeds=50)


def test_a_call_waits_for_a_person_also_through_a_restart(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        model = ScriptedModel([tool_call("pay", euros=5), "It is done."])
        tool = FakeTool("pay", lambda arguments: f"paid {arguments['euros']}", repeatable=False)
        agent = react_agent(model=model, tools=[tool], clock=sim.clock, approve=["pay"])
        system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent)
        task = system.submit("Pay the bill.")
        sim.sleep(1)
        if sim.decisions.chance(0.5):
            system.kill()
            system.start()
            sim.sleep(1)  # until the task is taken up again: whoever comes earlier is asked to try again

        reply = system.approve(task.task_id, "call-1-1", Decision(approved=True, arguments={"euros": 4}))
        again = system.approve(task.task_id, "call-1-1", Decision(approved=False))

        assert isinstance(reply, Decided)
        assert isinstance(again, NothingWaits)
        for _ in system.follow(TaskTopic(task.task_id)):
            pass
        assert tool.calls == [{"euros": 4}]
        assert model.asked[-1].messages[-1].content == "paid 4"

    simulation.explore(scenario, seeds=50)


def test_what_must_not_be_done_twice_is_not_when_the_process_is_killed(
    simulation: Explorer, store: SimulatedStore
) -> None:
    async def pay(_arguments: Mapping[str, Any]) -> str:  # Any: JSON, as the model wrote it
        await asyncio.sleep(2)
        return "paid"

    def scenario(sim: Simulation) -> None:
        model = ScriptedModel([tool_call("pay", euros=5), "It is done.", "It is done."])
        tool = FakeTool("pay", pay, repeatable=False)
        agent = react_agent(model=model, tools=[tool], clock=sim.clock)
        system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent)
        task = system.submit("Pay the bill.")

        sim.sleep(sim.decisions.between(0.5, 3))
        system.kill()
        system.start()
        events = [event.event_type for event in system.follow(TaskTopic(task.task_id))]
        system.settle()

        assert events[-1] == "task_completed"
        assert len(tool.calls) == 1
        if "task_resumed" in events:  # the tool was at work
            assert "Whether it had its effect is not known" in model.asked[-1].messages[-1].content

    simulation.explore(scenario, seeds=50)
