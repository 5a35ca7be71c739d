"""Names that sort by age: UUIDs of version 7 (RFC 9562, section 5.7), of an injected clock and randomness."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING

from alex_actors.values import SessionId, TaskId

if TYPE_CHECKING:
    from collections.abc import Callable

    from alex_actors.ports import Clock


class TimeOrderedIds:
    """Makes IDs: 48 bits of milliseconds, 32 of a counter, 42 at random.

    The counter orders what is made within a millisecond, or while a clock that was set back catches up: the
    milliseconds never go back (RFC 9562, section 6.2). It is ``itertools.count``, whose ``next`` is one step of
    the interpreter, so that threads need no lock.
    """

    def __init__(self, *, clock: Clock, random_bits: Callable[[int], int]) -> None:
        self._clock = clock
        self._random_bits = random_bits
        self._count = itertools.count()
        self._latest = 0

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
        self._latest = milliseconds = max(int(self._clock.now().timestamp() * 1000), self._latest)
        count = next(self._count) & 0xFFFF_FFFF
        return uuid.UUID(
            int=milliseconds << 80
            | 0x7 << 76
            | (count >> 20) << 64
            | 0b10 << 62
            | (count & 0xF_FFFF) << 42
            | self._random_bits(42)
        )
