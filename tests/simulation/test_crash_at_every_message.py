"""Each actor of which there is only one crashes at every message of a run, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, TypeAlias

import pytest

from alex_actors.actor import PooledActor
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic, Topic
from alex_actors.core import Core
from alex_actors.events import AnyEvent, IterationComplete, IterationStart
from alex_actors.ports import AgentYield, Answer
from alex_actors.replies import AlreadyEnded, Cancelled, Submitted, Unavailable
from alex_actors.session_actor import SessionActor
from alex_actors.simulation import Client, InjectedCrash, Simulation, explore
from alex_actors.simulation.deleted_sessions import DELETED
from alex_actors.simulation.invariants import EACH_ONCE
from alex_actors.simulation.runtime import SessionGone, SimulatedRuntime
from alex_actors.simulation.store import SimulatedStore
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.tasks import Strategy, Task
from alex_actors.tracing.facts import ONE_END
from alex_actors.values import SessionId, TaskId
from tests.simulation.telling_actors import telling
from tests.simulation.watches import Watches

Moment: TypeAlias = Literal["before", "after", "twice", "commit"]
"""Before a message is handled; after that, before its answer; before it and as it comes again; after a commit."""

SEED = 0
"""Of the run up to the crash. Nothing else goes wrong in it, so that one is about like another."""

LONGEST = 60.0
"""Virtual seconds after which a task ends by itself, though its agent hangs and nobody cancels it."""

TRIES = 20
"""How often a cancel is tried again that was not answered: far more than there are crashes."""

HOME = SessionId("home")

ANSWERED = "A client is answered, and with success unless an actor crashed."


class Crashes:
    """Has one actor crash at its ``number``-th message, counted from 0; or after the ``number``-th commit."""

    def __init__(self, whose: type[PooledActor], moment: Moment, number: int) -> None:
        self._whose = whose
        self._moment = moment
        self._number = number
        self.count = -1
        self.happened = 0

    def before(self, actor: PooledActor, _message: object) -> None:
        """Perhaps crash on a message."""
        if isinstance(actor, self._whose) and self._moment != "commit":
            self.count += 1
            again = self._moment == "twice" and self.count == self._number + 1
            if self._moment != "after" and (self.count == self._number or again):
                self._crash()

    def after(self, actor: PooledActor) -> None:
        """Perhaps crash with a message handled, and not answered."""
        if isinstance(actor, self._whose) and self._moment == "after" and self.count == self._number:
            self._crash()

    def after_commit(self) -> None:
        """Perhaps crash with all committed that was pending, and nobody told."""
        if self._moment == "commit":
            self.count += 1
            if self.count == self._number:
                self._crash()

    def _crash(self) -> None:
        self.happened += 1
        raise InjectedCrash


class Working:
    """Does two turns, and answers; or hangs, if that is its task."""

    async def run(self, task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Work."""
        for turn in (1, 2):
            yield IterationStart(iteration=turn, total_iters=50)
            await asyncio.sleep(0.5)
            yield IterationComplete(iteration=turn, tokens_used=10 * turn, tools_run=0)
        if task.task == "hang":
            await asyncio.Event().wait()
        yield Answer("4")


