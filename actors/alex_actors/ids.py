"""Names that sort by age: UUIDs of version 7 (RFC 9562, section 5.7), of an injected clock and randomness."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from alex_actors.values import SessionId, TaskId

if TYPE_CHECKING:
    from collections.abc import Callable

    from alex_actors.ports import Clock


class TimeOrderedIds:
    """Makes IDs: 48 bits of milliseconds, 12 of a counter, 62 at random.

    The counter orders what is made within a millisecond. With more than 4,096 of them, or with a clock that
    is set back, the milliseconds run ahead of the clock (RFC 9562, section 6.2), so that each ID sorts after
    those that were there when it was asked for. Two that threads ask for at the same moment may share a count:
    neither is older, the random bits tell them apart, and no lock is needed.
    """

    def __init__(self, *, clock: Clock, random_bits: Callable[[int], int]) -> None:
        self._clock = clock
        self._random_bits = random_bits
        self._last = -1  # the milliseconds and the counter of the last ID, as one number of 60 bits

    def task(self) -> TaskId:
        """Return a new ``task-…``."""
        return TaskId(f"task-{self._uuid7()}")

    def session(self) -> SessionId:
        """Return a new ``session-…``."""
        return SessionId(f"session-{self._uuid7()}")

    def trace(self) -> str:
        """Return a new trace ID: 32 hexadecimal digits, as W3C Trace Context has them."""
        return f"{self._random_bits(128) or 1:032x}"

    def _uuid7(self) -> uuid.UUID:
        milliseconds = int(self._clock.now().timestamp() * 1000)
        self._last = place = max(milliseconds << 12, self._last + 1)
        return uuid.UUID(
            int=(place >> 12) << 80 | 0x7 << 76 | (place & 0xFFF) << 64 | 0b10 << 62 | self._random_bits(62)
        )
