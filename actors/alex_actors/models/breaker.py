"""A circuit breaker: a model that does not work is left alone for a while, and then asked once.

The pattern of Nygard, "Release It!" (2nd edition, 2018, chapter 5). purgatory and aiobreaker were looked at: both
read the process's clock, and have a lock or a thread's state where one event loop needs none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from alex_actors.values import Value

FAILURES = 5
"""In a row, before the model is left alone: one bad answer says nothing."""

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds for which it is left alone: short, since a gateway that is restarted is back in a moment; doubled each
time that it is left alone again before it has given a whole answer."""

LONGEST_WAIT = 60.0
"""Seconds for which a call waits for how a probe goes: as long as the model may be left alone. A probe that thinks
for longer holds nobody up for ever; the call is told to come back, as while the circuit is open."""


class Leave(Value, frozen=True):
    """Leave to ask the model once, given after the circuit had been opened so many times."""

    openings: int


class Breaker:
    """Says whether a model may be asked. ``now`` is in seconds that never go back. Used on one event loop.

    Closed, all may ask. After ``failures`` in a row it is open: nobody may, for a pause. Then one may, as a probe,
    and all others wait for how that goes, ``patience`` seconds at most. Calls from before the circuit was opened
    are of no account: what they come to says how the model was then.
    """

    def __init__(
        self, *, now: Callable[[], float], failures: int = FAILURES, patience: float = LONGEST_WAIT
    ) -> None:
        self._now = now
        self._limit = failures
        self._patience = patience
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._openings = 0
        self._open_until: float | None = None
        self._probe: asyncio.Event | None = None

    @property
    def failures(self) -> int:
        """Return how many calls failed in a row."""
        return self._failures

    async def admit(self) -> Leave | float:
        """Return leave to ask the model now, or the seconds until it is asked again.

        Who has leave has to say how the call went: ``worked``, ``failed`` or ``gave_up``.
        """
        while self._open_until is not None:
            left = self._open_until - self._now()
            if left > 0:
                return left
            if self._probe is None:
                self._probe = asyncio.Event()
                break
            try:
                async with asyncio.timeout(self._patience):
                    await self._probe.wait()
            except TimeoutError:
                return FIRST_PAUSE
        return Leave(self._openings)

    def answers(self, leave: Leave) -> None:
        """Say that an answer has begun: all may ask. Until one is whole, one failure opens the circuit again."""
        if leave.openings == self._openings:
            self._open_until = None
            self._end_probe()

    def worked(self, leave: Leave) -> None:
        """Say that the model works: the failures before are forgotten."""
        if leave.openings == self._openings:
            self._failures = 0
            self._pause = FIRST_PAUSE
            self._open_until = None
            self._end_probe()

    def failed(self, leave: Leave) -> None:
        """Say that the model gave no whole answer."""
        if leave.openings != self._openings:
            return
        self._failures += 1
        if self._failures >= self._limit:
            self._openings += 1
            self._open_until = self._now() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._end_probe()

    def gave_up(self, leave: Leave) -> None:
        """Say that nobody waited for the model's answer: if it was the probe, the next may be one."""
        if leave.openings == self._openings:
            self._end_probe()

    def _end_probe(self) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.set()
