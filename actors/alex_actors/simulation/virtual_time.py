"""Time that passes only when the scheduler lets it, and what is due in it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pykka

from alex_actors.messages import Tell, tell

A = TypeVar("A", bound=pykka.Actor)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every run begins."""


class VirtualClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""
        return EPOCH + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds since the run began."""
        return self._elapsed

    def advance_to(self, moment: float) -> None:
        """Go on to ``moment``, in seconds since the run began; never back."""
        self._elapsed = max(self._elapsed, moment)


class VirtualTimer:
    """Something that is due."""

    __slots__ = ("_call", "_order", "cause", "due")

    def __init__(self, due: float, order: int, call: Callable[[], object], cause: int) -> None:
        self.due = due
        self.cause = cause
        """The index of the trace's entry in whose course it was set."""
        self._order = order
        self._call: Callable[[], object] | None = call

    def __lt__(self, other: VirtualTimer) -> bool:
        """Order by when they are due, then by when they were set."""
        return (self.due, self._order) < (other.due, other._order)

    @property
    def over(self) -> bool:
        """Whether it was cancelled or has fired."""
        return self._call is None

    def cancel(self) -> None:
        """Do not let it fire."""
        self._call = None

    def fire(self) -> None:
        """Call what was to be called."""
        call, self._call = self._call, None
        if call is not None:
            call()


class VirtualTimers:
    """Timers in virtual time. Nothing fires by itself: the scheduler lets the next one fire."""

    def __init__(self, *, clock: VirtualClock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._heap: list[VirtualTimer] = []
        self.set_by: Callable[[], int] = lambda: -1
        """Returns the index of the trace's entry in whose course a timer is set; below 0, if there is none."""

    def after(self, seconds: float, to: pykka.ActorRef[A], message: Tell[A]) -> VirtualTimer:
        """Tell ``message`` to an actor in ``seconds``."""
        return self.call_after(seconds, lambda: tell(to, message))

    def call_after(self, seconds: float, call: Callable[[], object]) -> VirtualTimer:
        """Call something in ``seconds``."""
        timer = VirtualTimer(self._clock.monotonic() + max(0.0, seconds), next(self._order), call, self.set_by())
        heapq.heappush(self._heap, timer)
        return timer

    @property
    def pending(self) -> int:
        """How many are due some time."""
        return sum(not timer.over for timer in self._heap)

    def next_due(self) -> float | None:
        """Return when the next one is due, in seconds since the run began; None if there is none."""
        while self._heap and self._heap[0].over:
            heapq.heappop(self._heap)
        return self._heap[0].due if self._heap else None

    def take_next(self) -> VirtualTimer:
        """Let the time pass until the next one is due, and return it, to be fired. There must be one."""
        due = self.next_due()
        if due is None:
            msg = "No timer is set."
            raise RuntimeError(msg)
        self._clock.advance_to(due)
        return heapq.heappop(self._heap)

    def fire_next(self) -> None:
        """Let the time pass until the next one is due, and let it fire. There must be one."""
        self.take_next().fire()
