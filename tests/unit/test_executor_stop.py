"""How agents are interrupted, how their thread ends, and how it shows that it lags."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from alex_actors.events import AnyEvent
from alex_actors.loop_thread import BEAT_SECONDS, LoopThread
from alex_actors.ports import Aborted, AgentYield, Answer, Checkpoint, Finished
from alex_actors.tasks import Task
from tests.unit.actor_fakes import WAIT, CapturedLog, Gate, OwnedClock
from tests.unit.agent_fakes import AgentStage, for_ever, step

ANSWER = Answer("4")


@pytest.fixture
def stage() -> Iterator[AgentStage]:
    stage = AgentStage()
    yield stage
    assert stage.stop(timeout=WAIT)


async def answer(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
    yield ANSWER


async def one_step_and_wait(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
    yield step(1)
    await for_ever()


# Cancel.


def test_a_cancel_interrupts_what_the_agent_awaits(stage: AgentStage) -> None:
    cleaned_up = threading.Event()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        finally:
            cleaned_up.set()

    run, reports = stage.start(script)
    reports.events()

    run.cancel()

    assert reports.end() == ([], Aborted())
    assert cleaned_up.is_set()


def test_a_cancel_interrupts_an_agent_that_waits_for_a_commit(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        yield Checkpoint()

    run, reports = stage.start(script)
    reports.events()

    run.cancel()

    assert reports.end() == ([], Aborted())


def test_the_outcome_comes_only_when_the_agent_has_really_stopped(stage: AgentStage) -> None:
    interrupted, finished = threading.Event(), threading.Event()
    go_on = asyncio.Event()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        finally:
            interrupted.set()
            await go_on.wait()
            finished.set()

    run, reports = stage.start(script)
    reports.events()
    run.cancel()
    assert interrupted.wait(WAIT)
    stage.settle()
    early = not reports.empty()

    stage.executor.call(go_on.set)

    assert not early
    assert reports.end() == ([], Aborted())
    assert finished.is_set()


def test_a_cancel_before_the_first_step_runs_nothing_of_the_agent(stage: AgentStage) -> None:
    ran = threading.Event()
    gate = Gate()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        ran.set()
        yield ANSWER

    stage.executor.call(gate.wait)
    assert gate.reached.wait(WAIT)
    run, reports = stage.start(script)
    run.cancel()

    gate.open()

    assert reports.end() == ([], Aborted())
    assert not ran.is_set()


def test_an_agent_that_catches_the_interruption_gets_no_further_than_its_next_event(stage: AgentStage) -> None:
    went_on = threading.Event()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        except asyncio.CancelledError:
            yield step(2)
        went_on.set()
        yield ANSWER

    run, reports = stage.start(script)
    reports.events()

    run.cancel()

    assert reports.end() == ([], Aborted())
    assert not went_on.is_set()


def test_an_agent_that_catches_the_interruption_and_ends_was_aborted(stage: AgentStage) -> None:
    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        except asyncio.CancelledError:
            return

    run, reports = stage.start(script)
    reports.events()

    run.cancel()

    assert reports.end() == ([], Aborted())


def test_a_cancel_after_the_end_changes_nothing(stage: AgentStage) -> None:
    run, reports = stage.start(answer)
    end = reports.end()

    run.cancel()

    stage.settle()
    assert end == ([], Finished(ANSWER))
    assert reports.empty()


def test_a_cancel_is_of_one_agent_only(stage: AgentStage) -> None:
    cancelled, cancelled_reports = stage.start(one_step_and_wait, name="task-1")
    _, other_reports = stage.start(one_step_and_wait, name="task-2")
    cancelled_reports.events()
    other_reports.events()

    cancelled.cancel()

    assert cancelled_reports.end() == ([], Aborted())
    stage.settle()
    assert other_reports.empty()
    assert stage.executor.runs == 1


# Cancel, and say no more.


def test_who_asks_for_silence_is_called_when_the_agent_has_stopped_and_nothing_is_reported(
    stage: AgentStage,
) -> None:
    stopped: queue.SimpleQueue[int] = queue.SimpleQueue()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        finally:
            stopped.put(1)

    run, reports = stage.start(script)
    reports.events()

    run.cancel(then=lambda: stopped.put(2))

    assert [stopped.get(timeout=WAIT), stopped.get(timeout=WAIT)] == [1, 2]
    stage.settle()
    assert reports.empty()


def test_who_asks_for_silence_after_the_end_is_called_at_once(stage: AgentStage) -> None:
    run, reports = stage.start(answer)
    reports.end()
    stopped = threading.Event()

    run.cancel(then=stopped.set)

    assert stopped.wait(WAIT)


def test_who_asks_for_silence_after_a_cancel_is_called_too(stage: AgentStage) -> None:
    gate, stopped = Gate(), threading.Event()
    run, reports = stage.start(one_step_and_wait)
    reports.events()
    stage.executor.call(gate.wait)
    run.cancel()
    run.cancel(then=stopped.set)

    gate.open()

    assert stopped.wait(WAIT)
    stage.settle()
    assert reports.empty()


def test_who_fails_when_it_is_called_holds_up_no_other_run(stage: AgentStage) -> None:
    run, reports = stage.start(answer)
    reports.end()

    def fail() -> None:
        msg = "no"
        raise RuntimeError(msg)

    run.cancel(then=fail)

    assert stage.start(answer, name="task-2")[1].end() == ([], Finished(ANSWER))
    assert len(stage.log.named("executor.call_failed")) == 1


# The end of the thread.


def test_a_stop_interrupts_all_agents_without_a_word_and_ends_the_thread() -> None:
    stage = AgentStage()
    cleaned_up: queue.SimpleQueue[int] = queue.SimpleQueue()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield step(1)
        try:
            await for_ever()
        finally:
            cleaned_up.put(1)

    running = [stage.start(script, name=f"task-{number}")[1] for number in range(3)]
    for reports in running:
        reports.events()

    in_time = stage.stop(timeout=WAIT)

    assert in_time
    assert not stage.thread.is_alive()
    assert cleaned_up.qsize() == 3
    assert all(reports.empty() for reports in running)


def test_a_stop_with_no_agents_ends_the_thread() -> None:
    stage = AgentStage()
    alive = stage.thread.is_alive()

    assert stage.stop(timeout=WAIT)
    assert alive
    assert not stage.thread.is_alive()


def test_a_stop_with_an_agent_that_blocks_the_thread_says_so_in_time() -> None:
    stage, gate = AgentStage(), Gate()

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        gate.wait()
        yield ANSWER

    _, reports = stage.start(script)
    assert gate.reached.wait(WAIT)

    in_time = stage.stop(timeout=0.05)

    assert not in_time
    gate.open()
    assert stage.stop(timeout=WAIT)
    assert reports.empty()


def test_what_is_asked_of_a_stopped_executor_is_ignored() -> None:
    stage = AgentStage()
    run, reports = stage.start(one_step_and_wait)
    reports.events()
    stage.stop(timeout=WAIT)

    run.cancel()
    run.committed(1)
    _, late_reports = stage.start(answer)

    assert reports.empty()
    assert late_reports.empty()


def test_a_task_of_an_agents_own_that_leaves_the_interpreter_does_not_end_the_thread(stage: AgentStage) -> None:
    made: list[asyncio.Task[None]] = []

    async def leave() -> None:
        raise SystemExit(3)

    async def script(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        made.append(asyncio.get_running_loop().create_task(leave()))
        yield step(1)
        await for_ever()

    _, reports = stage.start(script, name="task-1")
    reports.events()
    end = stage.start(answer, name="task-2")[1].end()

    assert end == ([], Finished(ANSWER))
    assert stage.thread.is_alive()
    assert [line["log_level"] for line in stage.log.named("executor.failed")] == ["critical"]
    assert isinstance(made[0].exception(), SystemExit)


# Lag.


class WatchedClock(OwnedClock):
    """A clock that tells when it was read on the agents' thread: that is a beat."""

    def __init__(self) -> None:
        super().__init__()
        self.beats: queue.SimpleQueue[float] = queue.SimpleQueue()

    def monotonic(self) -> float:
        if threading.current_thread().name == "agents":
            self.beats.put(self.seconds)
        return self.seconds


def test_a_blocked_thread_shows_as_lag_until_it_comes_round_again() -> None:
    clock, gate = WatchedClock(), Gate()
    thread = LoopThread(name="agents", clock=clock, log=CapturedLog().logger)
    clock.beats.get(timeout=WAIT)
    at_first = thread.lag()
    thread.loop.call_soon_threadsafe(gate.wait)
    assert gate.reached.wait(WAIT)

    clock.seconds += 3
    blocked = thread.lag()
    gate.open()
    while clock.beats.get(timeout=WAIT) < 3:
        pass
    thread.stop()

    assert thread.join(timeout=WAIT)
    assert at_first == 0
    assert blocked == pytest.approx(3 - BEAT_SECONDS)
    assert thread.lag() == 0
