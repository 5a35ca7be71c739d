"""Sub-agents in the whole server without HTTP: started, awaited, cancelled and found again, in many orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.events import AnyEvent, ToolCallComplete, ToolCallStart
from alex_actors.ports import AgentError, AgentYield, Answer, Checkpoint, ToolContext, ToolError
from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import SimulatedRuntime, SimulatedStore, Simulation
from alex_actors.simulation.faults import InjectedCrash
from alex_actors.simulation.store import disk_error
from alex_actors.sub_agents import NOT_STARTED, child_id
from alex_actors.task_store_protocol import Create
from alex_actors.tasks import Task
from alex_actors.tools.delegate import delegate_tool
from alex_actors.values import TaskId
from tests.unit.agent_fakes import ScriptedAgent

SEEDS = 20


class Office:
    """A server whose tasks do what their texts say: ``hand on: A, B`` has sub-agents do A and B, at once."""

    def __init__(self, simulation: Simulation, store: SimulatedStore, *, max_depth: int = 1) -> None:
        self.simulation = simulation
        self.raw = store.raw
        self.begun: list[str] = []
        """The texts of the tasks whose agents were run, each time."""
        self._tool = delegate_tool(
            sub_agents=lambda: self.system.core.sub_agents, within=lambda _inner, _outer: False,
            agent_presets=("default",), models_of_presets={}, most_at_once=8, max_depth=max_depth,
        )  # fmt: skip
        agent = ScriptedAgent(self._run)
        self.system = SimulatedRuntime(simulation, store=store, agent_for=lambda _task: agent, max_running=1)

    async def _run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        self.begun.append(task.task)
        what, _, parts = task.task.partition(": ")
        if what == "hand on":
            begun = [event for event in history if isinstance(event, ToolCallStart)]
            texts = parts.split(", ")
            wanted = [
                ToolCallStart(iteration=1, call_id=f"call-{one}", tool_name="delegate", arguments={})
                for one in texts
            ]
            for call in wanted[len(begun) :]:
                yield call
            yield Checkpoint()
            answers = await asyncio.gather(
                *(self._hand_on(call.call_id, task, part) for call, part in zip(wanted, texts, strict=True))
            )
            for call, answer in zip(wanted, answers, strict=True):
                yield ToolCallComplete(
                    call_id=call.call_id, tool_name="delegate", result=answer, error=None, duration=0.0
                )
            yield Answer("; ".join(answers))
        elif what == "forget":  # what it has said of its first call; its second one has the same name
            part = parts.split(", ")[self.begun.count(task.task) - 1]
            yield Answer(await self._hand_on("call", task, part))
        elif what == "hang":
            await asyncio.Event().wait()
        elif what == "fail":
            raise AgentError("It cannot be done.")
        else:
            await asyncio.sleep(5)
            yield Answer(f"did {task.task}")

    async def _hand_on(self, call_id: str, task: Task, part: str) -> str:
        context = ToolContext(task.task_id, Path("nowhere"), call_id=call_id, task=task)
        try:
            return await self._tool({"task": part.replace(" on ", " on: ")}, context)
        except ToolError as error:
            return f"none ({error})"

    def end_of(self, task_id: TaskId) -> Task:
        """Wait for a task's end, and return it as it is then."""
        for _ in self.system.follow(TaskTopic(task_id)):
            pass
        ended = self.system.runtime.task(task_id)
        assert ended is not None
        return ended

    def child(self, parent: Task, part: str) -> Task:
        """Return the task of a sub-agent, which must be recorded."""
        child = self.system.runtime.task(child_id(parent.task_id, f"call-{part}"))
        assert child is not None
        return child

    def answer_to(self, text: str) -> str:
        """Return what a new task comes to."""
        task = self.end_of(self.system.submit(text, session_id="one").task_id)
        assert task.result is not None, task.error
        return task.result.answer


def test_sub_agents_work_side_by_side_in_their_parents_session_and_room(
    simulation: Explorer, store: SimulatedStore
) -> None:
    def scenario(sim: Simulation) -> None:
        office = Office(sim, store)
        parent = office.system.submit("hand on: a, b", session_id="one")
        after = office.system.submit("c", session_id="one")

        end = office.end_of(parent.task_id)

        assert end.result is not None
        assert end.result.answer == "did a; did b"
        assert round(sim.clock.monotonic()) == 5
        child = office.child(parent, "a")
        assert (child.parent_task_id, child.session_id) == (parent.task_id, "one")
        assert (child.model, child.strategy, child.metadata) == (parent.model, "parallel", {})
        events = office.system.runtime.events(child.task_id, after=0, limit=100)
        assert events is not None
        told = [msgspec.json.decode(event.json()) for event in events]
        assert {(one["parent_task_id"], one["agent_level"]) for one in told} == {(parent.task_id, "subagent")}
        assert office.begun[:1] == ["hand on: a, b"]
        assert office.end_of(after.task_id).status == "completed"
        assert office.begun[-1] == "c"

    simulation.explore(scenario, seeds=SEEDS)


