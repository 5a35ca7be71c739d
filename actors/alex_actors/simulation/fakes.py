"""Fakes for tests of agents: a model, tools and an agent that do what a script says, on the event loop's time."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from alex_actors.agents.react import ReActAgent
from alex_actors.events import Usage
from alex_actors.ports import AgentYield, Message, ModelEvent, ModelReply, ToolCall, ToolContext, ToolSpec
from alex_actors.text import shortened
from alex_actors.tools.toolbox import Toolbox
from alex_actors.values import Value

if TYPE_CHECKING:
    from alex_actors.events import AnyEvent
    from alex_actors.ports import Clock, Model, Tool
    from alex_actors.tasks import Task

T = TypeVar("T")

FOREVER: Final = math.inf
"""Seconds of a delay that does not end: what waits for it has to be cancelled."""

TOOL_PRESET = "safe"
"""What the tasks of a SimulatedRuntime have."""

USAGE: Final = Usage(input_tokens=6, output_tokens=4)
"""What a turn of a scripted model is said to take, unless the script says otherwise."""

LONGEST_QUOTE = 200
"""Characters of what a fake was asked that an error shows."""


class Delay(Value, frozen=True):
    """Wait for so many seconds before what comes next in the script. In a simulation they take no real time."""

    seconds: float

    async def wait(self) -> None:
        """Do it."""
        if self.seconds == FOREVER:
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)


class ScriptEndedError(AssertionError):
    """A fake was asked once more than its script has answers for."""


ModelTurn: TypeAlias = ModelReply | str | ToolCall | tuple[ToolCall, ...] | Exception | Delay
"""What a scripted model does: a reply, the text of a last answer, calls of tools, an exception, or a delay."""

ToolTurn: TypeAlias = str | Exception | Delay
"""What a fake tool does: a result, an exception (ToolError is told to the model), or a delay."""

ToolFunction: TypeAlias = Callable[[Mapping[str, Any]], str | Awaitable[str]]  # Any: JSON, as the model wrote it
"""A tool's work, of its arguments; may be a coroutine function."""


def tool_call(tool_name: str, /, **arguments: Any) -> ToolCall:  # Any: JSON
    """Return a model's wish to call a tool."""
    return ToolCall("", tool_name, arguments)


class Asked(Value, frozen=True):
    """What a model was asked."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]


class ScriptedModel:
    """A `Model` that does one thing after the other, whatever it is asked, and keeps what it was asked.

    With several tasks at once, give each a model of its own: whose turn is next is up to the seed.
    """

    def __init__(self, script: Iterable[ModelTurn]) -> None:
        self._script: _Script[ModelReply | str | ToolCall | tuple[ToolCall, ...]] = _Script(script)
        self.asked: list[Asked] = []
        """Each question, in order."""

    @property
    def left(self) -> int:
        """How many turns it has not taken yet: 0 when the agent asked as often as it should."""
        return self._script.left

    @property
    def context_tokens(self) -> None:
        """Return None: it takes a conversation of any length."""
        return

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the next turn of the script, or raise it. Raises ScriptEndedError when it is used up."""
        self.asked.append(Asked(tuple(messages), tuple(tools)))
        turn = await self._script.take("the model", messages[-1].content if messages else "nothing")
        if isinstance(turn, str):
            yield ModelReply(content=turn, usage=USAGE)
        elif isinstance(turn, ToolCall):
            yield ModelReply(content="", tool_calls=(turn,), usage=USAGE)
        elif isinstance(turn, tuple):
            yield ModelReply(content="", tool_calls=turn, usage=USAGE)
        else:
            yield turn


class FakeTool:
    """A `Tool` that does what a function or a script says, and keeps what it was called with."""

    def __init__(
        self,
        name: str,
        does: ToolFunction | Iterable[ToolTurn],
        *,
        description: str = "A fake.",
        parameters: Mapping[str, Any] | None = None,  # a JSON Schema; by default, an object of whatever members
        repeatable: bool = True,
    ) -> None:
        """Give it its name, and a function of the arguments or a script."""
        schema = {"type": "object"} if parameters is None else dict(parameters)
        self.spec = ToolSpec(name=name, description=description, parameters=schema, repeatable=repeatable)
        self._function = does if callable(does) else None
        self._script: _Script[str] = _Script(() if callable(does) else does)
        self.calls: list[dict[str, Any]] = []  # JSON, as the model wrote it
        """The arguments of each call, in order."""
        self.running = 0
        """How many calls are under way."""

    @property
    def left(self) -> int:
        """How many turns of its script it has not taken yet."""
        return self._script.left

    async def __call__(
        self,
        arguments: Mapping[str, Any],  # JSON, as the model wrote it
        context: ToolContext,  # noqa: ARG002 - as Tool has it
    ) -> str:
        """Return what the function does, or the script's next turn. Raises ScriptEndedError if it has no more."""
        self.calls.append(dict(arguments))
        self.running += 1
        try:
            if self._function is None:
                return await self._script.take(f"the tool {self.spec.name!r}", dict(arguments))
            result = self._function(arguments)
            return await result if inspect.isawaitable(result) else result
        finally:
            self.running -= 1


class ScriptedAgent:
    """An `Agent` that yields what a script says, to each task the same, with delays and exceptions in between."""

    def __init__(self, script: Iterable[AgentYield | Exception | Delay]) -> None:
        self._script = tuple(script)
        self.tasks: list[Task] = []
        """The tasks that it began to work on, in order."""

    async def run(
        self,
        task: Task,
        history: Sequence[AnyEvent],  # noqa: ARG002 - as Agent has it
    ) -> AsyncIterator[AgentYield]:
        """Go through the script."""
        self.tasks.append(task)
        for turn in self._script:
            if isinstance(turn, Delay):
                await turn.wait()
            elif isinstance(turn, Exception):
                raise turn
            else:
                yield turn


def react_agent(
    *,
    model: Model,
    tools: Iterable[Tool] = (),
    clock: Clock,
    tool_preset: str = TOOL_PRESET,
    approve: Collection[str] = (),
    approval_timeout_seconds: float | None = None,
) -> ReActAgent:
    """Return the server's own agent, over a model and tools that are given. Its workspaces do not exist.

    Calls of the tools that ``approve`` names wait for a person's word; after so many seconds they count as denied.
    """
    by_name = {tool.spec.name: tool for tool in tools}
    return ReActAgent(
        model=model,
        toolbox=Toolbox(tools=by_name, presets={tool_preset: tuple(by_name)}, approve_always=approve),
        persona=lambda _preset: "You are under test.",
        workspace=lambda task: Path("nowhere", str(task.session_key)),
        clock=clock,
        approval_timeout_seconds=approval_timeout_seconds,
    )


class _Script(Generic[T]):
    """Turns that are taken one after the other."""

    def __init__(self, turns: Iterable[T | Exception | Delay]) -> None:
        self._turns = deque(turns)
        self._taken = 0

    @property
    def left(self) -> int:
        return sum(not isinstance(turn, Delay) for turn in self._turns)

    async def take(self, who: str, asked: object) -> T:
        """Wait as the script wants it, and return the next turn, or raise it."""
        while self._turns:
            turn = self._turns.popleft()
            if isinstance(turn, Delay):
                await turn.wait()
                continue
            self._taken += 1
            if isinstance(turn, Exception):
                raise turn
            return turn
        turns = f"{self._taken} turn{'' if self._taken == 1 else 's'}"
        text = shortened(str(asked), LONGEST_QUOTE)
        raise ScriptEndedError(f"The script of {who} had {turns}, and it was asked once more: {text}")
