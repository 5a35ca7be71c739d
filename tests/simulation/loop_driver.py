"""Drives a VirtualEventLoop: steps until it is idle, then lets the time pass until the next timer."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from alex_actors.simulation.event_loop import VirtualEventLoop
from tests.unit.actor_fakes import OwnedClock

T = TypeVar("T")

MOST_STEPS = 10_000
"""Steps after which a test has gone wrong."""


class Odd(BaseException):
    """What is no Exception."""


def now() -> float:
    """Return the running loop's time."""
    return asyncio.get_running_loop().time()


async def steps(notes: list[str]) -> AsyncIterator[int]:
    """Yield a number each second; to be closed takes another, and is noted."""
    try:
        for number in range(10):
            await asyncio.sleep(1)
            yield number
    finally:
        await asyncio.sleep(1)
        notes.append("closed")


class HeapTimer:
    """A call that is due."""

    def __init__(self, due: float, order: int, call: Callable[[], None]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False
        self._order = order

    def __lt__(self, other: HeapTimer) -> bool:
        return (self.due, self._order) < (other.due, other._order)

    def cancel(self) -> None:
        self.cancelled = True


class LoopDriver:
    """A loop, its time, and what it told."""

    def __init__(self) -> None:
        self.clock = OwnedClock()
        self.timers: list[HeapTimer] = []
        self.announced = 0
        self.errors: list[BaseException] = []
        self.steps = 0
        self._order = itertools.count()
        self.loop = VirtualEventLoop(
            now=self.clock.monotonic, after=self._after, ready=self._ready, failed=self.errors.append
        )

    def _after(self, seconds: float, call: Callable[[], None]) -> HeapTimer:
        timer = HeapTimer(self.clock.seconds + seconds, next(self._order), call)
        heapq.heappush(self.timers, timer)
        return timer

    def _ready(self) -> None:
        self.announced += 1

    @property
    def due(self) -> list[float]:
        """When timers are due that were not cancelled."""
        return sorted(timer.due for timer in self.timers if not timer.cancelled)

    def step_until_idle(self) -> None:
        while not self.loop.idle:
            self.steps += 1
            assert self.steps < MOST_STEPS
            self.loop.step()

    def settle(self) -> None:
        """Go on until nothing is ready and nothing is due."""
        self.step_until_idle()
        while self.timers:
            timer = heapq.heappop(self.timers)
            if not timer.cancelled:
                self.clock.seconds = max(self.clock.seconds, timer.due)
                timer.call()
                self.step_until_idle()

    def run(self, main: Coroutine[Any, Any, T]) -> T:  # Any: as in asyncio
        """Return what ``main`` returns, after all that it leaves behind has settled too."""
        task = self.loop.create_task(main)
        self.settle()
        return task.result()
