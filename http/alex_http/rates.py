"""How often somebody may do something: the generic cell rate algorithm (ITU-T I.371), a number for each client."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

MOST_CLIENTS = 10_000
"""Clients of a generation: two of these are remembered. An entry takes some 200 bytes."""


class Rate:
    """So many a minute for each client: as many at once, and then one each 60/N seconds.

    For each client only the time is kept at which it has made up for all it did (its theoretical arrival time).
    Who was not there for a minute is like new, so that nothing is lost when the oldest are forgotten, unless there
    are more than 10,000 others within that minute.

    From any thread, without a lock: of two requests of one client at the very same moment one may not be counted.
    That lets in one more than the limit, once; a lock would be taken by every request of all clients. ``now`` is
    seconds that never go back.
    """

    def __init__(self, *, per_minute: int, now: Callable[[], float]) -> None:
        self._interval = 60 / per_minute
        self._tolerance = 60 - self._interval
        self._now = now
        self._recent: dict[Hashable, float] = {}
        self._before: dict[Hashable, float] = {}

    def take(self, client: Hashable) -> int:
        """Count one more of a client, and return 0; or the whole seconds until it may come again."""
        now = self._now()
        recent = self._recent
        arrival = recent.get(client) or self._before.get(client, 0.0)
        wait = arrival - self._tolerance - now
        if wait > 1e-9:  # sums of intervals are not exact
            return math.ceil(wait)
        if len(recent) >= MOST_CLIENTS:
            self._before, self._recent = recent, {}
            recent = self._recent
        recent[client] = max(arrival, now) + self._interval
        return 0
