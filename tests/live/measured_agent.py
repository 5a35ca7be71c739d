"""An agent whose figures a test knows beforehand: the server finds it in the directory of its settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from alex_actors.events import AnyEvent, ApprovalRequested, IterationStart, ThinkComplete, ToolCallComplete, Usage
from alex_actors.ports import AgentError, AgentYield, Answer, AwaitApprovals
from alex_actors.tasks import Task

USAGE = Usage(input_tokens=100, output_tokens=20, cost_usd=0.25)


class MeasuredAgent:
    """Says that a model took 1.5 s and a tool 20 ms; then answers, fails, waits, or asks a person."""

    resumes = True

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
        yield IterationStart(iteration=1, total_iters=1)
        yield ThinkComplete(iteration=1, content="Hm.", tool_call_count=1, usage=USAGE, duration=1500.0)
        yield ToolCallComplete(call_id="a", tool_name="measure", result="7", error=None, duration=20.0)
        match task.task:
            case "fail":
                raise AgentError("It was to fail.")
            case "wait":
                await asyncio.Event().wait()
            case "ask":
                call = ApprovalRequested(iteration=1, call_id="b", tool_name="measure", arguments={})
                yield AwaitApprovals((call,))
        yield Answer("7")
