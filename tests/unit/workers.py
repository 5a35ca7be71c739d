"""HTTP workers of which one runs at a time: each goes on when the test says so, until it next waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.unit.stepping import SteppingFuture

PATIENCE = 30.0
"""Seconds of real time in which a worker must get to its next wait: only a broken test reaches it."""


class Worker:
    """A thread that does one job. It runs only within ``go``."""

    def __init__(self, name: str, job: Callable[[], object]) -> None:
        self.name = name
        self.result: object = None
        """What the job returned, or the exception that it raised."""
        self.ended = False
        self._job = job
        self._awaits: SteppingFuture | None = None
        self._go = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)

    @property
    def waits(self) -> bool:
        """Whether it waits for an answer that is not there."""
        return not self.ended and self._awaits is not None and not self._awaits.done

    def go(self) -> None:
        """Let it run until it waits or ends. If it waits for an answer, its wait is over: it gives up."""
        if not self.thread.ident:
            self.thread.start()
        else:
            self._go.release()
        assert self._paused.acquire(timeout=PATIENCE), f"{self.name} got stuck"
        if self.ended:
            self.thread.join(PATIENCE)

    def wait(self, future: SteppingFuture) -> None:
        """Pause, on the worker's thread, until the test says ``go``."""
        self._awaits = future
        self._paused.release()
        self._go.acquire()
        self._awaits = None

    def _work(self) -> None:
        try:
            self.result = self._job()
        except Exception as error:  # noqa: BLE001 - what a job raises is its result
            self.result = error
        self.ended = True
        self._paused.release()


class Workers:
    """All workers of a test."""

    def __init__(self) -> None:
        self.all: list[Worker] = []

    def start(self, name: str, job: Callable[[], object]) -> Worker:
        """Have a worker do a job; it does nothing before the first ``go``."""
        worker = Worker(name, job)
        self.all.append(worker)
        return worker

    def wait(self, future: SteppingFuture, timeout: float | None) -> None:
        """Pause the calling worker: what a dispatcher's futures do while they are awaited."""
        current = threading.current_thread()
        next(worker for worker in self.all if worker.thread is current).wait(future)

    def able(self) -> list[Worker]:
        """Return who can go on."""
        return [worker for worker in self.all if not worker.ended and not worker.waits]

    def waiting(self) -> list[Worker]:
        """Return who waits for an answer."""
        return [worker for worker in self.all if worker.waits]
