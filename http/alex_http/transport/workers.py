"""The threads that run the application, and one that answers who watches the server."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]  # waitress has no types

if TYPE_CHECKING:
    from alex_http.transport.channels import Channel


class Pool(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress has no types
    """Threads that run the application."""

    def add_task(self, task: Channel) -> None:
        """Queue a channel that has a request. waitress would warn of every one that has to wait."""
        with self.lock:
            self.queue.append(task)
            self.queue_cv.notify()


class Workers:
    """The threads that run the application, and one more for the paths that ``probes`` names.

    A store that hangs holds every thread for seconds: whoever watches the server would take it for dead, and
    start it again.
    """

    def __init__(self, *, probes: Collection[str]) -> None:
        self._probes = probes
        self._pool = Pool()
        self._probing = Pool()

    def start(self, threads: int) -> None:
        """Start the threads."""
        self._pool.set_thread_count(threads)
        self._probing.set_thread_count(1)

    @property
    def running(self) -> int:
        """How many threads have not ended."""
        return len(self._pool.threads) + len(self._probing.threads)

    def add_task(self, task: Channel) -> None:
        """Queue a channel that has a request; it comes again for each one that its client sent ahead."""
        request = task.requests[0]
        probe = request.error is None and request.path in self._probes
        (self._probing if probe else self._pool).add_task(task)

    def shutdown(self, *, timeout: float) -> None:
        """End the threads; wait for each kind as many seconds."""
        self._pool.shutdown(timeout=timeout)
        self._probing.shutdown(timeout=timeout)
