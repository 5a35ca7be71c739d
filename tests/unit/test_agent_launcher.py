"""The AgentLauncher: one agent for each task, and what a restarted session actor finds of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pykka
import pytest

from alex_actors.actor import PooledActor
from alex_actors.agent_actor import AgentActor
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.agent_protocol import Announce, CancelTask, RecordRefused, TurnGranted
from alex_actors.dispatchers import Spawner
from alex_actors.messages import Tell, tell
from alex_actors.session_protocol import AgentCrashed, AgentPresent, RequestTurn, TaskEnded, TurnEnded
from alex_actors.supervision import RestartPolicy, Supervisor
from alex_actors.values import TaskId
from tests.unit.actor_fakes import CapturedLog
from tests.unit.one_task import GRACE, OneTask
from tests.unit.protocol_system import CONTEXT, a_task
from tests.unit.scripted_agents import FakeExecutor
from tests.unit.stepping import StandIn, SteppedDispatcher

P = TypeVar("P", bound=PooledActor)


class Bench:
    """A launcher, and stand-ins for everybody whom it knows."""

    def __init__(self, *, spawner: Spawner | None = None) -> None:
        self.dispatcher = SteppedDispatcher()
        clock, timers = self.dispatcher.clock, self.dispatcher.timers
        self.session, self.store = StandIn(self.dispatcher), StandIn(self.dispatcher)
        self.executor = FakeExecutor(clock=clock)
        stepping: Spawner = self.dispatcher
        self.launcher = AgentLauncher(
            spawner=spawner or stepping, store=self.store.ref, executor=self.executor, timers=timers,
            clock=clock, log=CapturedLog().logger, cancel_grace=GRACE,
        )  # fmt: skip

    def launch(self) -> None:
        self.launcher.launch(a_task("a"), self.session.ref)
        self.dispatcher.run()

    def told(self) -> list[str]:
        return [type(message).__name__ for message in self.session.received]

    def send(self, message: Tell[AgentActor]) -> None:
        (launched,) = self.launcher.launched()
        assert launched.agent is not None
        tell(launched.agent, message)
        self.dispatcher.run()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_task_is_launched_once_until_it_is_forgotten(bench: Bench) -> None:
    bench.launch()
    bench.launch()
    once = bench.told()
    bench.launcher.forget(TaskId("a"))
    bench.launch()

    assert once == ["RequestTurn"]
    assert bench.told() == ["RequestTurn", "RequestTurn"]


def test_what_was_launched_is_remembered_with_its_task_and_its_agent(bench: Bench) -> None:
    bench.launch()

    (launched,) = bench.launcher.launched()
    (request,) = bench.session.received
    assert isinstance(request, RequestTurn)
    assert (launched.task, launched.agent) == (a_task("a"), request.agent)
    assert (launched.crash, launched.stopped) == (None, False)


def test_an_agent_that_cannot_be_made_is_forgotten() -> None:
    class Broken:
        def spawn(
            self, make: Callable[[], P], *, supervisor: Supervisor, restart: RestartPolicy | None = None
        ) -> pykka.ActorRef[P]:
            raise MemoryError

    bench = Bench(spawner=Broken())

    with pytest.raises(MemoryError):
        bench.launch()

    assert bench.launcher.launched() == ()


def test_that_an_agent_has_stopped_is_noted_when_it_really_has(bench: Bench) -> None:
    bench.launch()
    bench.send(TurnGranted(context=CONTEXT))
    (launched,) = bench.launcher.launched()

    bench.send(RecordRefused(context=CONTEXT, status="failed"))
    still_runs = launched.stopped
    bench.executor.runs[TaskId("a")].stops()
    bench.dispatcher.run()

    assert not still_runs
    assert launched.stopped


def test_an_actor_that_crashes_is_remembered_as_crashed(bench: Bench) -> None:
    bench.executor.refusal = ValueError("no room")
    bench.launch()

    bench.send(TurnGranted(context=CONTEXT))

    (launched,) = bench.launcher.launched()
    (_, crashed, ended) = bench.session.received
    assert isinstance(crashed, AgentCrashed)
    assert isinstance(ended, TurnEnded)
    assert launched.crash == crashed.error
    assert "no room" in crashed.error
    assert launched.stopped


# What an agent announces.


def announced(one: OneTask) -> AgentPresent:
    """Have the agent announce itself."""
    one.tell(Announce(context=CONTEXT))
    present = one.session.received[-1]
    assert isinstance(present, AgentPresent)
    assert (present.task_id, present.agent) == ("a", one.agent)
    return present


def test_an_agent_that_waits_for_its_turn_says_so() -> None:
    one = OneTask()

    present = announced(one)

    assert (present.granted, present.status) == (False, None)


def test_an_agent_that_runs_says_that_it_had_its_turn() -> None:
    one = OneTask()
    one.grant()

    present = announced(one)

    assert (present.granted, present.status) == (True, None)


def test_an_agent_that_will_not_die_says_which_end_is_recorded() -> None:
    one = OneTask()
    one.grant()
    one.cancel()
    one.dispatcher.advance(GRACE)
    before = announced(one)
    one.commit()

    after = announced(one)

    assert (before.granted, before.status) == (True, None)
    assert (after.granted, after.status) == (True, "cancelled")


def test_an_agent_launched_after_its_tasks_end_leaves_when_it_is_cancelled(bench: Bench) -> None:
    bench.launch()
    bench.send(CancelTask(context=CONTEXT))

    bench.send(RecordRefused(context=CONTEXT, status="completed"))

    assert bench.told() == ["RequestTurn", "TaskEnded", "TurnEnded"]
    ended = bench.session.received[1]
    assert isinstance(ended, TaskEnded)
    assert ended.status == "completed"
