"""What a store actor that is restarted goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alex_actors.store.erasing import Erasure


class StoreCondition:
    """What a store actor that is restarted goes on from: written by it alone, read by anyone."""

    def __init__(self) -> None:
        self.failure: str | None = None
        """Why the last commit failed, if it did, for ``/health``."""
        self.published: int | None = None
        """The id of the last event that was published; None before the first store actor has started."""
        self.incarnation = 0
        """Of the last session actor that took stock."""
        self.erasing: Erasure | None = None
        """The session whose deletion was begun last, and is perhaps committed, and not told yet."""
