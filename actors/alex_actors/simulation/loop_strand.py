"""The agents' event loop as one of those who take steps."""

from __future__ import annotations

import asyncio

from alex_actors.diagrams.trace import describe
from alex_actors.simulation.event_loop import VirtualEventLoop
from alex_actors.simulation.findings import Finding
from alex_actors.simulation.scheduler import Scheduler
from alex_actors.simulation.strands import Strand

AGENTS = "agents"
"""What traces call the event loop in which agents run."""


class StrandEventLoop(VirtualEventLoop):
    """An event loop that does one thing at each of its steps. What goes wrong in it is a finding."""

    def __init__(self, scheduler: Scheduler, *, name: str) -> None:
        self._scheduler = scheduler
        self._appended: dict[int, int] = {}  # in which step each ready handle became ready, by its id
        self._strand = Strand(name, self._take_step)
        super().__init__(
            now=scheduler.clock.monotonic,
            after=scheduler.timers.call_after,
            ready=lambda: scheduler.ready(self._strand),
            failed=self._find,
        )

    def close(self) -> None:
        """Drop everything, also a step in the middle of which it stands: nothing of it has an effect any more."""
        self._scheduler.abandon(lambda strand: strand is self._strand)
        with self._scheduler.without_effect():
            super().close()

    def _take_step(self) -> None:
        steps = self._scheduler.steps
        if steps.on and not self.idle:
            steps.caused_by(self._appended.pop(id(self._ready[0])))
        self.step()
        if not self.idle:
            self._scheduler.ready(self._strand)

    def _append(self, handle: asyncio.Handle) -> None:
        steps = self._scheduler.steps
        if steps.on:
            steps.touch(self._strand.name, write=True)
            self._appended[id(handle)] = self._scheduler.trace.step
        super()._append(handle)

    def _find(self, error: BaseException) -> None:
        scheduler = self._scheduler
        if scheduler.failure is None and not scheduler.abandoning:  # then it is a strand that was dropped
            scheduler.failure = Finding(f"In the agents' event loop: {describe(error)}", scheduler.trace)
            scheduler.failure.__cause__ = error


def event_loop_on(scheduler: Scheduler, *, name: str = AGENTS) -> VirtualEventLoop:
    """Return an event loop that takes its steps among all others."""
    return StrandEventLoop(scheduler, name=name)
