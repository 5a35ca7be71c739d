"""The offline agent: runs what a task says to simulate by itself, and leaves the rest to the ReAct agent.

A simulation is a task of known length and cost with nothing in it: for load tests, and to watch a task at work.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from alex_actors.agents.react import ReActAgent
from alex_actors.agents.turn_log import TurnLog
from alex_actors.events import AnyEvent, IterationStart
from alex_actors.models.offline import joined
from alex_actors.models.offline_intents import Simulate
from alex_actors.models.offline_language import understand
from alex_actors.ports import AgentError, AgentYield, Answer
from alex_actors.tasks import Task

STEP_TOKENS = 60
"""What a simulated step is said to cost."""


class OfflineAgent:
    """Works on tasks for the offline model. ``sleep`` takes seconds."""

    resumes = True

    def __init__(self, *, react: ReActAgent, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._react = react
        self._sleep = sleep

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
        """Work on a task from where its recorded events leave off.

        Raises AgentError at the end of a simulation that was asked to fail.
        """
        turns = TurnLog(history)
        parts = understand(task.task)
        if not any(isinstance(part.intent, Simulate) for part in parts):
            # In one conversation, so that the model sees what it did before.
            async with aclosing(self._react.pursue(task, task.task, turns)) as events:
                async for event in events:
                    yield event
            return
        answer = Answer("")
        answers: list[str] = []
        for part in parts:
            working = (
                self._simulate(task, part.intent, turns)
                if isinstance(part.intent, Simulate)
                else self._react.pursue(task, part.text, turns)
            )
            async with aclosing(working) as events:
                async for event in events:
                    if isinstance(event, Answer):
                        answer = event
                    else:
                        yield event
            answers.append(answer.text)
            if answer.stop_reason != "final_answer":
                break
        yield Answer(joined(answers), stop_reason=answer.stop_reason)

    async def _simulate(
        self, task: Task, simulation: Simulate, turns: TurnLog
    ) -> AsyncGenerator[AgentYield, None]:
        """Take a turn for every step. A step that was interrupted is slept through again, from its start."""
        for step in range(simulation.steps):
            turn = turns.next_turn(task.max_iterations)
            if turn is None:
                text = (
                    f"Stopped after {task.max_iterations} iterations, the limit of this task: "
                    f"{step} of {simulation.steps} steps were simulated."
                )
                yield Answer(text, stop_reason="max_iterations")
                return
            if not turn.begun:
                yield IterationStart(iteration=turn.iteration, total_iters=task.max_iterations)
            if not turn.completed:
                if simulation.milliseconds:
                    await self._sleep(simulation.milliseconds / 1000)
                yield turns.complete(turn, tokens=STEP_TOKENS)
        if simulation.fail:
            raise AgentError(f"The simulation was asked to fail after {simulation.steps} steps.")
        yield Answer(f"Simulated {simulation.steps} steps of {simulation.milliseconds} ms.")
