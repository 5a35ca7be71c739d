"""When to try again, and when to stop trying."""

from __future__ import annotations

from collections.abc import Callable

from alex_http.client.errors import AlexError, ApiError, GaveUp

FIRST_PAUSE = 1.0
"""Seconds before the first repeat, unless a stream says otherwise with its ``retry:``. A restart takes as many."""
LONGEST_PAUSE = 10.0
"""Seconds between attempts, at most: what a server that comes back is missed by."""
SHORTEST_RETRY, LONGEST_RETRY = 0.1, 300.0
"""Seconds between which ``retry:`` and ``Retry-After`` are followed."""
SPREAD = 0.5
"""A pause is lengthened by up to this share, by chance: ten thousand watchers do not all come back at once."""


class Patience:
    """Pauses between attempts, doubled from one to the next, and an end to them.

    ``give_up_after`` is in seconds since the first failure after the last contact; None: never.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        give_up_after: float | None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._monotonic = monotonic
        self._random = random
        self._give_up_after = give_up_after
        self.first_pause = first_pause
        self._failures = 0
        self._since: float | None = None
        self._resumes = 0.0

    def retry(self, seconds: float) -> None:
        """Begin with this pause from now on, as a stream asks for."""
        self.first_pause = min(max(seconds, SHORTEST_RETRY), LONGEST_RETRY)

    def reached(self) -> None:
        """Note that the server does what it is asked for."""
        self._failures = 0
        self._since = None
        self._resumes = 0.0

    def failed(self, reason: AlexError) -> None:
        """Note that this has failed. Raises GaveUp when it has gone on for too long."""
        self._resumes = self._monotonic() + self.pause(reason)

    def left(self) -> float:
        """Return what is left of the pause after the last failure: an interrupt does not begin it anew."""
        return max(0.0, self._resumes - self._monotonic())

    def pause(self, reason: AlexError) -> float:
        """Return how long to wait now that this has failed. Raises GaveUp when it has gone on for too long."""
        now = self._monotonic()
        if self._since is None:
            self._since = now
        doubled: float = self.first_pause * 2.0 ** min(self._failures, 10)
        pause = min(doubled, max(LONGEST_PAUSE, self.first_pause)) * (1 + SPREAD * self._random())
        self._failures += 1
        if isinstance(reason, ApiError) and reason.retry_after is not None:
            pause = max(pause, min(reason.retry_after, LONGEST_RETRY))
        if self._give_up_after is None:
            return pause
        left = self._since + self._give_up_after - now
        if left <= 0:
            self.reached()  # whoever asks again means it
            raise GaveUp(self._give_up_after, reason) from reason
        return min(pause, left)
