"""The real executor of agents on the simulation's event loop: the same agents, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest

from alex_actors.events import AnyEvent
from alex_actors.executor import AsyncioExecutor, AsyncioRun
from alex_actors.ports import Aborted, Agent, AgentYield, Answer, Checkpoint, Failed, Finished, Yielded
from alex_actors.tasks import Task
from tests.simulation.loop_driver import LoopDriver
from tests.unit.actor_fakes import CapturedLog
from tests.unit.agent_fakes import AgentScript, ScriptedAgent, for_ever, recorded_task, step

ANSWER = Answer("4")
HOUR = 3600.0


class Reported:
    """What a run reported, and when."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self.news: list[tuple[float, Yielded]] = []

    def __call__(self, news: Yielded) -> None:
        self.news.append((self._now(), news))

    @property
    def all(self) -> list[object]:
        """The events of each report, and its outcome if it brings one."""
        return [
            part
            for _, news in self.news
            for part in [*(stamped.event for stamped in news.events), *([news.outcome] if news.outcome else [])]
        ]


class SimulatedStage:
    """An executor on a virtual loop."""

    def __init__(self) -> None:
        self.driver = LoopDriver()
        self.log = CapturedLog()
        self._agents: dict[str, Agent] = {}
        self.executor = AsyncioExecutor(
            loop=self.driver.loop,
            agent_for=lambda task: self._agents[task.task_id],
            clock=self.driver.clock,
            log=self.log.logger,
            max_ahead=3,
        )

    def start(self, script: AgentScript, *, name: str = "task-1") -> tuple[AsyncioRun, Reported]:
        """Have an agent started, at the loop's next steps."""
        self._agents[name] = ScriptedAgent(script)
        reported = Reported(now=self.driver.clock.monotonic)
        return self.executor.start(recorded_task(name), history=(), uncommitted=0, report=reported), reported

    def begin(self, script: AgentScript, *, name: str = "task-1") -> tuple[AsyncioRun, Reported]:
        """Start an agent, and let it go as far as it can without time passing."""
        started = self.start(script, name=name)
        self.driver.step_until_idle()
        return started


@pytest.fixture
def stage() -> Iterator[SimulatedStage]:
    stage = SimulatedStage()
    yield stage
    stage.driver.loop.close()
    assert stage.driver.errors == []


def test_an_agent_that_sleeps_for_hours_takes_no_real_time(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        for number in range(2):
            await asyncio.sleep(HOUR)
            yield step(number)
        yield ANSWER

    _, reported = stage.begin(script)
    stage.driver.settle()

    assert reported.all == [step(0), step(1), Finished(ANSWER)]
    assert [at for at, _ in reported.news] == [HOUR, 2 * HOUR]
    assert reported.news[1][1].events[0].at == "2026-01-01T02:00:00.000000Z"
    assert stage.executor.runs == 0


def test_a_checkpoint_waits_until_all_before_it_is_committed(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        yield step(2)
        yield Checkpoint()
        yield ANSWER

    run, reported = stage.begin(script)
    stage.driver.settle()
    run.committed(1)
    stage.driver.settle()
    before = reported.all

    run.committed(2)
    stage.driver.settle()

    assert before == [step(1), step(2)]
    assert reported.all == [step(1), step(2), Finished(ANSWER)]


def test_an_agent_gets_so_far_ahead_of_the_store_and_no_further(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        for number in range(5):
            yield step(number)
        yield ANSWER

    run, reported = stage.begin(script)
    ahead = len(reported.all)

    run.committed(1)
    stage.driver.settle()

    assert ahead == 3
    assert reported.all == [step(0), step(1), step(2), step(3)]


def test_a_cancel_interrupts_a_sleep(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        await asyncio.sleep(HOUR)
        yield ANSWER

    run, reported = stage.begin(script)

    run.cancel()
    stage.driver.settle()

    assert reported.all == [step(1), Aborted()]
    assert stage.driver.clock.seconds == 0


def test_a_cancel_before_the_first_step_runs_nothing_of_the_agent(stage: SimulatedStage) -> None:
    ran: list[str] = []

    async def script(task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        ran.append(task.task_id)
        yield ANSWER

    run, reported = stage.start(script)

    run.cancel()
    stage.driver.settle()

    assert reported.all == [Aborted()]
    assert ran == []


def test_an_agent_that_catches_the_interruption_gets_no_further_than_its_next_event(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            yield step(2)
        yield ANSWER

    run, reported = stage.begin(script)

    run.cancel()
    stage.driver.settle()

    assert reported.all == [step(1), Aborted()]


def test_an_agent_that_will_not_die_is_reported_when_it_ends(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        until = stage.driver.clock.seconds + HOUR
        while stage.driver.clock.seconds < until:
            try:
                await asyncio.sleep(until - stage.driver.clock.seconds)
            except asyncio.CancelledError:
                continue
        yield ANSWER

    run, reported = stage.begin(script)

    run.cancel()
    stage.driver.step_until_idle()
    run.cancel()
    stage.driver.step_until_idle()
    before = reported.all
    stage.driver.settle()

    assert before == [step(1)]
    assert reported.all == [step(1), Aborted()]
    assert [at for at, _ in reported.news] == [0, HOUR]


def test_who_asks_for_silence_is_called_when_the_agent_has_stopped(stage: SimulatedStage) -> None:
    stopped: list[float] = []

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        finally:
            await asyncio.sleep(HOUR)

    run, reported = stage.begin(script)

    run.cancel(then=lambda: stopped.append(stage.driver.clock.seconds))
    stage.driver.settle()

    assert stopped == [HOUR]
    assert reported.all == [step(1)]


def test_what_an_agent_raises_is_its_failure_and_not_the_simulations(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        await asyncio.open_connection("localhost", 80)

    _, reported = stage.begin(script)

    assert reported.all == [
        step(1),
        Failed("NotSimulated: A simulation has no network: give the agent a fake instead."),
    ]
    assert len(stage.log.named("agent.failed")) == 1


def test_a_stop_interrupts_all_and_says_when_the_last_has_stopped(stage: SimulatedStage) -> None:
    interrupted: list[str] = []
    stopped: list[float] = []

    async def script(task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        finally:
            interrupted.append(task.task_id)
            await asyncio.sleep(HOUR)

    names = [f"task-{number}" for number in range(20)]
    reports = [stage.begin(script, name=name)[1] for name in names]

    stage.executor.stop(then=lambda: stopped.append(stage.driver.clock.seconds))
    stage.driver.settle()

    assert interrupted == names
    assert stopped == [HOUR]
    assert all(reported.all == [step(1)] for reported in reports)


def test_a_loop_that_is_closed_while_agents_work_hears_no_more_of_them(stage: SimulatedStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        await for_ever()

    run, reported = stage.begin(script)

    stage.driver.loop.close()
    run.cancel()
    run.committed(1)

    assert reported.all == [step(1)]
