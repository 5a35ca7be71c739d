"""An agent of one's own: asks several sources at once, has a model write a summary, and leaves nothing open.

An agent is an async generator. What it yields is recorded, event for event; a `Checkpoint` waits until all of
that is committed; the `Answer` is the last. It is asyncio code as any: `gather`, `timeout`, `try` and `finally`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from alex_actors.events import AnyEvent, IterationComplete, IterationStart, TaskAnalysis, ThinkComplete
from alex_actors.models.conversation import whole_reply
from alex_actors.ports import (
    AgentError,
    AgentYield,
    Answer,
    Checkpoint,
    Message,
    Model,
    Tool,
    ToolContext,
    ToolError,
)
from alex_actors.tasks import Task

SOURCE_TIMEOUT = 10.0
"""Seconds that a source has for its answer: the others' are worth more than waiting for it."""


class Desks(Protocol):
    """Something outside that is lent, and has to be given back: a browser, a container, a place at a desk."""

    async def take(self) -> int:
        """Take one; return its number."""

    async def give_back(self, desk: int) -> None:
        """Give one back."""


class ResearchAgent:
    """Works on any number of tasks at once: what belongs to one task lives in `run`."""

    def __init__(self, *, model: Model, sources: Sequence[Tool], desks: Desks, workspace: Path) -> None:
        self._model = model
        self._sources = sources
        self.desks = desks
        self._workspace = workspace

    async def run(
        self,
        task: Task,
        history: Sequence[AnyEvent],  # noqa: ARG002 - empty: it does not say `resumes = True`
    ) -> AsyncGenerator[AgentYield, None]:
        """Ask the sources, then the model."""
        yield TaskAnalysis(action_name="Research", goal=task.task)
        desk = await self.desks.take()
        try:
            yield IterationStart(iteration=1, total_iters=1)
            found = await asyncio.gather(*(self._ask(source, task) for source in self._sources))
            known = [text for text in found if text is not None]
            if not known:
                raise AgentError("None of the sources answered.")  # the task fails, with this text
            yield Checkpoint()  # the model costs money: before it is asked, what came before is on record
            reply = await whole_reply(self._model, [Message(role="user", content="\n".join(known))])
            yield ThinkComplete(iteration=1, content=reply.content, tool_call_count=0, usage=reply.usage)
            tokens = 0 if reply.usage is None else reply.usage.tokens
            yield IterationComplete(iteration=1, tokens_used=tokens, tools_run=len(known))
        finally:  # also when the task is cancelled, or its time is over, wherever it stands
            await self.give_back(desk)
        yield Answer(reply.content)

    async def give_back(self, desk: int) -> None:
        """Give a desk back. A cancel that comes meanwhile has its effect afterwards."""
        giving = asyncio.create_task(self.desks.give_back(desk))
        try:
            await asyncio.shield(giving)
        except asyncio.CancelledError:
            await giving
            raise

    async def _ask(self, source: Tool, task: Task) -> str | None:
        """Return what a source says; None if it cannot, or not in time."""
        try:
            async with asyncio.timeout(SOURCE_TIMEOUT):
                return await source({"question": task.task}, ToolContext(task.task_id, self._workspace))
        except (TimeoutError, ToolError):
            return None
