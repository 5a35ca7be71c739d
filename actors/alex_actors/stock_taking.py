"""What a session actor takes up when it begins: tasks without an end, and agents that are there, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alex_actors.agent_launcher import LaunchedAgent
    from alex_actors.session_protocol import UnfinishedTask
    from alex_actors.tasks import Task


class TakenUp(NamedTuple):
    """A task that may need its place again."""

    task: Task
    launched: LaunchedAgent | None
    """Its agent, if it has one in this process."""
    unfinished: UnfinishedTask | None
    """None: the store has its end."""

    @property
    def gone(self) -> bool:
        """Whether it has ended, and nothing of its agent runs: it needs no place."""
        return self.unfinished is None and self.launched is not None and self.launched.stopped


def in_order(unfinished: Iterable[UnfinishedTask], launched: Iterable[LaunchedAgent]) -> list[TakenUp]:
    """Return what is unfinished, or has an agent that holds a place, in the order of their places.

    But sub-agents whose parent is gone come first: who waited for that parent waits for them, as it did for the
    parent's own place, and they may have been confirmed after it.
    """
    open_tasks = {one.task.task_id: one for one in unfinished}
    agents = {one.task.task_id: one for one in launched}
    tasks = {one.task.task_id: one.task for one in agents.values()}
    tasks |= {one.task.task_id: one.task for one in open_tasks.values()}
    found = [TakenUp(task, agents.get(task_id), open_tasks.get(task_id)) for task_id, task in tasks.items()]
    present = {one.task.task_id for one in found if not one.gone}

    def order(one: TakenUp) -> tuple[bool, int]:
        parent = one.task.parent_task_id
        return parent is None or parent in present, one.task.place

    return sorted(found, key=order)
