"""The server's own agent in the simulator: a model in trouble, calls that wait for a person, kills and cancels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alex_actors.agents import ReActAgent
from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.ports import Decision, Message, ModelReply, ToolCall
from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import SimulatedRuntime, SimulatedStore, Simulation
from alex_actors.tasks import Task
from alex_actors.tools import Toolbox
from tests.unit.fake_agents import RecordingTool
from tests.unit.react_scripts import StreamedModel, tool_messages


def pays(messages: Sequence[Message]) -> ModelReply:
    seen = tool_messages(messages)
    pay, look = ToolCall("", "pay", {}), ToolCall("", "look", {})
    if "of them were not run" in messages[-1].content:  # killed while it looked, before anybody was asked
        return ModelReply(content="I still pay", tool_calls=(pay,))
    return ModelReply(content="; ".join(sorted(seen)) or "I pay", tool_calls=() if seen else (pay, look))


class Till:
    """A server with an agent that pays once, if it is allowed to, and what came of it."""

    def __init__(self, sim: Simulation, store: SimulatedStore) -> None:
        self.paid = RecordingTool("pay", lambda _: "paid", repeatable=False)
        tools = {"pay": self.paid.tool, "look": RecordingTool("look", lambda _: "seen").tool}
        agent = ReActAgent(
            model=StreamedModel(pays, trouble=True),
            toolbox=Toolbox(tools=tools, presets={"safe": tuple(tools)}, approve_always=["pay"]),
            persona=str,
            workspace=lambda _task: Path("nowhere"),
            clock=sim.clock,
            approval_timeout_seconds=100,
        )
        self.system = SimulatedRuntime(sim, store=store, agent_for=lambda _task: agent)
        self.task = self.system.submit("Pay.")

    def decide(self, decision: Decision) -> None:
        """Decide on the call that waits: that of the first turn, or of the second, if the first was lost."""
        self._decide_on("call-1-1", decision)
        self._decide_on("call-2-1", decision)

    def _decide_on(self, call_id: str, decision: Decision) -> None:
        self.system.reply_to(
            lambda wake: self.system.runtime.approve(
                self.task.task_id, call_id, decision, self.system.context(), wake=wake
            )
        )

    def end(self) -> tuple[Task, list[str]]:
        """Wait for the task's end; return it, and the types of its events."""
        events = [event.event_type for event in self.system.follow(TaskTopic(self.task.task_id))]
        ended = self.system.runtime.task(self.task.task_id)
        assert ended is not None
        return ended, events


def test_whatever_comes_between_it_pays_once_with_a_yes_and_not_without(
    simulation: Explorer, store: SimulatedStore
) -> None:
    def scenario(sim: Simulation) -> None:
        till = Till(sim, store)
        sim.sleep(sim.decisions.choose((0.0, 0.01, 1.0)))
        if sim.decisions.chance(0.5):
            till.system.kill()
            till.system.start()
        sim.sleep(1)
        approved = sim.decisions.chance(0.5)
        what = sim.decisions.choose(("decide", "cancel", "wait"))
        if what == "decide":
            till.decide(Decision(approved=approved))
        elif what == "cancel":
            till.system.cancel(till.task.task_id)

        ended, events = till.end()

        count = events.count
        assert count("approval_requested") == 1
        assert ended.status == ("cancelled" if what == "cancel" else "completed"), ended.error
        assert len(till.paid.calls) == (1 if what == "decide" and approved else 0)
        assert count("approval_resolved") == (0 if what == "cancel" else 1)
        assert count("error") > 0
        assert count("assistant_delta") > 0
        if what != "cancel":
            assert ended.result is not None
            assert ended.result.answer.startswith("paid" if till.paid.calls else "The tool call failed: This call")

    simulation.explore(scenario, seeds=60)


def test_after_a_kill_in_the_middle_of_what_the_model_says_it_is_asked_again(
    simulation: Explorer, store: SimulatedStore
) -> None:
    def scenario(sim: Simulation) -> None:
        till = Till(sim, store)
        for event in till.system.follow(TaskTopic(till.task.task_id)):
            if event.event_type == "assistant_delta":
                break
        till.system.kill()
        till.system.start()
        sim.sleep(1)
        till.decide(Decision(approved=True))

        ended, events = till.end()

        assert ended.result is not None
        assert len(till.paid.calls) == 1
        assert events.count("thinking") == events.count("iteration_start") == ended.total_iterations

    simulation.explore(scenario, seeds=20)
