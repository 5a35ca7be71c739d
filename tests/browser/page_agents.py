"""Agents whose tasks are hard to show. A server loads them from a copy, next to its configuration."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from alex_actors.events import (
    AnyEvent,
    ApprovalRequested,
    AssistantDelta,
    IterationComplete,
    IterationStart,
    ThinkComplete,
    Thinking,
    ToolCallComplete,
    ToolCallStart,
    ToolCallStream,
)
from alex_actors.ports import AgentYield, Answer, AwaitApprovals
from alex_actors.tasks import Task

LINE = "It was the best of <b>times</b>, it was the worst of times, it must not freeze. \u202eemit\u202c\n"
NOVEL = LINE * (10**6 // len(LINE.encode()))
"""A megabyte: an event may have 2**20 bytes."""
PIECE = 2**14

NASTY = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    "<svg onload=\"document.title = 'owned'\"></svg>"
)
LINKS = (
    "[one](javascript:document.title='owned') [two](data:text/html,<script>1</script>)"
    " <a href='//evil.example'>three</a> ![four](https://evil.example/pixel.png) [five](https://evil.example/a)"
    " [six](javascript://%0adocument.title='owned')"
)
BACKWARDS = "invoice\u202egpj.exe \u2066\u2067 مرحبا بالعالم"
HUGE_WORD = "w" * 3000


async def brief(task: Task, _history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
    """Answer at once."""
    yield Answer(task.task)


async def novel(_task: Task, _history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
    """Say a megabyte, in pieces, and answer with it."""
    yield IterationStart(iteration=1, total_iters=1)
    yield Thinking(iteration=1, message_count=1)
    for start in range(0, len(NOVEL), PIECE):
        yield AssistantDelta(iteration=1, delta=NOVEL[start : start + PIECE])
    yield ThinkComplete(iteration=1, content=NOVEL, tool_call_count=0)
    yield IterationComplete(iteration=1, tokens_used=0, tools_run=0)
    yield Answer(NOVEL)


async def hostile(_task: Task, _history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
    """Put markup, scripts, reversed text and endless words wherever an agent can put text."""
    text = (
        f"{NASTY} {BACKWARDS} {HUGE_WORD}\n\n# {NASTY}\n\n* {LINKS}\n\n"
        f"```{NASTY}\n{NASTY}\n```\n\n| {NASTY} |\n| - |\n| {LINKS} |\n"
    )
    yield IterationStart(iteration=1, total_iters=1)
    yield Thinking(iteration=1, message_count=1)
    yield AssistantDelta(iteration=1, delta=text)
    yield ThinkComplete(iteration=1, content=text, tool_call_count=1)
    yield ToolCallStart(iteration=1, call_id="call-1", tool_name=NASTY, arguments={NASTY: HUGE_WORD})
    yield ToolCallStream(call_id="call-1", chunk=f"{NASTY}\x1b[31m{BACKWARDS}\n", is_complete=True)
    yield ToolCallComplete(call_id="call-1", tool_name=NASTY, result=text, error=None, duration=1.0)
    yield IterationComplete(iteration=1, tokens_used=0, tools_run=1)
    yield Answer(text)


async def asking(_task: Task, _history: Sequence[AnyEvent]) -> AsyncGenerator[AgentYield, None]:
    """Ask for a word about a call whose names have no end and are markup."""
    names = (HUGE_WORD, NASTY, BACKWARDS)
    yield AwaitApprovals(
        tuple(
            ApprovalRequested(
                iteration=1, call_id=f"{number}".rjust(128, "c"), tool_name=name, arguments={name: name}
            )
            for number, name in enumerate(names)
        )
    )
    yield Answer("It was decided.")
