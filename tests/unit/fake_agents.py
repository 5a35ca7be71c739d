"""What tests of agents run them with: a clock that only tests move, scripted models, and a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from alex_actors.agents import OfflineAgent, ReActAgent
from alex_actors.events import AnyEvent, ApprovalRequested, ApprovalResolved, Usage
from alex_actors.models import OfflineModel
from alex_actors.ports import (
    Agent,
    AgentError,
    AgentYield,
    Answer,
    AwaitApprovals,
    Checkpoint,
    Decision,
    Message,
    Model,
    ModelEvent,
    ModelReply,
    ToolCall,
    ToolContext,
    ToolSpec,
)
from alex_actors.redact import redact
from alex_actors.tasks import Task
from alex_actors.tools import Toolbox
from alex_actors.tools.tool import FunctionTool
from alex_actors.values import SessionId, TaskId, Timestamp
from tests.unit.tool_limits import tools_without_a_sandbox

PRESETS = {
    "safe": ("think", "calculator", "list_files", "file_read", "file_write", "search"),
    "full": ("think", "calculator", "list_files", "file_read", "file_write", "search", "shell"),
}


class TickingClock:
    """Every look at it is 1/1024 s later than the one before: exact as a float, so that tests can compare."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        self._looks += 1
        return self._looks / 1024


class Sleeps:
    """Sleeps that take no time and are remembered, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class ScriptedModel:
    """Says what a function of the conversation says, and remembers what it was shown."""

    def __init__(self, script: Callable[[Sequence[Message]], ModelReply]) -> None:
        self._script = script
        self.seen: list[tuple[tuple[Message, ...], tuple[str, ...]]] = []

    @property
    def context_tokens(self) -> None:
        return

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        self.seen.append((tuple(messages), tuple(tool.name for tool in tools)))
        await asyncio.sleep(0)
        yield self._script(messages)


class RecordingTool:
    """Runs a function of its arguments, and remembers them. It takes any arguments."""

    def __init__(
        self,
        name: str,
        run: Callable[[Mapping[str, Any]], str],  # JSON
        *,
        repeatable: bool = True,
        alone: bool = False,
    ) -> None:
        self.calls: list[dict[str, Any]] = []  # JSON
        self._run = run
        schema = {"type": "object", "properties": {}}
        spec = ToolSpec(name=name, description=name, parameters=schema, repeatable=repeatable, alone=alone)
        self.tool = FunctionTool(spec=spec, run=self._call)

    async def _call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON
        self.calls.append(dict(arguments))
        await asyncio.sleep(0)
        return self._run(arguments)


def reply(content: str, *calls: tuple[str, dict[str, Any]], tokens: int = 10) -> ModelReply:  # JSON
    """Return a turn that calls tools; without any, it is the final answer."""
    return ModelReply(
        content=content,
        tool_calls=tuple(ToolCall("same", name, args) for name, args in calls),
        usage=Usage(input_tokens=0, output_tokens=tokens),
    )


def make_task(text: str, *, tool_preset: str = "safe", max_iterations: int = 50) -> Task:
    return Task(
        task_id=TaskId("task-1"),
        session_id=SessionId("session-1"),
        session_key=7,
        place=1,
        status="running",
        task=text,
        agent_preset="default",
        tool_preset=tool_preset,
        model="offline",
        created_at=Timestamp("2026-01-01T00:00:00.000000Z"),
        strategy="enqueue",
        timeout_seconds=None,
        max_iterations=max_iterations,
        metadata={},
        trace_id="0" * 32,
    )


def make_react(model: Model, toolbox: Toolbox, root: Path) -> ReActAgent:
    return ReActAgent(
        model=model,
        toolbox=toolbox,
        persona=lambda preset: f"You are {preset}.",
        workspace=lambda task: root / str(task.session_key),
        clock=TickingClock(),
    )


def make_offline(root: Path, sleeps: Sleeps) -> OfflineAgent:
    toolbox = Toolbox(tools=tools_without_a_sandbox(), presets=PRESETS)
    return OfflineAgent(react=make_react(OfflineModel(sleep=sleeps), toolbox, root), sleep=sleeps)


class Ran:
    """A run of an agent: all that it yielded, what would be recorded, and how it ended."""

    def __init__(self) -> None:
        self.yielded: list[AgentYield] = []
        self.events: list[AnyEvent] = []
        self.error: str | None = None

    @property
    def answer(self) -> Answer:
        """Return the answer. It is the last thing yielded, and the only one."""
        answers = [item for item in self.yielded if isinstance(item, Answer)]
        assert len(answers) == 1, answers
        assert self.yielded[-1] is answers[0]
        return answers[0]


Decide: TypeAlias = Callable[[ApprovalRequested], Decision]


def allow(_request: ApprovalRequested) -> Decision:
    return Decision(approved=True)


async def run_async(agent: Agent, task: Task, history: Sequence[AnyEvent] = (), *, decide: Decide = allow) -> Ran:
    ran = Ran()
    try:
        async for item in agent.run(task, history):
            ran.yielded.append(item)
            if isinstance(item, AwaitApprovals):
                settle(item, history, ran, decide)
            elif not isinstance(item, Checkpoint | Answer):
                ran.events.append(item)
    except AgentError as error:
        ran.error = str(error)
    return ran


def settle(asked: AwaitApprovals, history: Sequence[AnyEvent], ran: Ran, decide: Decide) -> None:
    """Record what is not on record, and decide, as what runs agents does."""
    on_record = {event.call_id for event in history if isinstance(event, ApprovalRequested)}
    ran.events += (request for request in asked.requests if request.call_id not in on_record)
    for request in asked.requests:
        asked.decisions[request.call_id] = word = decide(request)
        ran.events.append(
            ApprovalResolved(
                call_id=request.call_id,
                approved=word.approved,
                reason=word.reason,
                arguments=redact(word.arguments),
            )
        )


def run(agent: Agent, task: Task, history: Sequence[AnyEvent] = (), *, decide: Decide = allow) -> Ran:
    """Run an agent to its end."""
    return asyncio.run(run_async(agent, task, history, decide=decide))


def names(items: Sequence[AgentYield | AnyEvent]) -> list[str]:
    """Return the names of the classes of what was yielded."""
    return [type(item).__name__ for item in items]


def without_durations(events: Sequence[AnyEvent]) -> list[Any]:  # JSON
    """Return events as JSON without the times that tools took."""
    found = msgspec.to_builtins(events)
    for event in found:
        event.pop("duration", None)
    return list(found)