class Clients:
    """Clients of a server of which one actor crashes. A task has the end that its client was told of."""

    def __init__(self, simulation: Simulation, store: SimulatedStore, crashes: Crashes) -> None:
        self._simulation = simulation
        self._store = store
        self._crashes = crashes
        agent = Working()
        self._system = SimulatedRuntime(
            simulation,
            store=store,
            agent_for=lambda _task: agent,
            core=telling(Core, crashes.after),
            max_running=2,
        )
        self._system.dispatcher.observers.append(crashes.before)
        self._system.writer.committed = crashes.after_commit

    def play(self) -> None:
        """Have two of them use one session, a third another, and two follow what happens."""
        simulation = self._simulation
        followed = simulation.client("dora", lambda: self._follow_session("home"))
        clients: list[Client[None]] = [
            simulation.client("alice", self._alice),
            simulation.client("bob", self._bob),
            simulation.client("carol", self._carol),
        ]
        for client in clients:
            client.result()
        simulation.sleep(2 * LONGEST)  # all has ended, and whoever follows it has been told
        self._system.end_streams()
        followed.result()
        self._system.settle()

    def _alice(self) -> None:
        self._submit("work", "enqueue")
        hanging = self._submit("hang", "enqueue")
        if hanging is not None:
            self._cancel(hanging)
        self._submit("work", "parallel")

    def _bob(self) -> None:
        self._submit("work", "interrupt")

    def _carol(self) -> None:
        task = self._submit("work", "enqueue", session_id=None)
        if task is not None:
            received = [event.event_id for event in self._system.follow(TaskTopic(task.task_id))]
            recorded = self._recorded("task_id", task.task_id)
            self._simulation.check(received == recorded, EACH_ONCE, f"Got {received} of {recorded}.")

    def _follow_session(self, session_id: str) -> None:
        topic = SessionTopic(SessionId(session_id))
        received = [event.event_id for event in self._system.follow(topic)]
        recorded = self._recorded("session_id", session_id)
        self._simulation.check(received == recorded, EACH_ONCE, f"Got {received} of {recorded}.")

    def _submit(self, text: str, strategy: Strategy, *, session_id: str | None = "home") -> Task | None:
        reply = self._answer(
            lambda: self._system.try_submit(
                text, session_id=session_id, strategy=strategy, timeout_seconds=LONGEST
            )
        )
        return reply.task if isinstance(reply, Submitted) else None

    def _cancel(self, task: Task) -> None:
        told: str | None = None
        for _ in range(TRIES):
            match self._answer(lambda: self._system.cancel(task.task_id)):
                case Cancelled():
                    told = "cancelled"
                case AlreadyEnded(status=told):
                    pass
            if told is not None:
                break
        row = self._store.raw.execute("SELECT status FROM tasks WHERE task_id = ?", (task.task_id,)).fetchone()
        seen = f"{task.task_id} was said to be {told}, and is {row}."
        self._simulation.check(row == (told,), ONE_END, seen, about=(task.task_id,))

    def _answer(self, ask: Callable[[], object]) -> object:
        """Return the answer to a client; None if it is that an actor crashed."""
        try:
            return ask()
        except (Unavailable, InjectedCrash) as error:
            self._simulation.check(self._crashes.happened, ANSWERED, f"With {error!r}.")
            return None

    def _recorded(self, column: str, value: str) -> list[int]:
        query = (
            "SELECT event_id FROM events JOIN tasks USING (place) "
            f"JOIN sessions ON sessions.session_key = events.session_key WHERE {column} = ? ORDER BY event_id"
        )
        return [row[0] for row in self._store.raw.execute(query, (value,)).fetchall()]


class DeletingClients(Clients):
    """Clients one of whom deletes the session while the others use it."""

    def play(self) -> None:
        """Have one submit, one delete it all and begin anew, and two follow what happens."""
        simulation = self._simulation
        self._watches = Watches(simulation, self._store, self._system.invariants.deleted)
        followers = [
            simulation.client("dora", lambda: self._follow(SessionTopic(HOME))),
            simulation.client("erin", lambda: self._follow(TaskTopic(TaskId("task-alice-2")))),
        ]
        clients = [simulation.client("alice", self._alice), simulation.client("bob", self._bob)]
        for client in clients:
            client.result()
        simulation.sleep(2 * LONGEST)
        self._watches.look_at_all()
        self._system.end_streams()
        for follower in followers:
            follower.result()
        self._system.settle()

    def _alice(self) -> None:
        for text in ("work", "hang", "work"):
            self._submit(text, "enqueue")

    def _bob(self) -> None:
        self._simulation.sleep(0.7)
        before = self._rows()
        for _ in range(TRIES):
            reply = self._answer(lambda: self._system.delete(HOME))
            if reply is not None:
                break
        left = before.intersection(self._rows())
        self._simulation.check(
            before and not left, DELETED, f"{HOME} is said to be deleted: {reply}; {left} is left."
        )
        self._submit("work", "enqueue")

    def _follow(self, topic: Topic) -> None:
        watch = self._watches.begin(topic, 0)
        try:
            watch.received.extend(event.event_id for event in self._system.follow(topic))
        except SessionGone:
            watch.deleted = True
        watch.over = True

    def _rows(self) -> set[int]:
        query = "SELECT session_key FROM sessions WHERE session_id = ?"
        return {row[0] for row in self._store.raw.execute(query, (HOME,)).fetchall()}


def crashed_at(
    number: int, whose: type[PooledActor], moment: Moment, clients: type[Clients], store: SimulatedStore
) -> Crashes:
    """Play a run with that crash, if it has so many messages."""
    played: list[Crashes] = []

    def scenario(simulation: Simulation) -> None:
        played.append(Crashes(whose, moment, number))
        clients(simulation, store, played[-1]).play()

    try:
        explore(scenario, seeds=[SEED])
    except AssertionError as failure:
        failure.add_note(f"{whose.__name__} crashes at {number}, {moment}.")
        raise
    return played[-1]


@pytest.mark.parametrize("clients", [Clients, DeletingClients])
@pytest.mark.parametrize(
    ("whose", "moment"),
    [
        *((SessionActor, moment) for moment in ("before", "after", "twice")),
        *((BroadcasterActor, moment) for moment in ("before", "after", "twice")),
        *((TaskStoreActor, moment) for moment in ("before", "after", "twice", "commit")),
    ],
)
def test_what_always_holds_holds_wherever_an_actor_crashes(
    whose: type[PooledActor], moment: Moment, clients: type[Clients], store: SimulatedStore
) -> None:
    number, crashes = 0, crashed_at(0, whose, moment, clients, store)
    while crashes.happened:
        number += 1
        crashes = crashed_at(number, whose, moment, clients, store)

    assert number > 5
