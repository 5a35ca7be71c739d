"""The smallest scenarios of the server, of which every order of the steps is run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.events import AnyEvent
from alex_actors.ports import AgentYield, Answer
from alex_actors.replies import AlreadyEnded, Cancelled, Deleted, SessionBusy, UnknownSession, UnknownTask
from alex_actors.simulation import Simulation
from alex_actors.simulation.deleted_sessions import DELETED
from alex_actors.simulation.invariants import EACH_ONCE
from alex_actors.simulation.runtime import SimulatedRuntime
from alex_actors.simulation.store import SimulatedStore
from alex_actors.tasks import Strategy, Task
from alex_actors.tracing.facts import IN_LINE, ONE_END
from alex_actors.values import TaskId

ALICES = TaskId("task-alice-1")


class PlainAgent:
    """Answers at once."""

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Answer."""
        yield Answer("4")


def server(simulation: Simulation, store: SimulatedStore) -> SimulatedRuntime:
    """Return a server whose agents answer at once, with all its invariants looked at."""
    agent = PlainAgent()
    system = SimulatedRuntime(simulation, store=store, agent_for=lambda _task: agent, agents_apart=True)
    simulation.sleep(0.0)  # it has begun when nobody can go on: that it has not is one submit's scenario
    return system


def submit_while_it_starts(simulation: Simulation, store: SimulatedStore) -> None:
    """One client, one task, while the session actor still waits for the store."""
    agent = PlainAgent()
    system = SimulatedRuntime(simulation, store=store, agent_for=lambda _task: agent, agents_apart=True)
    simulation.client("alice", system.submit)


def submit_without_a_session(simulation: Simulation, store: SimulatedStore) -> None:
    """One client, one task, a session that is made for it."""
    system = server(simulation, store)
    simulation.client("alice", system.submit)


def submit_with_a_session(simulation: Simulation, store: SimulatedStore) -> None:
    """One client, one task, a session that the client names."""
    system = server(simulation, store)
    simulation.client("alice", lambda: system.submit(session_id="home"))


def submit_and_cancel(simulation: Simulation, store: SimulatedStore) -> None:
    """One client submits, another cancels the task, at any time."""
    system = server(simulation, store)
    replies = []
    simulation.client("alice", lambda: system.submit(session_id="home"))
    simulation.client("bob", lambda: replies.append(system.cancel(ALICES)))

    def check() -> None:
        task = system.runtime.task(ALICES)
        status = None if task is None else task.status
        match replies[0]:
            case Cancelled():
                simulation.check(status == "cancelled", ONE_END, f"Said to be cancelled, and is {status}.")
            case AlreadyEnded(status=told):
                simulation.check(status == told, ONE_END, f"Said to be {told}, and is {status}.")
            case UnknownTask():
                simulation.check(status == "completed", ONE_END, f"Not cancelled, and is {status}.")

    simulation.at_the_end(check)


def two_submits(strategy: Strategy) -> Callable[[Simulation, SimulatedStore], None]:
    """Return the scenario of two clients who submit into one session, the second with a strategy."""

    def scenario(simulation: Simulation, store: SimulatedStore) -> None:
        system = server(simulation, store)

        def submit() -> None:
            reply = system.try_submit(session_id="home", strategy=strategy)
            if isinstance(reply, SessionBusy):
                simulation.check(strategy == "reject", IN_LINE, f"{strategy} was answered {reply}.")

        simulation.client("alice", lambda: system.submit(session_id="home"))
        simulation.client("bob", submit)

    return scenario


def subscribe_while_a_task_runs(simulation: Simulation, store: SimulatedStore) -> None:
    """One client submits, another follows the task from its first event on."""
    system = server(simulation, store)
    received: list[int] = []

    def follow() -> None:
        received.extend(event.event_id for event in system.follow(TaskTopic(ALICES)))

    simulation.client("alice", lambda: system.submit(session_id="home"))
    simulation.client("bob", follow)
    simulation.at_the_end(lambda: simulation.check(received == [1, 2, 3], EACH_ONCE, f"Got {received}."))


def delete_while_a_task_runs(simulation: Simulation, store: SimulatedStore) -> None:
    """One client submits, another deletes the session, at any time."""
    system = server(simulation, store)
    replies: list[Deleted | UnknownSession] = []
    simulation.client("alice", lambda: system.submit(session_id="home"))
    simulation.client("bob", lambda: replies.append(system.delete("home")))

    def check() -> None:
        there = system.runtime.task(ALICES) is not None
        expected = UnknownSession() if there else Deleted()
        simulation.check(replies == [expected], DELETED, f"Answered {replies}; the task is there: {there}.")

    simulation.at_the_end(check)


SCENARIOS: dict[str, Callable[[Simulation, SimulatedStore], None]] = {
    "submit while the server starts": submit_while_it_starts,
    "submit without a session": submit_without_a_session,
    "submit with a session": submit_with_a_session,
    "submit and cancel": submit_and_cancel,
    "two submits, enqueue": two_submits("enqueue"),
    "two submits, parallel": two_submits("parallel"),
    "two submits, interrupt": two_submits("interrupt"),
    "two submits, reject": two_submits("reject"),
    "subscribe while a task runs": subscribe_while_a_task_runs,
    "delete while a task runs": delete_while_a_task_runs,
}
"""By name."""
