"""The first agents, run by the server's real actors over its real store, in simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.agents import loading
from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.ports import Agent, Decision
from alex_actors.pytest_plugin import Explorer
from alex_actors.replies import Decided
from alex_actors.simulation import SimulatedRuntime, SimulatedStore, Simulation
from alex_actors.simulation.fakes import Delay, ScriptedModel
from alex_actors.tasks import Task
from alex_actors.tools import Toolbox


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    """Give all runs of this file one database: emptying it is cheap, making one is not."""
    with SimulatedStore() as store:
        yield store


def agent(name: str, simulation: Simulation, model: ScriptedModel | None = None) -> Agent:
    """Return an agent as a server loads it that has `first_agents:NAME` in its configuration."""
    parts = loading.AgentParts(
        model=model or ScriptedModel([]),
        models={} if model is None else {"simulated": model},
        toolbox=Toolbox(tools={}, presets={}),
        persona=str,
        workspace=lambda _task: Path("nowhere"),
        clock=simulation.clock,
    )
    return loading.load_agent(f"first_agents:{name}", parts=parts, search=())


def end_of(system: SimulatedRuntime, task: Task) -> tuple[str, list[str]]:
    """Wait for a task's end; return its answer and the types of its events."""
    events = [event.event_type for event in system.follow(TaskTopic(task.task_id))]
    ended = system.runtime.task(task.task_id)
    assert ended is not None
    assert ended.result is not None, ended.error
    return ended.result.answer, events


def test_hello_greets(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent("hello", sim))

        answer, events = end_of(system, system.submit("Ann"))

        assert answer == "Hello, Ann!"
        assert events[-3:] == ["iteration_start", "iteration_complete", "task_completed"]

    simulation.explore(scenario, seeds=20)


def test_the_poet_asks_the_model_of_its_task(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        model = ScriptedModel([Delay(2), "Roses are red."])
        poet = agent("Poet", sim, model)
        system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: poet)

        answer, _ = end_of(system, system.submit("Of roses."))

        assert answer == "Roses are red."
        assert [message.role for message in model.asked[0].messages] == ["system", "user"]

    simulation.explore(scenario, seeds=20)


def test_a_countdown_goes_on_after_a_kill_at_any_moment(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent("countdown", sim))
        task = system.submit("3")

        sim.sleep(sim.decisions.between(0, 4))
        system.kill()
        system.start()
        answer, events = end_of(system, task)

        assert answer == "Lift-off!"
        assert events.count("iteration_complete") == 3

    simulation.explore(scenario, seeds=30)


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (Decision(approved=True), "Hear, hear: free beer"),
        (Decision(approved=True, arguments={"text": "free tea"}), "Hear, hear: free tea"),
        (Decision(approved=False, reason="there is none"), "Not announced: there is none."),
    ],
)
def test_the_herald_waits_for_a_word_also_over_a_kill(
    simulation: Explorer, store: SimulatedStore, decision: Decision, expected: str
) -> None:
    def scenario(sim: Simulation) -> None:
        system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent("herald", sim))
        task = system.submit("free beer")
        sim.sleep(1)  # it has asked by now

        if sim.decisions.chance(0.5):
            system.kill()
            system.start()
            sim.sleep(1)
        reply = system.reply_to(
            lambda wake: system.runtime.approve(task.task_id, "announce", decision, system.context(), wake=wake)
        )
        answer, events = end_of(system, task)

        assert isinstance(reply, Decided)
        assert answer == expected
        assert events.count("approval_requested") == events.count("approval_resolved") == 1

    simulation.explore(scenario, seeds=30)
