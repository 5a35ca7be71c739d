"""How many agents run, of those that may, and whose turn it is but for that."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alex_actors.lines import Place
    from alex_actors.values import TaskId


class Room:
    """Room for at most so many places to run at once; those that find none wait, and get it in their order.

    The places of sub-agents take none: they run in that of their parent, which waits for them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.running = 0
        # Ordered: a plain dictionary finds its first more slowly with each that is taken from its front.
        self.waiting: OrderedDict[TaskId, Place] = OrderedDict()

    def has_some(self, place: Place) -> bool:
        """Return whether a place may run now. If it may not, it waits."""
        if self.running < self._most or place.parent_task_id is not None:
            return True
        self.waiting[place.task_id] = place
        return False

    def take(self, place: Place) -> None:
        """Count a place among those that run: also one whose actor crashed and may have left its agent running."""
        place.granted = True
        self.running += int(place.parent_task_id is None)

    def leave(self, place: Place) -> None:
        """Count a place no more: neither among those that run nor among those that wait."""
        self.waiting.pop(place.task_id, None)
        self.running -= int(place.granted and place.parent_task_id is None)

    def next(self) -> Place | None:
        """Return who is to run next, and waits no more; None if there is nobody, or no room."""
        if not self.waiting or self.running >= self._most:
            return None
        _, place = self.waiting.popitem(last=False)
        return place
