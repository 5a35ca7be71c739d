"""The ``delegate`` tool: has a sub-agent do a part of the task, in the same session, and gives back its answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tasks import NewTask, Task
from alex_actors.tools.excerpts import MAX_TEXT, head
from alex_actors.tools.tool import FunctionTool, parameters

if TYPE_CHECKING:
    from alex_actors.sub_agents import SubAgents
    from alex_actors.values import TaskId

DESCRIPTION = (
    "Hand a part of the task to a sub-agent, which works on it with the same files and gives back its answer. It "
    "sees nothing of this conversation: tell it all that it has to know. Several calls in a turn run side by side."
)


def delegate_tool(
    *,
    sub_agents: Callable[[], SubAgents],
    within: Callable[[str, str], bool],
    agent_presets: Collection[str],
    models_of_presets: Mapping[str, str],
    most_at_once: int,
    max_depth: int,
) -> Tool:
    """Return the tool.

    ``sub_agents`` is called when it runs: by then the server has them. ``within`` says whether a tool preset
    allows nothing that another one does not; ``models_of_presets`` has the models of those agent presets that have
    one of their own, for sub-agents of another preset than their parent's. At most ``most_at_once`` sub-agents
    work for one task at the same time, the next waits; ``max_depth`` is how deep they may be: 1 means that a
    sub-agent has none itself.

    Running it again is harmless: the same call finds the sub-agent that it has.
    """
    delegating = _Delegating(sub_agents, within, agent_presets, models_of_presets, most_at_once, max_depth)
    return FunctionTool(
        spec=ToolSpec(
            name="delegate",
            description=DESCRIPTION,
            parameters=parameters(
                {
                    "task": {"type": "string", "description": "What is to be done, with all that is needed."},
                    "agent_preset": {
                        "type": "string",
                        "enum": sorted(agent_presets),
                        "description": "Which agent does it; without, one like you.",
                    },
                    "tool_preset": {
                        "type": "string",
                        "description": "Which tools it has, at most yours; without, the same as you.",
                    },
                },
                required=("task",),
            ),
            repeatable=True,
        ),
        run=delegating.run,
    )


LONGEST_TASK = 100_000
"""Characters of a task, as of one that a client submits: what is longer could not be imported again."""


class _Delegating:
    def __init__(
        self,
        sub_agents: Callable[[], SubAgents],
        within: Callable[[str, str], bool],
        agent_presets: Collection[str],
        models_of_presets: Mapping[str, str],
        most_at_once: int,
        max_depth: int,
    ) -> None:
        self._sub_agents = sub_agents
        self._within = within
        self._agent_presets = frozenset(agent_presets)
        self._models_of_presets = models_of_presets
        self._most_at_once = most_at_once
        self._max_depth = max_depth
        # A task's, for as long as one of its calls has it.
        self._rooms: WeakValueDictionary[TaskId, _Room] = WeakValueDictionary()

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
        parent = context.task
        if parent is None or not context.call_id:
            raise ToolError("Only a task can hand on a part of itself, in a call that has a name.")
        new = self._new_task(arguments, parent)
        sub_agents = self._sub_agents()
        if await sub_agents.depth(parent) >= self._max_depth:
            raise ToolError("This task may have no sub-agents, since it is so deep down already. Do it yourself.")
        room = self._rooms.setdefault(parent.task_id, _Room(self._most_at_once))
        await room.enter()
        try:
            return _result(await sub_agents.run(new, parent=parent, call_id=context.call_id))
        finally:
            room.leave()

    def _model(self, agent_preset: str, parent: Task) -> str:
        return self._models_of_presets.get(agent_preset, parent.model)

    def _new_task(self, arguments: Mapping[str, Any], parent: Task) -> NewTask:  # JSON, checked
        text: str = arguments["task"]
        agent_preset: str = arguments.get("agent_preset", parent.agent_preset)
        tool_preset: str = arguments.get("tool_preset", parent.tool_preset)
        if not text.strip():
            raise ToolError("The argument 'task' must say what is to be done.")
        if len(text) > LONGEST_TASK:
            raise ToolError(
                f"The argument 'task' has {len(text):,} characters; {LONGEST_TASK:,} may be. Put it into a file."
            )
        if agent_preset != parent.agent_preset and agent_preset not in self._agent_presets:
            known = ", ".join(sorted(self._agent_presets))
            raise ToolError(f"There is no agent preset {agent_preset!r}; there are: {known}.")
        if tool_preset != parent.tool_preset and not self._within(tool_preset, parent.tool_preset):
            raise ToolError(
                f"A sub-agent may do nothing that this task may not: its tool preset is {parent.tool_preset!r}, "
                f"and {tool_preset!r} is not within that."
            )
        return NewTask(
            task=text,
            session_id=parent.session_id,
            agent_preset=agent_preset,
            tool_preset=tool_preset,
            model=parent.model if agent_preset == parent.agent_preset else self._model(agent_preset, parent),
            strategy="parallel",
            timeout_seconds=None,  # its parent's ends it, too
            max_iterations=parent.max_iterations,
            metadata={},
            parent_task_id=parent.task_id,
        )


class _Room:
    """Room for so many at once; the others wait, and get it in their order."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        if self._left:
            self._left -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given room, and cancelled before it went on
                self.leave()
            raise

    def leave(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._left += 1


def _result(task: Task | None) -> str:
    """Return what a sub-agent answered. Raises ToolError if it did not."""
    if task is None:
        raise ToolError("The sub-agent's task was deleted.")
    if task.status == "completed" and task.result is not None:
        data = task.result.answer.encode()
        return head(data[:MAX_TEXT], size=len(data))
    raise ToolError(f"The sub-agent's task {task.task_id} is {task.status}: {task.error}")
