"""Agents that do what a test says, and an executor whose reports the test reads."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Sequence

from alex_actors.events import AnyEvent, IterationStart
from alex_actors.executor import AsyncioExecutor, AsyncioRun
from alex_actors.loop_thread import LoopThread
from alex_actors.ports import Agent, AgentYield, Outcome, Yielded
from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.tasks import Task
from alex_actors.values import SessionId, TaskId, timestamp
from tests.unit.actor_fakes import WAIT, CapturedLog, OwnedClock

AgentScript = Callable[[Task, Sequence[AnyEvent]], AsyncIterator[AgentYield]]


def step(number: int) -> IterationStart:
    """Return an event that an agent may yield."""
    return IterationStart(iteration=number, total_iters=100)


async def for_ever() -> None:
    """Await what never comes."""
    await asyncio.Event().wait()


def recorded_task(name: str = "task-1") -> Task:
    """Return a task as the store has it before it starts."""
    return Task(
        task_id=TaskId(name),
        session_id=SessionId("session-1"),
        session_key=1,
        place=1,
        task="What is 2 + 2?",
        agent_preset="default",
        tool_preset="safe",
        model="offline",
        created_at=timestamp(OwnedClock().now()),
        strategy="enqueue",
        timeout_seconds=None,
        max_iterations=50,
        metadata={},
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )


class ScriptedAgent:
    """An agent whose work is a function of the test."""

    def __init__(self, script: AgentScript, *, resumes: bool = True) -> None:
        self.run = script
        self.resumes = resumes


class Reports:
    """What a run reports."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Yielded] = queue.SimpleQueue()

    def __call__(self, news: Yielded) -> None:
        self._queue.put(news)

    def next(self) -> Yielded:
        return self._queue.get(timeout=WAIT)

    def events(self) -> list[AnyEvent]:
        """Return the events of the next report, which brings no outcome."""
        news = self.next()
        assert news.outcome is None, news
        return [stamped.event for stamped in news.events]

    def end(self) -> tuple[list[AnyEvent], Outcome]:
        """Return all events up to the outcome, and the outcome."""
        events: list[AnyEvent] = []
        while True:
            news = self.next()
            events += [stamped.event for stamped in news.events]
            if news.outcome is not None:
                return events, news.outcome

    def empty(self) -> bool:
        return self._queue.empty()


class AgentStage:
    """An executor on a thread, and the agents that run on it."""

    def __init__(self, *, max_ahead: int = 64, redactor: Redactor = NO_SECRETS) -> None:
        self.log = CapturedLog()
        self.clock = OwnedClock()
        self.agents: dict[str, Agent] = {}
        self.thread = LoopThread(name="agents", clock=self.clock, log=self.log.logger)
        self.executor = AsyncioExecutor(
            loop=self.thread.loop,
            agent_for=lambda task: self.agents[task.task_id],
            clock=self.clock,
            log=self.log.logger,
            max_ahead=max_ahead,
            redactor=redactor,
        )

    def start(
        self,
        script: AgentScript,
        *,
        name: str = "task-1",
        history: Sequence[AnyEvent] = (),
        uncommitted: int = 0,
        resumes: bool = True,
    ) -> tuple[AsyncioRun, Reports]:
        """Start an agent; return its run and what it reports."""
        self.agents[name] = ScriptedAgent(script, resumes=resumes)
        reports = Reports()
        run = self.executor.start(recorded_task(name), history=history, uncommitted=uncommitted, report=reports)
        return run, reports

    def settle(self) -> None:
        """Return when the agents' thread has done all that it can do now."""
        for _turn in range(10):  # a step of an agent, its report and its end take a turn of the loop each
            turned = threading.Event()
            self.executor.call(turned.set)
            assert turned.wait(WAIT)

    def stop(self, *, timeout: float) -> bool:
        """Stop all agents, then the thread; return whether both had stopped within ``timeout`` seconds."""
        self.executor.stop(then=self.thread.stop)
        return self.thread.join(timeout=timeout)
