"""The dispatcher of simulations: all actors in one thread, one message a step, and a seed picks whose."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias, TypeVar, cast

import pykka
from greenlet import GreenletExit
from pykka._envelope import Envelope  # private, and pinned: as in alex_actors.messages

from alex_actors.actor import PooledActor
from alex_actors.mailbox import Mailbox, mailbox_of
from alex_actors.messages import Ask
from alex_actors.simulation.decisions import Decisions
from alex_actors.simulation.findings import Crash
from alex_actors.simulation.mailboxes import SimulatedFuture, SimulatedMailbox, simulated
from alex_actors.simulation.scheduler import Scheduler, Strand
from alex_actors.simulation.strategies import strategy_of
from alex_actors.simulation.traced import TracedSupervision
from alex_actors.supervision import RestartPolicy, Supervision, Supervisor

A = TypeVar("A", bound=pykka.Actor)
P = TypeVar("P", bound=PooledActor)
R = TypeVar("R")


Observer: TypeAlias = Callable[[PooledActor, object], None]
"""Told of each message before it is handled."""


class SimulatedDispatcher:
    """Runs actors in the calling thread, in virtual time, in an order that is drawn from a seed.

    A step is one message of one actor. An actor or a client that waits for an answer, whether through ``ask`` or
    a future's ``get``, is left where it stands, and everybody else goes on.
    """

    def __init__(self, seed: int | Scheduler) -> None:
        """Take a seed; or the scheduler that runs more than actors."""
        if isinstance(seed, Scheduler):
            self.scheduler = seed
        else:
            self.scheduler = Scheduler(decisions=Decisions(seed), strategy=strategy_of(seed))
        self.clock = self.scheduler.clock
        self.timers = self.scheduler.timers
        self.trace = self.scheduler.trace
        self.supervision: Supervision = TracedSupervision(scheduler=self.scheduler)
        self.observers: list[Observer] = []
        self.timed = False
        """Told of each message before it is handled; one that raises crashes the actor."""
        self.killed = False
        """Whether the process that these actors are in is gone: nothing is delivered any more."""
        self._strands: set[Strand] = set()
        self._labels: dict[str, int] = {}

    # Actors.

    def spawn(
        self,
        make: Callable[[], P],
        *,
        supervisor: Supervisor | None = None,
        restart: RestartPolicy | None = None,
        label: str | None = None,
    ) -> pykka.ActorRef[P]:
        """Make an actor, start it and return its ref. A crash of one without a supervisor is a finding.

        The trace calls it by its ``label``; by default, by what it says itself.
        """
        actor = make()
        ref = actor.actor_ref
        mailbox = SimulatedMailbox(self._unique(label or actor.label), scheduler=self.scheduler)
        actor.actor_urn = ref.actor_urn = mailbox.label  # Pykka's is random, and shows in exceptions
        self._strands.add(mailbox.strand)
        for early in actor.actor_inbox.take_all():  # what it told itself while it was made
            mailbox.put(early)
        actor.actor_inbox = ref.actor_inbox = mailbox
        ref.actor_class = _asked_here(type(actor))
        supervisor = supervisor or self._find_crash_of(mailbox.label)
        self.supervision.add(ref, make, supervisor=supervisor, restart=restart)
        mailbox.start(actor, self)
        return ref

    def alive(self) -> list[str]:
        """Return the labels of the actors that have not stopped, the first started first."""
        return [simulated(mailbox_of(ref)).label for ref in self.supervision.refs()]

    def kill(self) -> None:
        """Drop all actors as they stand, as ``kill -9`` does with their process. Nobody is told.

        Called by one of them, it does not return.
        """
        self.killed = True
        self.scheduler.abandon(self._strands.__contains__)
        if self.scheduler.current in self._strands:
            raise GreenletExit

    def run(self) -> None:
        """Take steps until nobody can go on or waits."""
        self.scheduler.run()

    def post(self, to: pykka.ActorRef[A], message: Ask[A, R]) -> SimulatedFuture:
        """Ask without waiting: the answer is the future's."""
        future = self.future()
        mailbox_of(to).put(Envelope(message, reply_to=future))
        return future

    # What a mailbox needs.

    def ready(self, mailbox: Mailbox, /) -> None:
        """Have the mailbox run in one of the next steps."""
        if not self.killed:
            self.scheduler.ready(simulated(mailbox).strand)

    def future(self) -> SimulatedFuture:
        """Return a future whose waiter lets everybody else go on."""
        return SimulatedFuture(self.scheduler)

    def handling(self, actor: PooledActor, message: object, /) -> None:
        """Tell the observers."""
        for observer in self.observers:
            observer(actor, message)

    def handled(self, actor: PooledActor, message: object, /, *, waited: float, took: float) -> None:
        """Do nothing: a simulation is not timed."""

    def undelivered(self, actor: str, message: object, /) -> None:
        """Write down a message that came too late."""
        self.trace.add("lost", actor, message)

    def _find_crash_of(self, label: str) -> Supervisor:
        def found(error: BaseException) -> None:
            if self.scheduler.failure is None:
                self.scheduler.failure = Crash(label, error, self.trace)
                self.scheduler.failure.__cause__ = error

        return found

    def _unique(self, label: str) -> str:
        count = self._labels[label] = self._labels.get(label, 0) + 1
        return label if count == 1 else f"{label}#{count}"


@lru_cache(maxsize=256)  # making a class takes 30 µs, and most runs are of the same few
def _asked_here(actor_class: type[P]) -> type[P]:
    """Return the class as Pykka's own ``ref.ask`` is to see it: with futures that are waited for here."""
    made = type(actor_class.__name__, (actor_class,), {"_create_future": staticmethod(SimulatedFuture)})
    return cast("type[P]", made)  # the type of what type() makes is not known any closer
