"""What tests of the adapters look at: events by name, texts that came in pieces, runs that are cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from itertools import groupby
from pathlib import Path
from typing import Any

from alex_actors.agents.loading import AgentParts
from alex_actors.agents.memory import Conversations
from alex_actors.agents.reported import ReportingAgent
from alex_actors.events import AnyEvent, AssistantDelta
from alex_actors.ports import AgentYield, Answer, AwaitApprovals, Checkpoint, Message
from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.tasks import Task
from alex_actors.tools import Toolbox
from tests.unit.fake_agents import ScriptedModel, TickingClock, reply


def a_part_of(events: Sequence[AnyEvent], name: str) -> Any:  # Any: the event whose class has this name
    """Return the first event of a class."""
    return next(event for event in events if type(event).__name__ == name)


def steps(events: Sequence[AnyEvent]) -> list[str]:
    """Return the names of events, those of the same name one after the other as one."""
    return [name for name, _ in groupby(events, lambda event: type(event).__name__)]


def joined_deltas(events: Sequence[AnyEvent], iteration: int) -> str:
    """Return what was streamed of a turn."""
    return "".join(
        event.delta for event in events if isinstance(event, AssistantDelta) and event.iteration == iteration
    )


async def run_to(
    agent: ReportingAgent, task: Task, history: Sequence[AnyEvent], *, last: Callable[[AgentYield], bool]
) -> list[AnyEvent]:
    """Run an agent until it yields what is ``last``, then stop it; return what would be recorded by then."""
    recorded: list[AnyEvent] = []
    async with aclosing(agent.run(task, history)) as items:
        async for item in items:
            if not isinstance(item, Checkpoint | Answer | AwaitApprovals):
                recorded.append(item)
            if last(item):
                await asyncio.sleep(0)
                break
    return recorded


class Said:
    """Conversations that are what a test says."""

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self._messages = messages

    async def before(self, task: Task) -> Sequence[Message]:
        return self._messages


def a_parts(*, redactor: Redactor = NO_SECRETS, conversations: Conversations | None = None) -> AgentParts:
    """Return what a server gives to agents."""
    model = ScriptedModel(lambda _messages: reply("Said by the model."))
    return AgentParts(
        model=model,
        models={"offline": model},
        toolbox=Toolbox(tools={}, presets={"safe": ()}),
        persona=lambda preset: f"You are {preset}.",
        workspace=lambda task: Path("nowhere") / str(task.session_key),
        clock=TickingClock(),
        redactor=redactor,
        conversations=conversations or Said(),
    )
