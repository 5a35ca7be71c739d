"""Tools of which some must not run twice, some not beside others, and some not without a person's word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.ports import ToolContext, ToolError, ToolSpec
from tests.simulation.paying_agent import EFFECT_ONCE

if TYPE_CHECKING:
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation

APPROVED_FIRST = (
    "A tool that needs a person's word runs once an approval of that very call is on record, with the arguments "
    "that were approved."
)
ALONE = "A tool that is to run alone runs beside no other of its task."
AS_RECORDED = "A tool runs with the arguments that are recorded, if its call is."

NAMES = ("look", "pay", "edit", "wire", "read", "wire")
"""What the model calls: one as often as two."""
ONCE = ("pay", "edit", "wire")
"""Those that are not safe to repeat."""
BY_THEMSELVES = ("edit", "read")
APPROVED = ("wire", "read")
"""Those that need a person's word."""

EVENTS = "SELECT event_type, body FROM events JOIN tasks USING (place) WHERE task_id = ? ORDER BY event_id"
RESULT = "Done, and this is what came of it: {}, as was wanted, with all that has to be said of it besides"
"""Longer than the line that takes its place if a conversation is too long."""


class GuardedTool:
    """Takes its time, fails, or takes longer than anybody waits."""

    def __init__(
        self, name: str, simulation: Simulation, store: SimulatedStore, process: Callable[[], object]
    ) -> None:
        """``process`` returns something that is another in each process."""
        self.spec = ToolSpec(
            name=name, description="", parameters={"type": "object"}, repeatable=name not in ONCE,
            alone=name in BY_THEMSELVES,
        )  # fmt: skip
        self._simulation = simulation
        self._raw = store.raw
        self._process = process
        self.running: list[tuple[object, str, str, bool]] = []
        """Of all tools: in which process, of which task, which call, and whether it is to be alone."""
        self.made: set[tuple[str, str]] = set()
        """Of all tools: of which task, and which call."""

    async def __call__(
        self,
        arguments: Mapping[str, Any],  # Any: JSON, as the model wrote it
        context: ToolContext,
    ) -> str:
        """Do it."""
        task_id, call_id = context.task_id, context.call_id
        self._look_at_record(task_id, call_id, dict(arguments))
        beside = [one for one in self.running if one[0] is self._process() and one[1] == task_id]
        alone = not beside or not (self.spec.alone or any(one[3] for one in beside))
        seen = f"{call_id} of {task_id} runs beside {[one[2] for one in beside]}."
        self._simulation.check(alone, ALONE, seen, about=(task_id,))
        if (
            not self.spec.repeatable
        ):  # else a call of that name may come that is another: this one may not be on record
            self.made.add((task_id, call_id))
        this = (self._process(), task_id, call_id, self.spec.alone)
        self.running.append(this)
        try:
            await self._work()
        finally:
            self.running.remove(this)
        return RESULT.format(arguments["number"])

    async def _work(self) -> None:
        decisions = self._simulation.decisions
        match decisions.pick(6):
            case 0 | 1 | 2:
                await asyncio.sleep(0)
            case 3:
                await asyncio.sleep(decisions.choose((0.1, 3.0, 200.0)))
            case 4:
                raise ToolError("There is no money left.")
            case _:
                await asyncio.sleep(1.0)
                raise ValueError("It is broken.")

    def _look_at_record(self, task_id: str, call_id: str, arguments: dict[str, Any]) -> None:  # Any: JSON
        check, about = self._simulation.check, (task_id,)
        rows = self._raw.execute(EVENTS, (task_id,)).fetchall()
        bodies = [(kind, msgspec.json.decode(body)) for kind, body in rows]
        own = {kind: body for kind, body in bodies if body.get("call_id") == call_id}
        start, asked, word = (
            own.get(kind) for kind in ("tool_call_start", "approval_requested", "approval_resolved")
        )
        who = f"{call_id} ({self.spec.name}) of {task_id} runs with {arguments}; recorded are {own}."
        if not self.spec.repeatable:
            check(start is not None and (task_id, call_id) not in self.made, EFFECT_ONCE, who, about=about)
        if start is not None:
            same = (start["tool_name"], start["arguments"]) == (self.spec.name, arguments)
            check(same, AS_RECORDED, who, about=about)
        if self.spec.name in APPROVED:
            as_approved = None
            if asked is not None and word is not None and word["approved"]:
                as_approved = word.get("arguments") or asked["arguments"]
            check(arguments == as_approved, APPROVED_FIRST, who, about=about)


def guarded_tools(
    simulation: Simulation, store: SimulatedStore, process: Callable[[], object]
) -> dict[str, GuardedTool]:
    """Return one of each, which know of each other."""
    tools = {name: GuardedTool(name, simulation, store, process) for name in dict.fromkeys(NAMES)}
    first = next(iter(tools.values()))
    for tool in tools.values():
        tool.running, tool.made = first.running, first.made
    return tools
