"""One simulated run: what a scenario is written with."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Generic, TypeVar

import pykka

from alex_actors.actor import PooledActor
from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.dispatcher import SimulatedDispatcher
from alex_actors.simulation.event_loop import VirtualEventLoop
from alex_actors.simulation.faults import Faults
from alex_actors.simulation.findings import Violation
from alex_actors.simulation.loop_strand import AGENTS, event_loop_on
from alex_actors.simulation.names import ReadableIds
from alex_actors.simulation.scheduler import Scheduler
from alex_actors.simulation.strands import Strand, Wait
from alex_actors.simulation.strategies import Strategy
from alex_actors.simulation.traced import log_into
from alex_actors.supervision import RestartPolicy, Supervisor

P = TypeVar("P", bound=PooledActor)
R = TypeVar("R")

INTERRUPTIONS = (0.0, 0.05, 0.3)
"""How likely it is that others go on in the middle of a step, before it sends: never in a third of runs."""


class Client(Generic[R]):
    """Somebody outside of the actors who does a job, and may wait: an HTTP worker, a user, a test."""

    def __init__(self, name: str, job: Callable[[], R], *, scheduler: Scheduler) -> None:
        self.name = name = scheduler.unique(name)
        self._job = job
        self._scheduler = scheduler
        self._end = Wait(f"the end of {name}", of=name)
        self._results: list[R] = []
        self.strand = Strand(name, self._work)
        scheduler.ready(self.strand)

    @property
    def ended(self) -> bool:
        """Whether its job is done."""
        self._scheduler.steps.touch(self._end.resource, write=False)
        return bool(self._results)

    def result(self) -> R:
        """Wait until its job is done, and return what it returned."""
        self._scheduler.wait_for(self._end)
        return self._results[0]

    def _work(self) -> None:
        self._results.append(_done(self._job(), self.name))
        cause = self._scheduler.trace.add("stopped", self.name, "", cause=self._scheduler.take_cause())
        self._scheduler.end(self._end, cause=cause)


def _done(result: R, name: str) -> R:
    """Return what a job returned. Raises TypeError if none of it has been done yet."""
    if inspect.iscoroutine(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        if not inspect.isasyncgen(result):
            result.close()
        kind = type(result).__name__.replace("_", " ")
        msg = f"{name} returned a {kind}: nothing of it was run. A job is a plain function."
        raise TypeError(msg)
    return result


class Simulation:
    """A run. A scenario is a function that is given one, makes actors and clients in it, and says what must hold.

    Everything that is left to chance is drawn from ``decisions``; time is ``clock``; what happens is in ``trace``.
    """

    def __init__(
        self,
        *,
        decisions: Decisions,
        strategy: Strategy,
        interruptions: float | None = None,
        record_steps: bool = False,
    ) -> None:
        """Have chance decide how often steps are interrupted, unless it is given."""
        self.decisions = decisions
        self.scheduler = Scheduler(
            decisions=decisions,
            strategy=strategy,
            interruptions=decisions.choose(INTERRUPTIONS) if interruptions is None else interruptions,
            record_steps=record_steps,
        )
        self.clock = self.scheduler.clock
        self.timers = self.scheduler.timers
        self.trace = self.scheduler.trace
        self.dispatcher = SimulatedDispatcher(self.scheduler)
        self.ids = ReadableIds(speaker=lambda: self.scheduler.speaker)
        self.faults = Faults(decisions=decisions)
        self.dispatcher.observers.append(self.faults.perhaps_crash)
        self.log = log_into(self.scheduler)
        """Whatever is logged here is in the trace."""
        self._at_the_end: list[Callable[[], None]] = []
        self._closing: list[Callable[[], None]] = []

    # What happens.

    def spawn(
        self,
        make: Callable[[], P],
        *,
        supervisor: Supervisor | None = None,
        restart: RestartPolicy | None = None,
        label: str | None = None,
    ) -> pykka.ActorRef[P]:
        """Make an actor and start it. A crash of one without a supervisor is a finding."""
        return self.dispatcher.spawn(make, supervisor=supervisor, restart=restart, label=label)

    def client(self, name: str, job: Callable[[], R]) -> Client[R]:
        """Have somebody do a job, beside everybody else. What the job raises ends the run as a finding."""
        return Client(name, job, scheduler=self.scheduler)

    def event_loop(self) -> VirtualEventLoop:
        """Return a new asyncio event loop in which agents run, on virtual time."""
        loop = event_loop_on(self.scheduler, name=self.scheduler.unique(AGENTS))
        self.on_close(loop.close)
        return loop

    def hurry(self, probability: float) -> None:
        """Have time pass, with this probability at each step, although others could go on: as if they were slow.

        By default it passes only when nobody can go on, so that no timeout is over before its time.
        """
        self.scheduler.haste = probability

    def sleep(self, seconds: float) -> None:
        """Wait for so much virtual time. For clients, and for the scenario itself."""
        self.scheduler.wait_for(Wait(f"{seconds} seconds to pass"), timeout=seconds)

    def touch(self, resource: str, *, write: bool) -> None:
        """Say that the step at the moment reads or writes something that others do, too, outside of all messages.

        Only the search for every order needs to know: ``explore_every_order``.
        """
        self.scheduler.steps.touch(resource, write=write)

    # What must hold.

    def check(self, holds: object, invariant: str, seen: str = "", *, about: Collection[str] = ()) -> None:
        """Find that ``invariant``, in words, is violated unless ``holds``; ``seen`` says what was seen.

        ``about`` names what it has to do with (IDs, labels): the report shows what led to these. May be called
        anywhere, also by an actor or one of its parts: the run ends after the step.
        """
        if holds or self.scheduler.failure is not None:
            return
        violation = Violation(invariant, seen, self.trace, about=about)
        if self.scheduler.current is None:
            raise violation
        self.scheduler.failure = violation

    def always(self, invariant: str, holds: Callable[[], object]) -> None:
        """Check after each step that ``holds`` returns something true.

        In a search for every order each step is then taken to depend on each other: none of the states in between
        is left out.
        """
        self.scheduler.steps.all_depend = True
        self.scheduler.after_step.append(lambda: self.check(holds(), invariant))

    def at_the_end(self, check: Callable[[], None]) -> None:
        """Have ``check`` called when nobody can go on any more."""
        self._at_the_end.append(check)

    # The run.

    def on_close(self, close: Callable[[], None]) -> None:
        """Have something given back when the run is over, however it ends."""
        self._closing.append(close)

    def play(self, scenario: Callable[[Simulation], None]) -> None:
        """Run a scenario to its end. Raises what is found wrong."""
        with self.under_way():
            self.client("scenario", lambda: scenario(self))

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Have a test be the scenario for as long as this lasts, without being a client, and end as ``play`` does.

        For tests that decide step by step what comes next: when they wait for something, the others go on.
        """
        try:
            yield
            self.scheduler.run()
            self.scheduler.steps.on = False  # what is looked at from now on belongs to no step
            for check in self._at_the_end:
                check()
        finally:
            self.scheduler.abandon(lambda _strand: True)
            for close in reversed(self._closing):
                close()
