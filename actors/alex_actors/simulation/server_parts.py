"""Parts of a simulated process that are to be gone when it is killed, or watched while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import pykka

from alex_actors.events import AnyEvent
from alex_actors.executor import AsyncioExecutor, AsyncioRun
from alex_actors.messages import Tell, tell
from alex_actors.ports import Outcome, Yielded
from alex_actors.simulation.event_loop import VirtualEventLoop
from alex_actors.simulation.invariants import Invariants
from alex_actors.simulation.loop_strand import AGENTS, event_loop_on
from alex_actors.simulation.steps import StepLog, run_resource
from alex_actors.simulation.strands import stops_the_run
from alex_actors.simulation.virtual_time import VirtualTimer, VirtualTimers
from alex_actors.tasks import Task

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.ports import Agent
    from alex_actors.simulation.world import Simulation

A = TypeVar("A", bound=pykka.Actor)


class ProcessTimers:
    """The timers of one process: with it, they are gone."""

    def __init__(self, *, timers: VirtualTimers) -> None:
        self._timers = timers
        self._set: list[VirtualTimer] = []

    def after(self, seconds: float, to: pykka.ActorRef[A], message: Tell[A]) -> VirtualTimer:
        """Tell ``message`` to an actor in ``seconds``."""
        timer = self._timers.call_after(seconds, lambda: tell(to, message))
        self._set.append(timer)
        return timer

    @property
    def pending(self) -> int:
        """How many are due some time."""
        return sum(not timer.over for timer in self._set)

    def cancel_all(self) -> None:
        """Let none fire any more."""
        for timer in self._set:
            timer.cancel()


class WatchedRun(AsyncioRun):
    """A run that says when its actor and its agent look at the same: what is committed, what is awaited."""

    @property
    def resumes(self) -> bool:
        """Whether its agent goes on from what is recorded."""
        return getattr(self._agent, "resumes", False) is True

    async def _outcome(self) -> Outcome:
        """Let the agent run to its end; and what is for who runs the simulation, a time limit say, end the run."""
        try:
            return await super()._outcome()
        except BaseException as error:
            executor = self._executor
            if stops_the_run(error) and isinstance(executor, WatchedExecutor):
                executor.stops(error)
            raise

    def _get(self, name: str) -> int:
        self._touch(write=False)
        value: int = self.__dict__[name]
        return value

    def _put(self, name: str, value: int) -> None:
        self._touch(write=True)
        self.__dict__[name] = value

    def _touch(self, *, write: bool) -> None:
        executor = self._executor
        if isinstance(executor, WatchedExecutor):
            executor.steps.touch(f"{executor.name}: commits of {self._task.task_id}", write=write)

    # In the server these are plain attributes, which two threads write and read.
    _committed = property(lambda self: self._get("_committed"), lambda self, value: self._put("_committed", value))
    _awaits_commit_of = property(
        lambda self: self._get("_awaits_commit_of"), lambda self, value: self._put("_awaits_commit_of", value)
    )


class WatchedExecutor(AsyncioExecutor):
    """The server's executor, which tells the invariants when agents begin and have stopped."""

    name: str
    """What the search for all orders calls what it has in memory."""
    invariants: Invariants
    steps: StepLog
    stops: Callable[[BaseException], None]
    run_class = WatchedRun

    def start(
        self,
        task: Task,
        *,
        history: Sequence[AnyEvent],
        uncommitted: int,
        report: Callable[[Yielded], None],
    ) -> AsyncioRun:
        """Start the agent of ``task``."""
        self.steps.touch(run_resource(task.task_id), write=True)
        self.invariants.agent_starts(task, history)
        resumptions = self.invariants.resumptions

        def heard(news: Yielded) -> None:
            resumptions.said(task, news.events)
            report(news)

        run = super().start(task, history=history, uncommitted=uncommitted, report=heard)
        resumptions.agent_has_started(task, history, resumes=isinstance(run, WatchedRun) and run.resumes)
        self.invariants.runs[run] = task
        return run

    def call(self, function: Callable[[], None]) -> None:
        """Have ``function`` called on the loop."""
        self.steps.touch(f"{self.name}: calls", write=True)
        super().call(function)

    def _make_calls(self) -> None:
        self.steps.touch(f"{self.name}: calls", write=True)
        super()._make_calls()

    def forget(self, run: AsyncioRun) -> None:
        """Drop a run that has stopped."""
        task = self.invariants.runs.pop(run, None)
        if task is not None:
            self.steps.touch(run_resource(task.task_id), write=True)
        super().forget(run)


class AgentLoops:
    """The executor of a process: on one event loop, as in the server; or, if agents run ``apart``, on one each.

    Then no agent's step waits for another's, which is more than the server does: for the search for all orders,
    in which agents of different tasks have nothing to do with each other then.
    """

    run_class: type[WatchedRun] = WatchedRun
    """What each task's agent is run by: a test may have one that is broken."""

    def __init__(
        self,
        *,
        simulation: Simulation,
        invariants: Invariants,
        agent_for: Callable[[Task], Agent],
        log: FilteringBoundLogger,
        max_ahead: int,
        apart: bool,
    ) -> None:
        self._simulation = simulation
        self._invariants = invariants
        self._agent_for = agent_for
        self._log = log
        self._max_ahead = max_ahead
        self._apart = apart
        self._executors: dict[str, WatchedExecutor] = {}
        self._loops: list[VirtualEventLoop] = []

    def start(
        self,
        task: Task,
        *,
        history: Sequence[AnyEvent],
        uncommitted: int,
        report: Callable[[Yielded], None],
    ) -> AsyncioRun:
        """Start the agent of ``task``."""
        name = self.name_of(task.task_id)
        if name not in self._executors:
            self._executors[name] = self._executor(name)
        return self._executors[name].start(task, history=history, uncommitted=uncommitted, report=report)

    def name_of(self, task_id: str) -> str:
        """Return what the loop of a task's agent is called."""
        return f"{AGENTS}({task_id})" if self._apart else AGENTS

    def close(self) -> None:
        """Drop all agents as they stand."""
        self._simulation.scheduler.abandon(lambda strand: strand.name in self._executors)
        for loop in self._loops:
            loop.close()

    def _executor(self, name: str) -> WatchedExecutor:
        simulation = self._simulation
        loop = event_loop_on(simulation.scheduler, name=name)
        self._loops.append(loop)
        executor = WatchedExecutor(
            loop=loop, agent_for=self._agent_for, clock=simulation.clock, log=self._log, max_ahead=self._max_ahead
        )
        executor.name, executor.invariants, executor.steps = name, self._invariants, simulation.scheduler.steps
        executor.stops, executor.run_class = self._stop_run, self.run_class
        return executor

    def _stop_run(self, error: BaseException) -> None:
        if not self._simulation.scheduler.abandoning:  # else it is how an agent of a killed process is dropped
            self._simulation.scheduler.failure = error
