"""A scenario of the whole server: clients, agents, faults and a process that dies, all as the seed wants it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.actor import PooledActor
from alex_actors.agent_actor import AgentActor
from alex_actors.agent_protocol import Announce
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic, Topic
from alex_actors.core import Core
from alex_actors.mailbox import acting
from alex_actors.messages import Message
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import RequestTurn, TaskEnded, TurnEnded
from alex_actors.simulation.faults import InjectedCrash
from alex_actors.simulation.invariants import NOTHING_LOST, ONE_END
from alex_actors.simulation.runtime import ConnectionLost, SessionGone
from alex_actors.simulation.store import SimulatedStore, disk_error, row_error
from alex_actors.simulation.world import Simulation
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import EraseSession, Revoke
from alex_actors.tasks import UNFINISHED
from alex_actors.values import SessionId, TaskId
from alex_http.errors import TaskHasEnded
from tests.simulation.after_the_run import AfterTheRun
from tests.simulation.chancy_agent import ChancyAgent
from tests.simulation.deleting_clients import DeletingClients
from tests.simulation.http_clients import HttpSide, SimulatedServer
from tests.simulation.telling_actors import telling
from tests.simulation.watches import Watches

STRATEGIES = ("enqueue", "enqueue", "parallel", "interrupt", "reject")
SESSIONS = ("one", "one", "two", None)
DELETED_SESSIONS = ("one", "one", "two")
NAMES = ("alice", "bob", "carol")
LATEST_KILL = 250
"""The step at which the process dies at the latest: most runs are not much longer."""

LATEST_CRASH = 60
"""The step from which on an actor crashes at the latest: from the first message on, it would miss most."""

CRASHING = ((AgentActor, 0.2), (SessionActor, 0.4), (TaskStoreActor, 0.2), (BroadcasterActor, 0.2))
"""Which actors crash, and in which share of the runs: to rebuild the lines of tasks is hardest."""

MANY = 100
"""More tasks than any run has."""

GRACE = 5.0
"""Virtual seconds that an agent has to stop."""

COMING_AND_GOING = (RequestTurn, TaskEnded)
TOLD: tuple[tuple[float, tuple[tuple[type[Message], ...], ...]], ...] = (
    (0.4, (COMING_AND_GOING, COMING_AND_GOING)),
    (0.8, (COMING_AND_GOING, (Announce,))),
    (0.8, ((Revoke, EraseSession), (Revoke, EraseSession))),
    (0.6, ((TurnEnded,),)),
)
"""What actors are made to crash of, one crash after the other, and how often: when agents come and go, and of what
is lost if it comes twice."""

AT_ONCE = 0.001
"""Virtual seconds: with it, a worker gives up at any moment, if time passes although others could go on."""

NEVER = 1_000_000_000
"""A step that no run gets to."""

UNFINISHED_TASKS = "SELECT task_id FROM tasks WHERE status IN ('pending', 'running')"


ANSWERED = "A client is answered, and with success unless something is wrong."
NOT_TOO_MANY = "No more agents run than may."
NOT_TOO_MANY_UNFINISHED = "No more tasks are unfinished than may be."
TURN_COMES = "Whoever waits for its turn gets it when nobody runs."


class WholeSystem:
    """One run of it."""

    def __init__(
        self,
        simulation: Simulation,
        *,
        store: SimulatedStore,
        core: type[Core] = Core,
        http: HttpSide | None = None,
        faults: bool = True,
    ) -> None:
        """Have nothing go wrong if there are to be no ``faults``; else the seed says what does."""
        self.simulation = simulation
        self.decisions = decisions = simulation.decisions
        self.store = store
        self._dies_at = NEVER
        self._crashes_after_commit = self._crashes_handled = 0
        self._answered: set[str] = set()
        crashes_handled = faults and decisions.chance(0.15)
        if crashes_handled:
            core = telling(core, self._after_message)
        agent = ChancyAgent(simulation, store)
        self._most = most = decisions.choose((MANY, 1, 2))
        self._most_unfinished = decisions.choose((MANY, 3))
        self._killed = self._hurries = False
        self._impatient = decisions.chance(0.33)
        self.server = SimulatedServer(
            simulation, store=store, agent_for=lambda _task: agent, core=core, http=http,
            max_unfinished=self._most_unfinished, max_running=most, cancel_grace=GRACE,
            max_ahead=decisions.choose((64, 1, 3)), failed=lambda _error: self._die(),
            ask_timeout=AT_ONCE if self._impatient else 10.0,
        )  # fmt: skip
        self._smooth = True
        """Whether nothing goes wrong in this run."""
        if faults and decisions.chance(0.7):
            self._inject_faults()
        if crashes_handled:
            self._smooth = False
            self._crashes_handled = 2
        invariants = self.server.system.invariants
        runs, self._deleted = invariants.runs, invariants.deleted
        self._watches = Watches(simulation, store, self._deleted)
        self._deletes = DeletingClients(simulation, store, self.server, self._is_answer)
        self._erased = 0
        self._deleting = decisions.chance(0.25)  # whether clients delete sessions in this run
        simulation.always(NOT_TOO_MANY, lambda: len(runs) <= most)

    def _inject_faults(self) -> None:
        decisions, faults, system = self.decisions, self.simulation.faults, self.server.system
        for actor, often in CRASHING:
            if decisions.chance(often):
                self._smooth = False
                self._crash_later(actor)
        if decisions.chance(0.4):
            self._smooth = False
            self._told_crashes, told = decisions.choose(TOLD)
            self._crashes_told = list(told)
            system.dispatcher.observers.append(self._before_message)
        if decisions.chance(0.6 if self._impatient else 0.2):
            self._smooth = False
            self._hurries = True
            self.simulation.hurry(0.02)
        system.reader.looked = self.simulation.scheduler.perhaps_pause
        system.writer.committed = self._after_commit
        if decisions.chance(0.2):
            self._smooth = False
            self._crashes_after_commit = 1
        if decisions.chance(0.2):
            self._smooth = False
            system.writer.fails = lambda: (
                (row_error, disk_error)[decisions.pick(2)]() if faults.happens(0.1) else None
            )
            system.reader.fails = lambda: disk_error() if faults.happens(0.05) else None
        if decisions.chance(0.2):
            self._smooth = False
            self._dies_at = self.simulation.trace.step + 1 + decisions.pick(LATEST_KILL)
        self.simulation.scheduler.after_step.append(self._perhaps_die)

    def _crash_later(self, actor: type[PooledActor]) -> None:
        """Have an actor crash on messages after some step."""
        scheduler, faults = self.simulation.scheduler, self.simulation.faults
        step = scheduler.trace.step + 1 + self.decisions.pick(LATEST_CRASH)
        probability = self.decisions.choose((0.05, 0.5))

        def begin() -> None:
            if scheduler.trace.step == step:
                faults.crash(actor, probability=probability, at_most=2)

        scheduler.after_step.append(begin)

    def _after_commit(self) -> None:
        """Have others go on, or the store actor crash, before anybody knows of a commit."""
        if acting() is None:
            return  # it is the start
        self.simulation.scheduler.perhaps_pause()
        erased, self._erased = self._erased, len(self._deleted.sessions)
        often = 0.3 if self._erased > erased else 0.05
        if self._crashes_after_commit and self.simulation.faults.happens(often):
            self._crashes_after_commit -= 1
            raise InjectedCrash

    def _before_message(self, _actor: PooledActor, message: object) -> None:
        """Have who is told something crash of it."""
        told = self._crashes_told
        if told and isinstance(message, told[0]) and self.simulation.faults.happens(self._told_crashes):
            del told[0]
            raise InjectedCrash

    def _after_message(self, _actor: PooledActor) -> None:
        """Have an actor crash with its message handled, and not answered."""
        if self._crashes_handled and self.simulation.faults.happens(0.03):
            self._crashes_handled -= 1
            raise InjectedCrash

    def _perhaps_die(self) -> None:
        if self.simulation.trace.step >= self._dies_at and not self.simulation.faults.calm and self.server.up:
            self._dies_at = NEVER
            self._killed = True
            self.server.kill()
            self.simulation.hurry(0.0)  # or the start, too, may take longer than it may
            self.simulation.client("operator", self._restart)

    def _die(self) -> None:
        """Have the process end after this step: something of which there is only one cannot go on."""
        self._dies_at = 0

    def _restart(self) -> None:
        """Start the server; again, while its disk fails."""
        while not self.server.up:
            try:
                self.server.start()
            except (SQLAlchemyError, InjectedCrash):
                self.server.kill()
                self.simulation.sleep(1.0)

    # What clients do.

    def play(self) -> None:
        """Have clients come and go, and let everything end."""
        names = NAMES[: self.decisions.choose((3, 1, 2, 3))]
        clients = [self.simulation.client(name, partial(self._visit, name)) for name in names]
        watchers = [watcher for client in clients for watcher in client.result()]
        self.simulation.faults.calm = True
        self.simulation.hurry(0.0)
        self._end_all()
        self.simulation.sleep(1.0)  # everybody has been told of everything then
        self._watches.look_at_all()
        self.server.system.end_streams()
        for watcher in watchers:
            watcher.result()
        self.server.system.settle()
        self._look_at_it_all()
        if self._smooth:
            recorded = {row[0] for row in self._rows("SELECT task_id FROM tasks")}
            untold = recorded - self._answered
            self.simulation.check(not untold, ANSWERED, f"Nobody was told of {untold}.", about=untold)

    def _look_at_it_all(self) -> None:
        look = AfterTheRun(self.simulation, self.store)
        look.look_at_turns()
        look.look_at_crashes()
        if not self._killed:
            look.look_at_promptness(room=self._most >= MANY)
            look.look_at_deletions()
        if not self._hurries:
            look.look_at_timeouts(grace=GRACE)
        if self._most_unfinished < MANY:
            self._look_at_limit()

    def _look_at_limit(self) -> None:
        for confirmed in self.server.system.invariants.confirmations():
            beside = confirmed.unfinished
            seen = f"{confirmed.task_id} is confirmed while {len(beside)} tasks are unfinished: {beside}."
            allowed = len(beside) < self._most_unfinished
            self.simulation.check(allowed, NOT_TOO_MANY_UNFINISHED, seen, about=(confirmed.task_id, *beside))

    def _visit(self, name: str) -> list[Any]:  # Any: clients of any result
        """Submit something a few times, and look after it."""
        watchers = []
        for visit in range(self.decisions.pick(2) + 1):
            try:
                task_id = self._submit()
                if task_id is not None and self.decisions.chance(0.4):
                    topic: Topic = TaskTopic(TaskId(task_id))
                    if self.decisions.chance(0.3):
                        topic = SessionTopic(SessionId("one"))
                    watch = partial(self._watch, topic)
                    watchers.append(self.simulation.client(f"{name}'s stream {visit}", watch))
                if task_id is not None:
                    self._look_after(task_id)
                if self._deleting and self.decisions.chance(0.6):
                    self._delete()
            except ConnectionLost:
                self._await_server()
        return watchers

    def _delete(self) -> None:
        """Delete a session, perhaps while others do things with it; or make one."""
        session_id = self.decisions.choose(DELETED_SESSIONS)
        do = self._deletes.make if self.decisions.chance(0.2) else self._deletes.delete
        do(session_id)

    def _submit(self) -> str | None:
        decisions = self.decisions
        session_id = decisions.choose(SESSIONS)
        deletes = self._deletes.before(session_id)
        body = {
            "task": "What is 2 + 2?",
            "session_id": session_id,
            "multitask_strategy": decisions.choose(STRATEGIES),
            "timeout_seconds": decisions.choose((None, None, 1.0, 30.0, 86_400.0)),
        }
        reply = self.server.request("POST", "/api/tasks", body)
        self.simulation.check(
            self._is_answer(reply.status, {201, 409, 429}),
            ANSWERED,
            f"With {reply}.",
        )
        if reply.status == 409:
            detail = reply.json()["detail"]
            self.simulation.check(" 0 unfinished" not in detail, ANSWERED, f"With {reply}.")
            if "is being deleted" in detail:
                self._deletes.look_at_refusal(f"{session_id}", deletes, f"With {reply}.")
        if reply.status != 201:
            return None
        task = reply.task()
        self._answered.add(task.task_id)
        self.server.saw(task)
        return task.task_id

    def _look_after(self, task_id: str) -> None:
        match self.decisions.pick(4):
            case 0:
                self.server.read(task_id)
            case 1:
                self.simulation.sleep(self.decisions.choose((0.0, 0.5, 10.0)))
                self.server.read(task_id)
            case 2:
                self._cancel(task_id)
            case _:
                self.server.request("GET", "/api/tasks?limit=5")
                self._cancel(task_id)

    def _cancel(self, task_id: str) -> None:
        reply = self.server.request("POST", f"/api/tasks/{task_id}/cancel")
        check = self.simulation.check
        status = self._status(task_id)
        gone = {404} if task_id in self._deleted.tasks else set()
        expected = {200, 409} | gone
        check(self._is_answer(reply.status, expected), ANSWERED, f"With {reply}.", about=(task_id,))
        if gone:
            return
        if reply.status == 200:
            seen = f"{task_id} was said to be cancelled, and is {status}."
            check(status == "cancelled", ONE_END, seen, about=(task_id,))
        if reply.status == 409:
            seen = f"{task_id} was said to have ended, and is {status}."
            check(status not in UNFINISHED, ONE_END, seen, about=(task_id,))
            told, true = reply.json()["detail"], TaskHasEnded(task_id, f"{status}").detail
            check(told == true, ONE_END, f"{told} It is {status}.", about=(task_id,))

    def _watch(self, topic: Topic) -> None:
        """Follow a topic to its end, with interruptions, and see that each event came once."""
        watch = self._watches.begin(topic, self.decisions.choose((0, 0, 3)))
        while not watch.over:
            left = self.decisions.choose((None, None, 1, 3))
            self._await_server()
            watch.connected = len(watch.received)
            try:
                for event in self.server.system.follow(topic, after=watch.position):
                    watch.received.append(event.event_id)
                    left = None if left is None else left - 1
                    if left == 0:
                        break  # and comes again, from where it is
                else:
                    watch.over = True
            except ConnectionLost:
                self._await_server()
            except SessionGone:
                watch.over = watch.deleted = True
        self._watches.look_at(watch)

    def _is_answer(self, status: int, expected: Collection[int]) -> bool:
        return status in expected or (not self._smooth and (status == 503 or self._crashed(status)))

    def _crashed(self, status: int) -> bool:
        """Whether it is the answer of who asked an actor that crashed on the message, and again."""
        return status == 500 and any(entry.kind == "crashed" for entry in self.simulation.trace)

    def _await_server(self) -> None:
        while not self.server.up:
            self.simulation.sleep(1.0)

    # How it ends.

    def _end_all(self) -> None:
        """Cancel what hangs, and wait until every task has its end."""
        waited = 0
        for _ in range(100):
            self._await_server()
            self.simulation.sleep(70.0)  # whatever is still on its way arrives
            unfinished = [row[0] for row in self._rows(UNFINISHED_TASKS)]
            if not unfinished:
                return
            running = [task.task_id for task in self.server.system.invariants.runs.values()]
            waited = 0 if running else waited + 1
            self.simulation.check(waited < 3, TURN_COMES, f"{unfinished} wait.", about=unfinished)
            for task_id in running:
                self._cancel(task_id)
        self.simulation.check(False, NOTHING_LOST, f"{unfinished} do not end.", about=unfinished)

    def _status(self, task_id: str) -> str | None:
        rows = self._rows("SELECT status FROM tasks WHERE task_id = ?", task_id)
        return rows[0][0] if rows else None

    def _rows(self, query: str, *values: str) -> list[Any]:  # Any: columns of any type
        return self.store.raw.execute(query, values).fetchall()
