"""What goes wrong in a run of the whole server: actors crash, the disk fails, the process dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pykka
from sqlalchemy.exc import SQLAlchemyError

from alex_actors.actor import PooledActor
from alex_actors.agent_actor import AgentActor
from alex_actors.agent_protocol import Announce
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.mailbox import acting
from alex_actors.messages import Message
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import ClaimKey, Confirm, ReleaseKey, RequestTurn, TaskEnded, TurnEnded
from alex_actors.simulation.faults import InjectedCrash
from alex_actors.simulation.store import disk_error, row_error
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import EraseSession, Revoke, TellHistory

if TYPE_CHECKING:
    from alex_actors.simulation.world import Client, Simulation
    from tests.simulation.http_clients import SimulatedServer

LATEST_KILL = 150
"""The step at which the process dies at the latest: most runs are not much longer."""

TIMES_OF_DEATH = (0.05, 0.5, 8.0)
"""Virtual seconds after which the process dies, if not at a step: then something has run for some time."""

SOON = 40
"""The steps after which the next process is dead at the latest, if it dies while it takes up what is left."""

LATEST_CRASH = 60
"""The step from which on an actor crashes at the latest: from the first message on, it would miss most."""

CRASHING = ((AgentActor, 0.2), (SessionActor, 0.4), (TaskStoreActor, 0.2), (BroadcasterActor, 0.2))
"""Which actors crash, and in which share of the runs: to rebuild the lines of tasks is hardest."""

RECOVERING: tuple[type[PooledActor], ...] = (TaskStoreActor, SessionActor, AgentActor)
"""Which of them may crash while a new process takes up what is left."""

COMING_AND_GOING = (RequestTurn, TaskEnded)
LOST = (Revoke, EraseSession)
SUBMITTING = (ClaimKey, Confirm, ReleaseKey)
TOLD: tuple[tuple[float, tuple[tuple[type[Message], ...], ...]], ...] = (
    (0.4, (COMING_AND_GOING, COMING_AND_GOING)),
    (0.8, (COMING_AND_GOING, (Announce,))),
    (0.8, (LOST, LOST)),
    (0.8, (LOST, LOST)),
    (0.6, ((TurnEnded,),)),
    (0.3, (SUBMITTING, SUBMITTING)),
    (0.3, (SUBMITTING,)),
    (0.8, ((TellHistory,), (TellHistory,))),
)
"""What actors are made to crash of, one crash after the other, and how often: when agents come and go, and of what
is lost if it comes twice. Twice in the list is twice as often."""

NEVER = 1_000_000_000
"""A step that no run gets to."""


class Trouble:
    """All that goes wrong in a run."""

    def __init__(self, simulation: Simulation, *, any_: bool, sharing: bool) -> None:
        """Have nothing go wrong unless there is to be ``any_``; ``sharing`` says whether tasks have sub-agents."""
        self._simulation = simulation
        self._decisions = decisions = simulation.decisions
        self.smooth = True
        """Whether nothing goes wrong in this run."""
        self.hurries = False
        """Whether time passes although others could go on."""
        self.disk_fails = False
        self.killed = False
        """Whether the process has died."""
        self.downtime = 0.0
        """Virtual seconds in which there was no process."""
        self.crashes_handled = 2 if any_ and decisions.chance(0.15) else 0
        """How often an actor is to crash with a message handled."""
        self.impatient = decisions.chance(0.33)
        """Whether workers give up at any moment."""
        self._crashes_told: list[tuple[type[Message], ...]] = []
        self._told_crashes = 0.0
        self._crashes_after_commit = 0
        self._erased = 0
        self._dies_at, self._dies_again = NEVER, 0
        self._dies_between = False  # once the end of a task is recorded, and not those of its sub-agents
        self._died_at = 0.0
        self._starter: Client[None] | None = None
        self._any = any_
        self._sharing = sharing
        self._begun = False
        self._server: SimulatedServer  # from begin() on

    def begin(self, server: SimulatedServer) -> None:
        """Let things go wrong from now on."""
        self._server = server
        self._begun = True
        self._simulation.scheduler.after_step.append(self._perhaps_die)
        server.system.observers.append(self._before_message)  # of the processes after the first
        if self.crashes_handled:
            self.smooth = False
        if self._any and self._decisions.chance(0.75):
            self._inject()

    def _inject(self) -> None:
        decisions, system = self._decisions, self._server.system
        for actor, often in CRASHING:
            if decisions.chance(often):
                self.smooth = False
                self._crash_later(actor)
        if decisions.chance(0.6):
            self.smooth = False
            self._told_crashes, told = decisions.choose(TOLD)
            self._crashes_told = list(told)
            system.dispatcher.observers.append(self._before_message)
        if decisions.chance(0.6 if self.impatient else 0.2):
            self.smooth = False
            self.hurries = True
            self._simulation.hurry(0.02)
        system.reader.looked = self._simulation.scheduler.perhaps_pause
        system.writer.committed = self._after_commit
        if decisions.chance(0.2):
            self.smooth = False
            self._crashes_after_commit = 1
        if decisions.chance(0.2):
            self.smooth = False
            self._fail_disk()
        self._dies_between = self._sharing and decisions.chance(0.7)
        if decisions.chance(0.3):
            self.smooth = False
            if decisions.chance(0.4):
                self._simulation.timers.call_after(decisions.choose(TIMES_OF_DEATH), self.die)
            else:
                self._dies_at = self._simulation.trace.step + 1 + decisions.pick(LATEST_KILL)
            self._dies_again = decisions.choose((0, 0, 1, 2))

    def _fail_disk(self) -> None:
        self.disk_fails = True
        decisions, faults, system = self._decisions, self._simulation.faults, self._server.system
        system.writer.fails = lambda: (row_error, disk_error)[decisions.pick(2)]() if faults.happens(0.1) else None
        system.reader.fails = lambda: disk_error() if faults.happens(0.05) else None

    # Crashes.

    def _crash_later(self, actor: type[PooledActor]) -> None:
        """Have an actor crash on messages after some step."""
        scheduler, faults = self._simulation.scheduler, self._simulation.faults
        step = scheduler.trace.step + 1 + self._decisions.pick(LATEST_CRASH)
        probability = self._decisions.choose((0.05, 0.5))

        def begin() -> None:
            if scheduler.trace.step == step:
                faults.crash(actor, probability=probability, at_most=2)

        scheduler.after_step.append(begin)

    def _after_commit(self) -> None:
        """Have others go on, or the store actor crash, before anybody knows of a commit."""
        if acting() is None:
            return  # it is the start
        self._simulation.scheduler.perhaps_pause()
        if self._dies_between and self._server.system.invariants.families.strays():
            self._dies_between = self.smooth = False
            self.die()
        erased, self._erased = self._erased, len(self._server.system.invariants.deleted.sessions)
        often = 0.3 if self._erased > erased else 0.05
        if self._crashes_after_commit and self._simulation.faults.happens(often):
            self._crashes_after_commit -= 1
            raise InjectedCrash

    def _before_message(self, _actor: PooledActor, message: object) -> None:
        """Have who is told something crash of it."""
        told = self._crashes_told
        if told and isinstance(message, told[0]) and self._simulation.faults.happens(self._told_crashes):
            del told[0]
            raise InjectedCrash

    def after_message(self, _actor: PooledActor) -> None:
        """Have an actor crash with its message handled, and not answered."""
        if self._begun and self.crashes_handled and self._simulation.faults.happens(0.03):
            self.crashes_handled -= 1
            raise InjectedCrash

    # The process.

    def die(self) -> None:
        """Have the process end after this step: something of which there is only one cannot go on."""
        self._dies_at = 0

    def perhaps_die_at_last(self) -> bool:
        """Have the process end with all that hangs, in some of the runs. Returns whether it does."""
        dies = self._any and self._decisions.chance(0.25)
        if dies:
            self.smooth = False
            self._simulation.sleep(self._decisions.choose((0.0, 0.6, 2.0)))
            self._dies_again = self._decisions.choose((0, 0, 1))
            if self._decisions.chance(0.3):
                self._told_crashes, self._crashes_told = 0.8, [(TellHistory,), (TellHistory,)]
            self.die()
        return dies

    def _perhaps_die(self) -> None:
        """Kill the process where it stands, also while it starts, and have it started again."""
        if self._simulation.trace.step < self._dies_at or self._simulation.faults.calm:
            return
        starting = self._starter is not None and not self._starter.ended
        if not (self._server.up or starting):
            return
        self._dies_at = NEVER
        if self._starter is not None:
            strand = self._starter.strand
            self._simulation.scheduler.abandon(lambda one: one is strand)
        if not self.killed or self._server.up:
            self._died_at = self._simulation.clock.monotonic()
        self.killed = True
        self._server.kill()
        self._simulation.hurry(0.0)  # or the start, too, may take longer than it may
        if self._dies_again:
            self._dies_again -= 1
            self._dies_at = self._simulation.trace.step + 1 + self._decisions.pick(SOON)
        if self._decisions.chance(0.3):
            actor = self._decisions.choose(RECOVERING)
            self._simulation.faults.crash(actor, probability=0.2, at_most=2)
        self._starter = self._simulation.client("operator", self._restart)

    def _restart(self) -> None:
        """Start the server; again, while its disk fails."""
        while not self._server.up:
            try:
                self._server.start()
            except (SQLAlchemyError, InjectedCrash, pykka.ActorDeadError):
                self._server.kill()
                self._simulation.sleep(1.0)
        self.downtime += self._simulation.clock.monotonic() - self._died_at
