"""A circuit breaker: a model that does not work is left alone for a while, and then asked once.

The pattern of Nygard, "Release It!" (2nd edition, 2018, chapter 5). purgatory and aiobreaker were looked at: both
read the process's clock, and have a lock or a thread's state where one event loop needs none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FAILURES = 5
"""In a row, before the model is left alone: one bad answer says nothing."""

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds for which it is left alone: short, since a gateway that is restarted is back in a moment; doubled with
each probe that fails."""


class Breaker:
    """Says whether a model may be asked. ``now`` is in seconds that never go back. Used on one event loop.

    Closed, all may ask. After ``failures`` in a row it is open: nobody may, for a pause. Then one may, as a probe,
    and all others wait for how that goes.
    """

    def __init__(self, *, now: Callable[[], float], failures: int = FAILURES) -> None:
        self._now = now
        self._limit = failures
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: float | None = None
        self._probe: asyncio.Event | None = None

    @property
    def failures(self) -> int:
        """Return how many calls failed in a row."""
        return self._failures

    async def admit(self) -> float:
        """Return 0 if the model may be asked now, else the seconds until it is asked again.

        Who may ask has to say how it went: ``worked``, ``failed`` or ``gave_up``.
        """
        while self._open_until is not None:
            left = self._open_until - self._now()
            if left > 0:
                return left
            if self._probe is None:
                self._probe = asyncio.Event()
                return 0.0
            await self._probe.wait()
        return 0.0

    def worked(self) -> None:
        """Say that the model answers: all may ask."""
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until = None
        self._end_probe()

    def failed(self) -> None:
        """Say that the model did not answer."""
        self._failures += 1
        if self._probe is not None:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        elif self._open_until is not None or self._failures < self._limit:
            return  # not enough, or a call that had begun before: what is known already
        self._open_until = self._now() + self._pause
        self._end_probe()

    def gave_up(self) -> None:
        """Say that nobody waited for the model's answer: the next may be the probe."""
        self._end_probe()

    def _end_probe(self) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.set()
