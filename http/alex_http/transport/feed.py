"""What a stream sends, as an interface: the application's part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

Reason: TypeAlias = Literal["ended", "gone", "stalled", "stopping", "failed"]
"""Why it is closed: its feed ended, its reader went or stopped reading, the server stops, its feed failed."""


class Feed(Protocol):
    """What one stream sends. Asked for more only when there is room: what it was asked for is all that is kept.

    Called by one thread at a time: the streams' thread, or the one that reads for it. What it raises is logged,
    and ends its stream.
    """

    @property
    def blocking(self) -> bool:
        """Whether ``take`` may take its time: then another thread calls it."""

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""

    def begin(self, wake: Callable[[], None]) -> None:
        """Get ready. ``wake`` is to be called, from any thread, when after nothing there may be something."""

    def take(self) -> bytes | memoryview:
        """Return what is to be sent next; nothing, if there is nothing now."""

    def heartbeat(self) -> bytes:
        """Return what is sent when there is nothing to be sent. Also while another thread reads."""

    def closed(self, reason: Reason) -> None:
        """Take notice that this was the last call; also if ``begin`` was none."""