def test_who_asked_is_told_of_a_failure(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        office = Office(sim, store)

        answer = office.answer_to("hand on: fail")

        assert "failed: It cannot be done." in answer

    simulation.explore(scenario, seeds=SEEDS)


@pytest.mark.parametrize(("max_depth", "answer"), [(1, "so deep down already"), (2, "did work")])
def test_a_sub_agent_has_none_itself_unless_they_may_be_so_deep(
    simulation: Explorer, store: SimulatedStore, max_depth: int, answer: str
) -> None:
    def scenario(sim: Simulation) -> None:
        office = Office(sim, store, max_depth=max_depth)

        given = office.answer_to("hand on: hand on work")

        assert answer in given

    simulation.explore(scenario, seeds=SEEDS)


def test_a_cancel_or_a_timeout_ends_the_sub_agents_too(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        office = Office(sim, store)
        if sim.decisions.chance(0.5):
            parent = office.system.submit("hand on: hang, a", timeout_seconds=2)
            assert office.end_of(parent.task_id).termination_reason == "timeout"
        else:
            parent = office.system.submit("hand on: hang, a")
            sim.sleep(2)
            office.system.cancel(parent.task_id)

        ends = [office.end_of(office.child(parent, part).task_id) for part in ("hang", "a")]

        assert [one.status for one in ends] == ["cancelled", "cancelled"]
        assert round(sim.clock.monotonic()) == 2
        office.system.settle()

    simulation.explore(scenario, seeds=SEEDS)


def test_after_a_kill_a_call_finds_the_sub_agent_that_it_has(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        office = Office(sim, store)
        parent = office.system.submit("hand on: a, b")
        sim.sleep(sim.decisions.choose((0.0, 1.0, 4.99, 5.0, 5.01)))

        office.system.kill()
        sim.sleep(3 * 24 * 3600)  # longer than idempotency keys are kept
        office.system.start()

        end = office.end_of(parent.task_id)
        assert end.result is not None
        assert end.result.answer == "did a; did b"
        children = office.raw.execute("SELECT count(*) FROM tasks WHERE parent_task_id IS NOT NULL").fetchone()
        assert children == (2,)

    simulation.explore(scenario, seeds=3 * SEEDS)


def test_a_sub_agent_of_a_call_that_is_not_on_record_is_dropped_for_another(
    simulation: Explorer, store: SimulatedStore
) -> None:
    def scenario(sim: Simulation) -> None:
        office = Office(sim, store)
        parent = office.system.submit("forget: hang, work")
        sim.sleep(1)

        office.system.kill()
        office.system.start()

        end = office.end_of(parent.task_id)
        assert end.result is not None
        assert end.result.answer == "did work"
        assert office.end_of(child_id(parent.task_id, "call")).status == "cancelled"

    simulation.explore(scenario, seeds=SEEDS)


def test_a_call_has_one_sub_agent_at_a_time(simulation: Explorer, store: SimulatedStore) -> None:
    def scenario(sim: Simulation) -> None:
        office = Office(sim, store)

        answer = office.answer_to("hand on: a, a")

        assert answer.startswith("did a; none (The call 'call-a'")

    simulation.explore(scenario, seeds=SEEDS)


@pytest.mark.parametrize("recorded", [False, True])
def test_what_could_not_be_submitted_leaves_nothing(
    simulation: Explorer, store: SimulatedStore, *, recorded: bool
) -> None:
    """Also not if the store crashes with the task recorded, and its submitter not told so."""

    def scenario(sim: Simulation) -> None:
        office = Office(sim, store)
        parent = office.system.submit("hand on: a")
        due: list[str] = []

        def look(_actor: object, message: object) -> None:
            if isinstance(message, Create) and message.new.parent_task_id is not None:
                due.append(message.task_id)

        def crash() -> None:
            if due:
                due.clear()
                raise InjectedCrash

        office.system.dispatcher.observers.append(look)
        if recorded:
            office.system.writer.committed = crash
        else:
            office.system.writer.fails = lambda: disk_error() if due and due.pop() else None
        end = office.end_of(parent.task_id)

        assert end.result is not None
        assert end.result.answer == f"none ({NOT_STARTED})"
        office.system.settle()
        ends = office.raw.execute("SELECT status FROM tasks WHERE parent_task_id IS NOT NULL").fetchall()
        assert ends == ([("cancelled",)] if recorded else [])

    simulation.explore(scenario, seeds=SEEDS)
