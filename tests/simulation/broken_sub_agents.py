"""Session actors, and ways to have sub-agents, that each lack one thing that sub-agents need."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.agent_launcher import LaunchedAgent
from alex_actors.lines import Lines, Place
from alex_actors.replies import CancelReply
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import ChildReply, ConfirmChild, Confirmed, UnfinishedTask
from alex_actors.store.staging import Staging
from alex_actors.sub_agents import SubAgents
from alex_actors.tasks import NewTask, Task
from alex_actors.values import Context, TaskId

if TYPE_CHECKING:
    from alex_actors.task_store_protocol import Create


class WaitsInLine(SessionActor):
    """Has a sub-agent wait until those before it in line have ended, its parent among them."""

    def _give_turn(self, place: Place) -> None:
        if place.parent_task_id is not None:
            place.strategy = "enqueue"
        super()._give_turn(place)


class WaitsForRoom(SessionActor):
    """Has a sub-agent wait for room of its own, which its parent may have."""

    def _grant(self, place: Place) -> None:
        if place.parent_task_id is not None and self._room.running >= self._room._most:
            self._room.waiting[place.task_id] = place
        else:
            super()._grant(place)


class TakesRoom(SessionActor):
    """Counts a sub-agent among those that run: others wait for it."""

    def _confirm_child(self, message: ConfirmChild) -> ChildReply:
        reply = super()._confirm_child(message)
        if (place := self._lines.find(message.task_id)) is not None:
            place.parent_task_id = None
        return reply


class _Forgotten(dict[TaskId, Place]):
    """Sub-agents that nobody remembers, but to wait for them."""

    def values(self) -> Any:  # Any: dict's own view, which only dict makes
        return {}.values()


class WithoutChildren(Lines):
    """Lines in which nobody is cancelled with his parent."""

    def enter(self, place: Place) -> None:
        place.children = _Forgotten()
        super().enter(place)


class LetsThemOutlive(SessionActor):
    """Cancels no sub-agent when its parent is cancelled, ends, or crashes."""

    @property
    def _lines(self) -> Lines:
        return self._childless

    @_lines.setter
    def _lines(self, _lines: Lines) -> None:
        self._childless = WithoutChildren()


class TakesUpStrays(SessionActor):
    """Lets a sub-agent go on after a restart though its parent has ended."""

    def _take_up(self, task: Task, launched: LaunchedAgent | None, unfinished: UnfinishedTask | None) -> None:
        parent = task.parent_task_id
        if parent is not None and self._lines.find(parent) is None:
            task = msgspec.structs.replace(task, parent_task_id=None)
        super()._take_up(task, launched, unfinished)


class PassesOnBeforeThem(SessionActor):
    """Passes a turn on though a sub-agent still runs in it."""

    def _leave(self, place: Place, answer: CancelReply) -> None:
        for child in place.children.values():
            child.parent = None
        place.children = {}
        super()._leave(place, answer)


class BeginsAnew(SubAgents):
    """Has another sub-agent each time that a call is repeated."""

    async def run(self, new: NewTask, *, parent: Task, call_id: str) -> Task | None:
        made = self._reader.tasks(limit=1, offset=0, session_id=None, status=None, owner=parent.owner).total
        return await super().run(new, parent=parent, call_id=f"{call_id} after {made} tasks")


class DoesNotSettle(SubAgents):
    """Gives up without a word: nobody finds out what became of the place in line."""

    async def _start(self, task_id: TaskId, new: NewTask, parent: Task) -> None:
        await self._submit(self._context(task_id, parent), new, parent)

    async def _create(self, context: Context, new: NewTask, confirmed: Confirmed) -> Task:
        await asyncio.sleep(0.5)  # which does no harm by itself
        return await super()._create(context, new, confirmed)


class ForgetsTheParent(Staging):
    """Records of a sub-agent's task that a client submitted it."""

    def create(self, message: Create) -> Task:
        new = msgspec.structs.replace(message.new, parent_task_id=None)
        return super().create(msgspec.structs.replace(message, new=new))
