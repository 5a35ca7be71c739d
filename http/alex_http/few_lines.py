"""Log lines about those who were not let in: each one up to a number a minute, then how many more there were."""

from __future__ import annotations

import math

from structlog.typing import FilteringBoundLogger

from alex_actors.ports import Clock
from alex_http.rates import MOST_CLIENTS
from alex_http.transport import counted_as

LINES_PER_MINUTE = 60
"""Of one client address. Enough to see what somebody tries; of 300 bytes each, 26 MB a day at most."""
MINUTE = 60.0
"""Seconds."""
LONGEST_SENT = 100
"""Characters of what such a client sent, of a path say, that a line has."""
OTHERS = "others"
"""As which all clients are counted that are too many to be counted each."""


class FewLines:
    """Counts lines by client address, in minutes that are the same for all, and leaves out what is too many.

    What was left out is said in one line for each address, with ``more``, at the first request of anybody after
    the minute; see ``tell``. From any thread, without a lock: of two requests at the very same moment one may not
    be counted.
    """

    def __init__(self, *, clock: Clock, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._counts: dict[tuple[str, str], int] = {}
        self._ends = math.inf  # the minute begins with its first line

    def may_have_one(self, event: str, address: str) -> bool:
        """Count one more of an address, and return whether it gets a line of its own."""
        self.tell()
        counts = self._counts
        if not counts:
            self._ends = self._clock.monotonic() + MINUTE
        key = event, counted_as(address)
        if key not in counts and len(counts) >= MOST_CLIENTS:
            key = event, OTHERS
        counts[key] = count = counts.get(key, 0) + 1
        return count <= LINES_PER_MINUTE

    def tell(self) -> None:
        """Say what was left out, if the minute is over."""
        if self._clock.monotonic() < self._ends:
            return
        self._ends = math.inf
        counts, self._counts = self._counts, {}
        for key in tuple(counts):
            event, client = key
            more = counts.pop(key, 0) - LINES_PER_MINUTE  # taken out: of two threads, one says it
            if more > 0:
                self._log.warning(event, address=client, more=more)


def shortened(sent: str) -> str:
    """Return what somebody sent who was not let in, as a log line may have it."""
    return sent[:LONGEST_SENT]
