"""Threads for what blocks: a known number, and how long all of them have been busy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from alex_actors.ports import Clock

P = ParamSpec("P")
R = TypeVar("R")


class BoundedThreads(ThreadPoolExecutor):
    """A pool of ``most`` threads that knows how much work it has. What finds it full waits."""

    def __init__(self, most: int, *, name: str, clock: Clock) -> None:
        super().__init__(most, thread_name_prefix=name)
        self.most = most
        self._clock = clock
        # A set, not a number: to add and to discard are single operations, whichever thread does it.
        self._unfinished: set[Future[Any]] = set()  # Any: whatever the work returns
        self._full_since: float | None = None

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have ``fn`` called on a thread."""
        future = super().submit(fn, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._finished)  # at once, if it is done by now
        self.full_for()
        return future

    @property
    def busy(self) -> int:
        """Return how many threads are at work."""
        return min(len(self._unfinished), self.most)

    def full_for(self) -> float:
        """Return for how many seconds all threads have been busy; 0 if one is free."""
        if len(self._unfinished) < self.most:
            self._full_since = None
            return 0.0
        now = self._clock.monotonic()
        since = self._full_since
        if since is None:
            self._full_since = since = now
        return now - since

    def _finished(self, future: Future[R]) -> None:
        self._unfinished.discard(future)
        self.full_for()
