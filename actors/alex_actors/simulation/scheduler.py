"""Runs everything of a simulation in one thread: at each step it picks who goes on, until nobody can.

Whoever takes steps is a *strand*: an actor, a client, the agents' event loop. A strand runs until it waits for
something or its step is over; what waits is a greenlet that is left where it stands, so that every order of the
steps can be reached.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter

from greenlet import GreenletExit, getcurrent, greenlet

from alex_actors.diagrams.trace import NO_CAUSE, TIMERS, Trace
from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.findings import Deadlock, Livelock
from alex_actors.simulation.not_simulated import NotSimulated
from alex_actors.simulation.steps import StepLog
from alex_actors.simulation.strands import SetAside, Strand, Wait, who_waits
from alex_actors.simulation.strategies import Strategy
from alex_actors.simulation.virtual_time import VirtualClock, VirtualTimer, VirtualTimers

__all__ = ["MOST_STEPS", "Scheduler", "Strand", "Wait"]

MOST_STEPS = 20_000
"""Steps after which a run is taken never to end: a run of the whole system takes a few hundred."""

PATIENCE = 200
"""Steps after which somebody who could go on is offered first: longer than all that one of the others does."""

TEST = "the test"
"""Who does what is done outside of all strands, and not by a timer."""


_by_rank = attrgetter("rank")


class Scheduler:
    """Picks who takes the next step, lets time pass when nobody can, and notices when nothing can go on."""

    def __init__(
        self,
        *,
        decisions: Decisions,
        strategy: Strategy,
        interruptions: float = 0.0,
        most_steps: int = MOST_STEPS,
        record_steps: bool = False,
    ) -> None:
        """``interruptions``: how likely it is that others go on first, in the middle of a step, before it sends.

        Without ``record_steps`` nothing is kept for the search for all orders.
        """
        self.decisions = decisions
        self.interruptions = interruptions
        self.haste = 0.0
        """How likely it is at each step that time passes although somebody could go on."""
        self.clock = VirtualClock()
        self.timers = VirtualTimers(clock=self.clock)
        self.trace = trace = Trace()
        self.timers.set_by = trace.latest_of_step
        self.steps = StepLog(on=record_steps)
        self.current: Strand | None = None
        self.failure: BaseException | None = None
        """What was found wrong during a step, by someone who must not raise it there."""
        self.passed_over: list[tuple[int, str, list[str]]] = []
        """Each step that was out of the ordinary, who took it, and who would otherwise have gone on before."""
        self.after_step: list[Callable[[], None]] = []
        """Called after each step. Must not wait."""
        self.abandoning = False
        """Whether strands are being dropped: what they still do then, at their end, has no effect."""
        self._strategy = strategy
        self._most_steps = most_steps
        self._ranks = itertools.count()
        self._names: dict[str, int] = {}
        self._ready: list[Strand] = []  # in the order in which they became able to go on
        self._waiting: dict[Strand, Wait] = {}  # in the order in which they began to wait
        self._test = Strand(TEST, lambda: None)
        self._firing: VirtualTimer | None = None
        self._looking = False
        self._hub = getcurrent()  # who runs the scheduler: strands leave to it
        self._thread = threading.get_ident()

    def unique(self, name: str) -> str:
        """Return a name for a strand that no other has: the search for every order tells them by it."""
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    # Who can go on.

    def ready(self, strand: Strand) -> None:
        """Let a strand take a step, some time. Raises RuntimeError if it can already, or waits for something."""
        if self.abandoning:
            return
        if strand.able or strand in self._waiting:
            msg = f"{strand.name} is in the middle of something, and cannot begin another step."
            raise RuntimeError(msg)
        self._enable(strand)

    def end(self, wait: Wait, *, cause: int = NO_CAUSE) -> None:
        """End a wait, and let go on who waits. Of no effect if it is over."""
        if wait.over or self.abandoning:
            return
        wait.over = True
        wait.cause = cause
        self.steps.touch(wait.resource, write=True)
        for strand in wait.waiting:
            del self._waiting[strand]
            self._enable(strand)
        wait.waiting = []

    @property
    def speaker(self) -> str:
        """Who does what is done at the moment."""
        return self._speaking.name if self._firing is None else TIMERS

    def take_cause(self) -> int:
        """Return which entry of the trace let who speaks go on, once."""
        if self._firing is not None:
            return self._firing.cause
        strand = self._speaking
        cause, strand.cause = strand.cause, NO_CAUSE
        return cause

    def wait_for(self, wait: Wait, *, timeout: float | None = None) -> bool:
        """Wait, at most ``timeout`` virtual seconds; return whether the wait is over.

        A strand is left where it stands. The test itself has the others take their steps meanwhile. Raises
        RuntimeError in a timer's call and in a check after a step: while these wait, nobody could go on.
        """
        self.check_thread()
        if self.abandoning:
            raise GreenletExit
        self.steps.touch(wait.resource, write=False)
        if not wait.over:
            if self.current is None:
                self._drive(wait, timeout)
            else:
                self._park(self.current, wait, timeout)
        if wait.over:
            self._speaking.know(wait.cause)
        return wait.over

    def perhaps_pause(self) -> None:
        """Let others go on in the middle of the current step, if chance wants it."""
        self.check_thread()
        strand = self.current
        if not self.interruptions or strand is None or self.abandoning:
            return
        if not self._ready and not self.steps.on:  # in a search for all orders, a step must not depend on others
            return
        if self.interruptions >= 1 or self.decisions.chance(self.interruptions):
            self._enable(strand)
            self._leave(strand)

    def check_thread(self) -> None:
        """Raise NotSimulated on another thread than that of the run: when it comes would be left to the system."""
        if threading.get_ident() != self._thread:
            msg = "A simulation has one thread: have a client do what another thread does."
            raise NotSimulated(msg)

    # Steps.

    def run(self) -> None:
        """Take steps until nobody can go on or waits. What is due later stays due."""
        while self.step():
            pass

    def step(self) -> bool:
        """Take one step; return whether there was one to take. Raises what is found wrong."""
        if not (self._ready or self._waiting):
            return False
        if self.trace.step == self._most_steps:
            raise Livelock(self.who_waits(), self.trace)
        strand = self._pick() if self._ready else None
        if strand is None:
            self._let_time_pass()
        else:
            self._resume(strand)
        self._look()
        return True

    def abandon(self, whom: Callable[[Strand], bool]) -> None:
        """Drop strands as they stand: they never go on. What their ``finally`` blocks do has no effect here."""
        there = (*self._ready, *self._waiting)
        gone = [strand for strand in there if strand is not self._test and whom(strand)]
        for strand in gone:
            self._forget(strand)
        with self.without_effect():
            for strand in gone:
                standing, strand.standing = strand.standing, None
                if standing is not None:
                    standing.parent = getcurrent()  # where its end leads back to
                    with SetAside(), contextlib.suppress(Exception):  # nobody hears any more what it raises
                        standing.throw(GreenletExit)

    @contextlib.contextmanager
    def without_effect(self) -> Iterator[None]:
        """Let what ends do what it has to at its end, and neither others nor the trace know of it."""
        before = self.abandoning
        self.abandoning = self.trace.muted = True
        try:
            yield
        finally:
            self.abandoning = self.trace.muted = before

    def who_waits(self) -> list[str]:
        """Return a line for each strand that waits, and for what."""
        return who_waits(self._waiting)

    @property
    def _speaking(self) -> Strand:
        return self._test if self.current is None else self.current

    def _enable(self, strand: Strand) -> None:
        strand.able = True
        if strand.rank < 0:
            strand.rank = next(self._ranks)
        strand.enabled_in = self.trace.step
        self._ready.append(strand)

    def _forget(self, strand: Strand) -> None:
        strand.able = False
        if strand in self._ready:
            self._ready.remove(strand)
        wait = self._waiting.pop(strand, None)
        if wait is not None:
            wait.waiting.remove(strand)

    def _pick(self) -> Strand | None:
        """Return who takes the next step; None if time passes first."""
        ready = self._ready
        due = None if self.steps.on else self.timers.next_due()
        if due is not None and self.haste and self.decisions.chance(self.haste):
            return None
        now = due is not None and due <= self.clock.monotonic()  # then it needs no time to pass
        if len(ready) == 1 and not now and not self.steps.on:
            return ready.pop()
        offered = self._in_order()
        names = [strand.name for strand in offered]
        if now:
            names.append(TIMERS)
        index = self.decisions.take(len(names), partial(self._strategy.pick, names))
        if index:
            self.passed_over.append((self.trace.step + 1, names[index], names[:index]))
            for strand in offered[:index]:
                strand.rank = next(self._ranks)
        if index == len(offered):
            return None
        self.steps.begin(names[index])
        ready.remove(offered[index])
        return offered[index]

    def _in_order(self) -> list[Strand]:
        """Return who can go on: first who came first, but who is passed over goes to the end, for good.

        So one choice out of the ordinary delays somebody until nobody else can go on, and a run that needs few
        such choices is one that can be explained. Who has waited for long comes first all the same: or a run
        without choices would never end where somebody is always busy.
        """
        longest = self._ready[0]
        if self.trace.step - longest.enabled_in > PATIENCE:
            for strand in self._ready:
                if strand is not longest and strand.rank < longest.rank:
                    strand.rank = next(self._ranks)
        return sorted(self._ready, key=_by_rank)

    def _resume(self, strand: Strand) -> None:
        self._hub = getcurrent()
        standing, strand.standing = strand.standing, None
        strand.able = False
        self.trace.step += 1
        self.steps.caused_by(strand.enabled_in)
        if standing is None:
            standing = greenlet(strand.body, parent=self._hub)
        elif standing.parent is not self._hub:
            standing.parent = self._hub
        self.current = strand
        try:
            standing.switch()
        except Exception:
            if self.failure is None:  # what was found before is why
                raise
        finally:
            self.current = None

    def _look(self) -> None:
        self._looking = True
        try:
            for look in self.after_step:
                look()
        finally:
            self._looking = False
        if self.failure is not None:
            raise self.failure

    # Waiting.

    def _park(self, strand: Strand, wait: Wait, timeout: float | None) -> None:
        wait.waiting.append(strand)
        self._waiting[strand] = wait
        timer = None if timeout is None else self.timers.call_after(timeout, lambda: self._give_up(strand, wait))
        try:
            self._leave(strand)
        finally:
            if timer is not None:
                timer.cancel()
        self.steps.touch(wait.resource, write=False)

    def _leave(self, strand: Strand) -> None:
        """Go back to the scheduler, with the strand left where it stands."""
        strand.standing = getcurrent()
        with SetAside():
            self._hub.switch()

    def _give_up(self, strand: Strand, wait: Wait) -> None:
        if self._waiting.get(strand) is wait:
            self._forget(strand)
            self._enable(strand)

    def _drive(self, wait: Wait, timeout: float | None) -> None:
        """Have the others take their steps, on behalf of the test, until the wait is over or the time is."""
        if self._firing is not None or self._looking:
            msg = f"A timer's call, or a check after a step, waits for {wait.reason}: neither can."
            raise RuntimeError(msg)
        limit = Wait("the timeout")
        timer = None if timeout is None else self.timers.call_after(timeout, lambda: self.end(limit))
        self._waiting[self._test] = wait
        try:
            while not (wait.over or limit.over):
                self.step()
        finally:
            self._waiting.pop(self._test, None)
            if timer is not None:
                timer.cancel()

    # Time.

    def _let_time_pass(self) -> None:
        due = self.timers.next_due()
        if due is None:
            raise Deadlock(self.who_waits(), self.trace)
        if self.steps.on:
            self.decisions.take(1, lambda random: self._strategy.pick((TIMERS,), random))
            self.steps.begin(TIMERS)
            self.steps.caused_by_all()  # it happens because nobody could go on
        self.trace.step += 1
        self.trace.at = max(self.trace.at, due)
        timer = self.timers.take_next()
        self._firing = timer
        try:
            timer.fire()
        finally:
            self._firing = None
