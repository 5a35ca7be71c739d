"""The simulator with each step the test's to take: first come, first served; and stand-ins for actors."""

from __future__ import annotations

from typing import Any

import pykka

from alex_actors.actor import PooledActor
from alex_actors.mailbox import mailbox_of
from alex_actors.messages import Ask, Message
from alex_actors.simulation import Decisions, SimulatedDispatcher
from alex_actors.simulation.mailboxes import simulated
from alex_actors.simulation.scheduler import Scheduler, Strand, Wait
from alex_actors.simulation.strategies import Plain


class FirstCome(Scheduler):
    """Lets whoever could go on first go on first. Nothing is left to chance."""

    def __init__(self) -> None:
        super().__init__(decisions=Decisions(0, script=()), strategy=Plain())

    def _in_order(self) -> list[Strand]:
        return list(self._ready)


class SteppedDispatcher(SimulatedDispatcher):
    """Runs actors when the test says so: a step is one message of one actor, and no time passes by itself.

    While the test waits for an answer, everybody goes on.
    """

    def __init__(self) -> None:
        super().__init__(FirstCome())

    def step(self) -> bool:
        """Let one actor handle one message. Returns whether there was one."""
        able = next((strand for strand in self.scheduler._ready if strand in self._strands), None)
        if able is not None:
            self.resume(able)
        return able is not None

    def run(self) -> None:
        """Let all actors handle their messages, until there are none."""
        while self.step():
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, with all actors handling their messages before and after each timer."""
        until = self.clock.monotonic() + seconds
        self.run()
        while (due := self.timers.next_due()) is not None and due <= until:
            self.timers.fire_next()
            self.run()
        self.clock.advance_to(until)

    def handle(self, ref: pykka.ActorRef[Any]) -> None:  # Any: of whatever actor
        """Let this actor handle its next message, before all others. There must be one."""
        self.resume(simulated(mailbox_of(ref)).strand)

    def resume(self, strand: Strand) -> None:
        """Let somebody go on, before all others, who can."""
        ready = self.scheduler._ready
        ready.insert(0, ready.pop(ready.index(strand)))
        self.scheduler.step()

    def keep_busy(self, ref: pykka.ActorRef[Any]) -> None:  # Any: as above
        """Have this actor never come to the end of its next message."""
        busy = mailbox_of(ref).actor

        def hold(actor: PooledActor, _message: object) -> None:
            if actor is busy:
                self.scheduler.wait_for(Wait("what never comes"))

        self.observers.append(hold)


class Recorder(PooledActor):
    """Stands in for an actor, and keeps what it is sent. Asks wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Any] = []  # Any: messages to whatever actor it stands in for

    def on_receive(self, message: Message) -> object:
        """Keep a message."""
        self.received.append(message)
        return message.later() if isinstance(message, Ask) else None


class StandIn:
    """A recorder, as whatever actor a test needs."""

    def __init__(self, dispatcher: SimulatedDispatcher) -> None:
        self._recorder = Recorder()
        self.ref: pykka.ActorRef[Any] = dispatcher.spawn(lambda: self._recorder)  # Any: as whatever actor

    @property
    def received(self) -> list[Any]:  # Any: messages of whatever protocol
        """What it was sent, in order."""
        return self._recorder.received

    def take(self) -> list[Any]:  # Any: as above
        """Return what it was sent since the last time."""
        taken = self._recorder.received
        self._recorder.received = []
        return taken
