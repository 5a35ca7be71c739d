"""A scenario of the whole server: clients, agents, faults and a process that dies, all as the seed wants it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic, Topic
from alex_actors.core import Core
from alex_actors.simulation.resumptions import NOTHING_LOST
from alex_actors.simulation.runtime import ConnectionLost, SessionGone
from alex_actors.simulation.store import SimulatedStore
from alex_actors.simulation.world import Simulation
from alex_actors.tasks import UNFINISHED
from alex_actors.tracing.facts import ONE_END
from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId
from alex_http.errors import TaskHasEnded
from tests.simulation.after_the_run import AfterTheRun
from tests.simulation.chancy_agent import ChancyAgent, ForgetfulAgent
from tests.simulation.delegating_agent import DelegatingAgent, LookAtFamilies
from tests.simulation.deleting_clients import DeletingClients
from tests.simulation.http_clients import HttpSide, SimulatedServer, User
from tests.simulation.keyed_clients import KeyedClients
from tests.simulation.paying_agent import paying_agent
from tests.simulation.telling_actors import telling
from tests.simulation.trouble import Trouble
from tests.simulation.watches import Watches

if TYPE_CHECKING:
    from alex_actors.ports import Agent
    from alex_actors.simulation.world import Client
    from tests.simulation.keyed_clients import Key

WORK, ONCE, PAY, SHARE = "What is 2 + 2?", "Say it once.", "Pay what is due.", "Have others do it."
"""What tasks are about: what an agent does that goes on after a restart, one that cannot, the server's own, and
one that has sub-agents."""

OTHER_OWNER = Owner("bea")
BOTH_OWNERS = (LOCAL_OWNER, OTHER_OWNER)
STRATEGIES = ("enqueue", "enqueue", "parallel", "interrupt", "reject")
SESSIONS = ("one", "one", "two", None)
DELETED_SESSIONS = ("one", "one", "two")
NAMES = ("alice", "bob", "carol")
MANY = 100
"""More tasks than any run has."""

GRACE = 5.0
"""Virtual seconds that an agent has to stop."""

AT_ONCE = 0.001
"""Virtual seconds: with it, a worker gives up at any moment, if time passes although others could go on."""

UNFINISHED_TASKS = "SELECT task_id FROM tasks WHERE status IN ('pending', 'running')"


ANSWERED = "A client is answered, and with success unless something is wrong."
NOT_TOO_MANY = "No more agents run than may."
NOT_TOO_MANY_UNFINISHED = "No more tasks are unfinished than may be."
NEVER_MEET = "What one owner has does not exist for another."
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
        sharing: bool | None = None,
    ) -> None:
        """Have nothing go wrong if there are to be no ``faults``; else the seed says what does.

        ``sharing`` says whether tasks have sub-agents; None: the seed says so.
        """
        self.simulation = simulation
        self.decisions = decisions = simulation.decisions
        self.store = store
        self._answered: set[str] = set()
        self._twins: list[Client[None]] = []
        self._sharing = decisions.chance(0.3) if sharing is None else sharing
        self._trouble = trouble = Trouble(simulation, any_=faults, sharing=self._sharing)
        if trouble.crashes_handled:
            core = telling(core, trouble.after_message)
        self._most = most = decisions.choose((MANY, 1, 2))
        self._most_unfinished = decisions.choose((MANY, 3))
        agents: dict[str, Agent] = {
            WORK: ChancyAgent(simulation, store), ONCE: ForgetfulAgent(simulation, store),
            PAY: paying_agent(simulation, store),
            SHARE: DelegatingAgent(
                simulation, store, sub_agents=lambda: self.server.system.core.sub_agents,
                parts=(WORK, WORK, ONCE, PAY, SHARE),
            ),
        }  # fmt: skip
        self.server = SimulatedServer(
            simulation, store=store, agent_for=lambda task: agents.get(task.task, agents[WORK]), core=core,
            http=http, max_unfinished=self._most_unfinished, max_running=most, cancel_grace=GRACE,
            max_ahead=decisions.choose((64, 1, 3)), failed=lambda _error: trouble.die(),
            ask_timeout=AT_ONCE if trouble.impatient else 10.0, resume=decisions.chance(0.85),
        )  # fmt: skip
        trouble.begin(self.server)
        invariants = self.server.system.invariants
        runs, self._deleted = invariants.runs, invariants.deleted
        self._watches = Watches(simulation, store, self._deleted)
        self._deletes = DeletingClients(simulation, store, self.server, self._is_answer)
        self._keys = KeyedClients(simulation, store, self.server)
        self._deleting = decisions.chance(0.35)  # whether clients delete sessions in this run
        self._keyed = decisions.choose((0.0, 0.0, 0.2, 0.8))  # how often they submit with an idempotency key
        self._owners = decisions.choose(((LOCAL_OWNER,), (LOCAL_OWNER,), (LOCAL_OWNER,), BOTH_OWNERS))
        self._texts = (WORK, PAY, SHARE, SHARE, SHARE) if self._sharing else (WORK, WORK, ONCE, PAY)
        simulation.always(NOT_TOO_MANY, lambda: sum(task.parent_task_id is None for task in runs.values()) <= most)

    # What clients do.

    def play(self) -> None:
        """Have clients come and go, and let everything end."""
        names = NAMES[: self.decisions.choose((3, 1, 2, 3))]
        clients = [self.simulation.client(name, partial(self._visit, name)) for name in names]
        watchers = [watcher for client in clients for watcher in client.result()]
        for twin in self._twins:
            twin.result()
        if self._trouble.perhaps_die_at_last():
            self.simulation.sleep(0.5)
            self._await_server()
            self.simulation.sleep(6.0)  # it goes on, and not all goes well
            self._await_server()
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
        if self._trouble.smooth:
            recorded = {row[0] for row in self._rows("SELECT task_id FROM tasks WHERE parent_task_id IS NULL")}
            untold = recorded - self._answered
            self.simulation.check(not untold, ANSWERED, f"Nobody was told of {untold}.", about=untold)

    def _look_at_it_all(self) -> None:
        trouble = self._trouble
        look = AfterTheRun(self.simulation, self.store, self.server.system.invariants.resumptions.lives)
        look.look_at_turns()
        look.look_at_crashes()
        self._keys.look_at_all()
        families = LookAtFamilies(self.simulation, self.store)
        families.look_at_calls()
        if not trouble.hurries and not trouble.disk_fails:
            families.look_at_ends(within=GRACE + trouble.downtime)
        if not trouble.killed:
            families.look_at_turns()
            look.look_at_promptness(room=self._most >= MANY)
            look.look_at_deletions()
        if not trouble.hurries and not (trouble.killed and trouble.disk_fails):
            look.look_at_timeouts(grace=GRACE, downtime=trouble.downtime)
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
        user = User(self.server, self.decisions.choose(self._owners))
        for visit in range(self.decisions.pick(2) + 1):
            try:
                task_id = self._submit(user)
                if task_id is not None and self.decisions.chance(0.4):
                    topic: Topic = TaskTopic(TaskId(task_id), user.owner)
                    if self.decisions.chance(0.3):
                        topic = SessionTopic(SessionId("one"), user.owner)
                    watch = partial(self._watch, topic)
                    watchers.append(self.simulation.client(f"{name}'s stream {visit}", watch))
                if task_id is not None:
                    self._look_after(user, task_id)
                if self._deleting and self.decisions.chance(0.6):
                    self._delete(user)
            except ConnectionLost:
                self._await_server()
        return watchers

    def _delete(self, user: User) -> None:
        """Delete a session, perhaps while others do things with it; or make one."""
        session_id = self.decisions.choose(DELETED_SESSIONS)
        if self.decisions.chance(0.4):
            body = {"task": WORK, "session_id": session_id}
            twin = partial(self._submit_twin, user, None, body)
            self._twins.append(self.simulation.client(f"{self.simulation.scheduler.speaker}'s twin", twin))
        do = self._deletes.make if self.decisions.chance(0.2) else self._deletes.delete
        do(user, session_id)

    def _submit(self, user: User) -> str | None:
        decisions = self.decisions
        body: Mapping[str, Any] = {  # Any: JSON
            "task": decisions.choose(self._texts),
            "session_id": decisions.choose(SESSIONS),
            "multitask_strategy": decisions.choose(STRATEGIES),
            "timeout_seconds": decisions.choose((None, None, 1.0, 30.0, 7_200.0)),
        }
        key = None
        if self._keyed and decisions.chance(self._keyed):
            key, body = self._keys.key_for(user.owner, body)
            if decisions.chance(0.5):  # somebody has pressed a button twice
                twin = partial(self._submit_twin, user, key, body)
                self._twins.append(self.simulation.client(f"{self.simulation.scheduler.speaker}'s twin", twin))
        return self._submit_this(user, key, body)

    def _submit_twin(self, user: User, key: Key | None, body: Mapping[str, Any]) -> None:  # Any: JSON
        with contextlib.suppress(ConnectionLost):
            self._submit_this(user, key, body)

    def _submit_this(self, user: User, key: Key | None, body: Mapping[str, Any]) -> str | None:  # Any: JSON
        headers, expected = {}, {201, 409, 429}
        if key is not None:
            headers, expected = {"HTTP_IDEMPOTENCY_KEY": key[1]}, {200, 201, 409, 422, 429}
        session_id: str | None = body["session_id"]
        deletes = self._deletes.before(user, session_id)
        reply = user.request("POST", "/api/tasks", body, headers=headers)
        self.simulation.check(self._is_answer(reply.status, expected), ANSWERED, f"With {reply}.")
        if key is not None:
            self._keys.look_at(key, body, reply)
        if reply.status == 409:
            detail = reply.json()["detail"]
            self.simulation.check(" 0 unfinished" not in detail, ANSWERED, f"With {reply}.")
            others = [one for one in self._rows("SELECT task_id, owner FROM tasks") if one[1] != user.owner]
            told = [task_id for task_id, _ in others if task_id in detail]
            self.simulation.check(not told, NEVER_MEET, f"{user.owner} is told: {detail}", about=told)
            if "is being deleted" in detail:
                self._deletes.look_at_refusal(user, f"{session_id}", deletes, f"With {reply}.")
        if reply.status not in (200, 201):
            return None
        task = reply.task()
        self._answered.add(task.task_id)
        self.server.saw(task)
        return task.task_id

    def _look_after(self, user: User, task_id: str) -> None:
        if self._sharing:
            self.simulation.sleep(self.decisions.choose((0.0, 0.5, 2.0)))
        match self.decisions.pick(5):
            case 0:
                user.read(task_id)
            case 1:
                self.simulation.sleep(self.decisions.choose((0.0, 0.5, 10.0)))
                user.read(task_id)
            case 2:
                self._cancel(user, task_id)
            case 3:
                self._look_at_list(user)
                self._cancel(user, task_id)
            case _:
                self._look_at_what_others_see(user, task_id)

    def _look_at_list(self, user: User) -> None:
        reply = user.request("GET", "/api/tasks?limit=5")
        owners = dict(self._rows("SELECT task_id, owner FROM tasks"))
        for task in reply.json()["tasks"] if reply.status == 200 else ():
            task_id = task["task_id"]
            seen = f"{task_id} of {owners.get(task_id)} is listed for {user.owner}."
            self.simulation.check(
                owners.get(task_id, user.owner) == user.owner, NEVER_MEET, seen, about=(task_id,)
            )

    def _look_at_what_others_see(self, user: User, task_id: str) -> None:
        """Another owner finds neither the task nor its session's tasks."""
        other = User(self.server, OTHER_OWNER if user.owner == LOCAL_OWNER else LOCAL_OWNER)
        address = f"/api/tasks/{task_id}"
        for reply in (other.request("GET", address), other.request("POST", f"{address}/cancel")):
            seen = f"{other.owner} is answered {reply} about {task_id} of {user.owner}."
            self.simulation.check(self._is_answer(reply.status, {404}), NEVER_MEET, seen, about=(task_id,))

    def _cancel(self, user: User, task_id: str) -> None:
        reply = user.request("POST", f"/api/tasks/{task_id}/cancel")
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
        return status in expected or (not self._trouble.smooth and (status == 503 or self._crashed(status)))

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
            running = list(self.server.system.invariants.runs.values())
            waited = 0 if running else waited + 1
            self.simulation.check(waited < 3, TURN_COMES, f"{unfinished} wait.", about=unfinished)
            for task in running:
                self._cancel(User(self.server, task.owner), task.task_id)
        self.simulation.check(False, NOTHING_LOST, f"{unfinished} do not end.", about=unfinished)

    def _status(self, task_id: str) -> str | None:
        rows = self._rows("SELECT status FROM tasks WHERE task_id = ?", task_id)
        return rows[0][0] if rows else None

    def _rows(self, query: str, *values: str) -> list[Any]:  # Any: columns of any type
        return self.store.raw.execute(query, values).fetchall()
