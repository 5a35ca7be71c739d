"""An agent that hands on parts of its task, and what must hold of the sub-agents that it has so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from alex_actors.agent_protocol import CancelTask, TurnGranted
from alex_actors.events import AnyEvent, ToolCallComplete, ToolCallStart
from alex_actors.ports import AgentYield, Answer, Checkpoint, ToolContext, ToolError
from alex_actors.session_protocol import ConfirmChild, RequestTurn
from alex_actors.sub_agents import NOT_STARTED, child_id
from alex_actors.tools.delegate import delegate_tool
from alex_actors.values import milliseconds_between

if TYPE_CHECKING:
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from alex_actors.sub_agents import SubAgents
    from alex_actors.tasks import Task

ONE_PER_CALL = "A call of a task makes one sub-agent, also if it is repeated after an interruption."
ITS_ANSWER = "What a call gives back is the recorded end of its sub-agent."
NEVER_OUTLIVES = "A sub-agent ends when its parent does."
AT_ONCE = "A sub-agent waits neither in line nor for room."

MOST_AT_ONCE = 2
MOST_CALLS = 3
ENDS_WITHIN = 30.0
"""Virtual seconds, beside the grace, until the end of a parent has reached a sub-agent: what a crash loses is sent
again after five, and after ten."""

CHILDREN = (
    "SELECT child.task_id, child.completed_at, parent.task_id, parent.completed_at FROM tasks AS child "
    "JOIN tasks AS parent ON parent.task_id = child.parent_task_id"
)
CALLS = (
    "SELECT body FROM events JOIN tasks USING (place) WHERE task_id = ? AND event_type = 'tool_call_start' "
    "ORDER BY event_id"
)


class DelegatingAgent:
    """Has up to three parts of its task done by sub-agents, one or two at once; and goes on from where it was."""

    resumes = True

    def __init__(
        self,
        simulation: Simulation,
        store: SimulatedStore,
        *,
        sub_agents: Callable[[], SubAgents],
        parts: Sequence[str],
    ) -> None:
        """``parts`` are the texts of what it hands on."""
        self._simulation = simulation
        self._decisions = simulation.decisions
        self._raw = store.raw
        self._parts = parts
        self._delegate = delegate_tool(
            sub_agents=sub_agents, within=lambda _inner, _outer: False, agent_presets=("default",),
            models_of_presets={}, most_at_once=MOST_AT_ONCE, max_depth=2,
        )  # fmt: skip

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Do what was begun, and then the rest."""
        ended = {event.call_id for event in history if isinstance(event, ToolCallComplete)}
        begun = [event for event in history if isinstance(event, ToolCallStart)]
        due = [event for event in begun if event.call_id not in ended]
        made = len(begun)
        while True:
            yield Checkpoint()
            for outcome in await asyncio.gather(*(self._hand_on(call, task) for call in due)):
                yield outcome
            if made >= MOST_CALLS or self._decisions.chance(0.25):
                break
            due = [self._call(made + one) for one in range(1, self._decisions.choose((1, 1, 2, 3)) + 1)]
            made += len(due)
            for call in due:
                yield call
        yield Answer("All is done.")

    def _call(self, number: int) -> ToolCallStart:
        part = self._decisions.choose(self._parts)
        return ToolCallStart(iteration=1, call_id=f"call-{number}", tool_name="delegate", arguments={"task": part})

    async def _hand_on(self, call: ToolCallStart, task: Task) -> ToolCallComplete:
        result = error = None
        context = ToolContext(task.task_id, Path("nowhere"), call_id=call.call_id, task=task)
        try:
            result = await self._delegate(call.arguments, context)
        except ToolError as refusal:
            error = str(refusal)
        self._look_at_outcome(task, call, result, error)
        return ToolCallComplete(
            call_id=call.call_id, tool_name="delegate", result=result, error=error, duration=0.0
        )

    def _look_at_outcome(self, task: Task, call: ToolCallStart, result: str | None, error: str | None) -> None:
        child = child_id(task.task_id, call.call_id)
        row = self._raw.execute("SELECT status, answer FROM tasks WHERE task_id = ?", (child,)).fetchone()
        status, answer = row or (None, None)
        seen = f"{call.call_id} of {task.task_id} gives {result!r} or {error!r}; its sub-agent is {row}."
        if result is not None:
            fine = (status, answer) == ("completed", result)
        elif error == NOT_STARTED:
            fine = status not in ("pending", "running")
        else:
            fine = status in (None, "failed", "cancelled")
        self._simulation.check(fine, ITS_ANSWER, seen, about=(task.task_id, child))


class LookAtFamilies:
    """Looks at a run that is over."""

    def __init__(self, simulation: Simulation, store: SimulatedStore) -> None:
        self._check = simulation.check
        self._trace = simulation.trace
        self._raw = store.raw

    def look_at_calls(self) -> None:
        """Each sub-agent is of a call on record, and no call has two."""
        for task_id, _, parent, _ in self._raw.execute(CHILDREN).fetchall():
            calls = [msgspec.json.decode(row[0])["call_id"] for row in self._raw.execute(CALLS, (parent,))]
            of = [call_id for call_id in calls if child_id(parent, call_id) == task_id]
            seen = f"{task_id} is of the calls {of} of {parent}, of {calls}."
            self._check(len(of) == 1, ONE_PER_CALL, seen, about=(task_id, parent))

    def look_at_ends(self, *, within: float) -> None:
        """No sub-agent goes on after the end of its parent, but for so many seconds that its stop may take."""
        for task_id, ended, parent, parent_ended in self._raw.execute(CHILDREN).fetchall():
            late = milliseconds_between(parent_ended, ended) / 1000
            seen = f"{task_id} ends {late} seconds after {parent}."
            self._check(late <= within + ENDS_WITHIN, NEVER_OUTLIVES, seen, about=(task_id, parent))

    def look_at_turns(self) -> None:
        """Each has its turn, or is cancelled, as soon as it asks. Not for runs in which a process died."""
        children = {
            entry.what.task_id
            for entry in self._trace
            if entry.kind == "sent" and isinstance(entry.what, ConfirmChild)
        }
        due: dict[str, str] = {}
        crashed: set[str] = set()
        for entry in self._trace:
            kind, who, what = entry.kind, entry.who, entry.what
            if kind == "crashed":
                due.pop(who, None)
                crashed.add(who)  # if it is the session actor, it hears first who has a turn
            elif kind == "sent" and isinstance(what, TurnGranted | CancelTask):
                due.pop(who, None)
            elif kind == "handled":
                if who in due:
                    self._check(False, AT_ONCE, f"{due[who]} waits.", about=(due[who],))
                if isinstance(what, RequestTurn) and what.task_id in children and who not in crashed:
                    due[who] = what.task_id
