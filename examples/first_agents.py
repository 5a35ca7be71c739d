"""First agents of one's own, each with one thing more: steps, a model, going on after a restart, a person's word.

`docs/agents.md` walks through them. Copied next to an `alex.toml` that names them, a server runs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from alex_actors.agents.loading import AgentParts, resumable
from alex_actors.events import AnyEvent, ApprovalRequested, IterationComplete, IterationStart, ThinkComplete
from alex_actors.models.conversation import whole_reply
from alex_actors.ports import AgentYield, Answer, AwaitApprovals, Checkpoint, Message
from alex_actors.tasks import Task


async def hello(task: Task, _history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
    """Greet whom the task names."""
    yield IterationStart(iteration=1, total_iters=1)
    await asyncio.sleep(0.1)  # any asyncio code
    yield IterationComplete(iteration=1, tokens_used=0, tools_run=0)
    yield Answer(f"Hello, {task.task}!")


class Poet:
    """Writes verses with the model that the task asks for."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts

    async def run(self, task: Task, _history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
        """Ask the model once."""
        yield IterationStart(iteration=1, total_iters=1)
        yield Checkpoint()  # a model costs money: what came before is on record when it is asked
        persona = Message(role="system", content="You are a poet. Answer with two lines that rhyme.")
        model = self._parts.model_of(task)
        reply = await whole_reply(model, [persona, Message(role="user", content=task.task)])
        yield ThinkComplete(iteration=1, content=reply.content, tool_call_count=0, usage=reply.usage)
        yield Answer(reply.content)


@resumable
async def countdown(task: Task, history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
    """Count down from the number that the task is, a second each, and go on where a restart came between."""
    done = sum(isinstance(event, IterationComplete) for event in history)
    for number in range(done + 1, int(task.task) + 1):
        yield IterationStart(iteration=number, total_iters=int(task.task))
        await asyncio.sleep(1)
        yield IterationComplete(iteration=number, tokens_used=0, tools_run=0)
    yield Answer("Lift-off!")


@resumable
async def herald(task: Task, _history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
    """Announce what the task says, if somebody says yes to it."""
    request = ApprovalRequested(
        iteration=1, call_id="announce", tool_name="announce", arguments={"text": task.task}
    )
    asked = AwaitApprovals((request,))
    yield asked  # comes back when a person has decided, and that is on record
    decision = asked.decisions["announce"]
    if decision.approved:
        yield Answer(f"Hear, hear: {(decision.arguments or request.arguments)['text']}")
    else:
        yield Answer(f"Not announced: {decision.reason or 'no reason was given'}.")
