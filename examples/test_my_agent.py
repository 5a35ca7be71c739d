"""An agent of one's own, run by the server's real actors over its real store, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.ports import ToolError
from alex_actors.pytest_plugin import Explorer
from alex_actors.replies import Cancelled
from alex_actors.simulation import Found, SimulatedRuntime, SimulatedStore, Simulation, Violation
from alex_actors.simulation.fakes import FOREVER, Delay, FakeTool, ModelTurn, ScriptedModel
from alex_actors.tasks import Task
from my_agent import SOURCE_TIMEOUT, ResearchAgent

GIVEN_BACK = "Every desk that was taken is given back."


class FakeDesks:
    """Knows who has one. To take one and to give it back takes a second each.

    What it logs stands in the picture of a run that went wrong.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.taken: list[int] = []
        self._log = simulation.log
        self._made = 0

    async def take(self) -> int:
        """Take one."""
        await asyncio.sleep(1)
        self._made += 1
        self.taken.append(self._made)
        self._log.info("desk.taken", desk=self._made)
        return self._made

    async def give_back(self, desk: int) -> None:
        """Give one back."""
        self._log.info("desk.wanted_back", desk=desk)
        await asyncio.sleep(1)
        self.taken.remove(desk)
        self._log.info("desk.given_back", desk=desk)


class Laboratory:
    """A server whose agents are under test: what each test needs, in one place."""

    def __init__(
        self,
        simulation: Simulation,
        store: SimulatedStore,
        *,
        sources: Sequence[FakeTool],
        summary: Sequence[ModelTurn] = (Delay(5), "It is sunny."),
        kind: type[ResearchAgent] = ResearchAgent,
    ) -> None:
        self.desks = FakeDesks(simulation)
        self.models: list[ScriptedModel] = []
        self._sources = sources
        self._summary = summary
        self._kind = kind
        self.system = SimulatedRuntime(simulation, store=store, agent_for=self._agent_for)

    def _agent_for(self, _task: Task) -> ResearchAgent:
        self.models.append(ScriptedModel(self._summary))  # one for each task: it is a conversation
        return self._kind(
            model=self.models[-1], sources=self._sources, desks=self.desks, workspace=Path("nowhere")
        )

    def end_of(self, task: Task) -> tuple[Task, list[str]]:
        """Wait for a task's end; return it as it is then, and the types of its events."""
        events = [event.event_type for event in self.system.follow(TaskTopic(task.task_id))]
        ended = self.system.runtime.task(task.task_id)
        assert ended is not None
        return ended, events


def source(name: str, *does: str | Exception | Delay) -> FakeTool:
    """Return a source that does this, each time that it is asked."""

    async def answer(_arguments: object) -> str:
        for turn in does:
            if isinstance(turn, Delay):
                await turn.wait()
            elif isinstance(turn, Exception):
                raise turn
        return str(does[-1])

    return FakeTool(name, answer)


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    """Give all runs of this file one database: emptying it is cheap, making one is not."""
    with SimulatedStore() as store:
        yield store


def test_it_asks_all_sources_at_once(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        lab = Laboratory(sim, store, sources=[source("a", Delay(3), "dry"), source("b", Delay(4), "warm")])

        task, events = lab.end_of(lab.system.submit("What is the weather like?"))

        assert task.result is not None, task.error
        assert task.result.answer == "It is sunny."
        assert events == [
            "task_created", "task_started", "task_analysis", "iteration_start", "think_complete",
            "iteration_complete", "task_completed",
        ]  # fmt: skip
        assert lab.models[0].asked[0].messages[0].content == "dry\nwarm"
        assert round(sim.clock.monotonic(), 3) == 1 + 4 + 5 + 1  # a desk, the slower source, the model, the desk

    simulation.explore(scenario, seeds=50)


def test_a_source_that_hangs_or_fails_is_left_out(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        sources = [source("a", Delay(FOREVER), ""), source("b", ToolError("closed")), source("c", "warm")]
        lab = Laboratory(sim, store, sources=sources)

        task, _ = lab.end_of(lab.system.submit())

        assert (task.status, task.error) == ("completed", None)
        assert lab.models[0].asked[0].messages[0].content == "warm"
        assert [one.running for one in sources] == [0, 0, 0]
        assert sim.clock.monotonic() > SOURCE_TIMEOUT

    simulation.explore(scenario, seeds=50)


def test_a_model_that_hangs_meets_the_timeout_of_the_task(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        lab = Laboratory(sim, store, sources=[source("a", "dry")], summary=[Delay(FOREVER)])

        task, events = lab.end_of(lab.system.submit(timeout_seconds=60))
        lab.system.settle()

        assert (task.status, task.termination_reason) == ("failed", "timeout")
        assert events[-1] == "task_failed"
        assert not lab.desks.taken

    simulation.explore(scenario, seeds=50)


def cancelled_at_any_moment(sim: Simulation, store: SimulatedStore, *, kind: type[ResearchAgent]) -> None:
    """Submit a task, cancel it some time, and see whether anything is left behind."""
    sources = [source("a", Delay(3), "dry"), source("b", Delay(4), "warm")]
    lab = Laboratory(sim, store, sources=sources, kind=kind)
    system = lab.system
    task = system.submit()

    sim.sleep(sim.decisions.between(0, 12))
    reply = system.cancel(task.task_id)
    ended, _ = lab.end_of(task)
    system.settle()

    assert ended.status == ("cancelled" if isinstance(reply, Cancelled) else "completed")
    sim.check(not lab.desks.taken, GIVEN_BACK, f"Not given back: {lab.desks.taken}.", about=[task.task_id])


def test_a_cancel_may_come_at_any_moment(simulation: Explorer, store: SimulatedStore) -> None:
    simulation.explore(lambda sim: cancelled_at_any_moment(sim, store, kind=ResearchAgent))


class TrustingAgent(ResearchAgent):
    """Trusts `finally`: this is how the agent above was written at first."""

    async def give_back(self, desk: int) -> None:
        """Give a desk back, unless a cancel comes meanwhile."""
        await self.desks.give_back(desk)


def test_that_a_cancel_may_come_during_the_cleanup_is_found(simulation: Explorer, store: SimulatedStore) -> None:
    with pytest.raises(Found) as found:
        simulation.explore(lambda sim: cancelled_at_any_moment(sim, store, kind=TrustingAgent))

    assert isinstance(found.value.error, Violation)
    assert found.value.error.invariant == GIVEN_BACK
    print(f"\n{found.value}")


def test_what_the_process_leaves_unfinished_when_it_is_killed_has_an_end_all_the_same(
    simulation: Explorer, store: SimulatedStore
) -> None:
    def scenario(sim: Simulation) -> None:
        lab = Laboratory(sim, store, sources=[source("a", Delay(3), "dry")])
        task = lab.system.submit()

        sim.sleep(sim.decisions.between(0, 12))
        lab.system.kill()
        lab.system.start()
        ended, events = lab.end_of(task)

        assert (ended.status, ended.termination_reason) in {("completed", "completed"), ("failed", "interrupted")}
        assert events[0] == "task_created"

    simulation.explore(scenario, seeds=100)
