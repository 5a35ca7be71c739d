"""Agents that do whatever an agent may do, as the seed wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from alex_actors.events import AnyEvent, IterationComplete, IterationStart
from alex_actors.ports import AgentError, AgentYield, Answer, Checkpoint
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.world import Simulation
from alex_actors.tasks import Task
from alex_actors.values import TaskId

RECORDED_BEFORE_EFFECT = "What an agent says before a checkpoint is recorded when it goes on after it."


class ChancyAgent:
    """Works, dawdles, fails, hangs or will not die, as the seed wants it; and goes on from where it was."""

    resumes = True

    def __init__(self, simulation: Simulation, store: SimulatedStore) -> None:
        self._simulation = simulation
        self._decisions = simulation.decisions
        self._store = store

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Do up to three turns."""
        decisions = self._decisions
        begun = sum(isinstance(event, IterationStart) for event in history)
        done = sum(isinstance(event, IterationComplete) for event in history)
        for turn in range(done + 1, max(begun, decisions.pick(4)) + 1):
            if turn > begun:
                yield IterationStart(iteration=turn, total_iters=50)
            if decisions.chance(0.3):
                yield Checkpoint()
                self._look_at_record(task.task_id, turn)
            await self._work()
            yield IterationComplete(iteration=turn, tokens_used=10 * turn, tools_run=0)
        yield Answer("4")

    def _look_at_record(self, task_id: TaskId, turn: int) -> None:
        query = "SELECT event_type FROM events JOIN tasks USING (place) WHERE task_id = ?"
        recorded = self._store.raw.execute(query, (task_id,)).fetchall().count(("iteration_start",))
        seen = f"{task_id} goes on in turn {turn}; recorded are {recorded}."
        self._simulation.check(recorded == turn, RECORDED_BEFORE_EFFECT, seen, about=(task_id,))

    async def _work(self) -> None:
        match self._decisions.pick(10):
            case 0 | 1 | 2 | 3:
                await asyncio.sleep(0)
            case 4 | 5:
                await asyncio.sleep(self._decisions.choose((0.1, 3.0, 60.0)))
            case 6:
                msg = "The model cannot be reached."
                raise AgentError(msg)
            case 7:
                await asyncio.Event().wait()  # for ever
            case _:
                await self._will_not_die()

    async def _will_not_die(self) -> None:
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            await asyncio.sleep(20.0)  # far longer than the grace
            raise


class ForgetfulAgent(ChancyAgent):
    """Does the same, and cannot go on once the process that it ran in is gone."""

    resumes = False
