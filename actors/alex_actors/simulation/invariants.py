"""What always holds of tasks, sessions and their events: looked at while a simulation runs, and when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alex_actors.diagrams.trace import Fact
from alex_actors.events import read_back
from alex_actors.projection import Progress, advance
from alex_actors.simulation.confirmations import Confirmation, Confirmations
from alex_actors.simulation.deleted_sessions import DeletedSessions
from alex_actors.simulation.families import Families
from alex_actors.simulation.resumptions import ALL_LOGGED, NOTHING_LOST, TERMINAL_TYPES, Resumptions
from alex_actors.simulation.steps import run_resource
from alex_actors.simulation.store import event_resource, task_resource
from alex_actors.task_store_protocol import Create
from alex_actors.tasks import UNFINISHED, Status
from alex_actors.tracing.facts import (
    ALL_TOLD,
    ALWAYS_LOGGED,
    FACTS,
    IN_LINE,
    ONE_END,
    ONE_SESSION,
    RECORDED_FIRST,
    RECOVERED,
)
from alex_actors.values import Timestamp, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from alex_actors.events import AnyEvent, RecordedEvent
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from alex_actors.tasks import Task

RECORDED_BEFORE_TOLD = (
    "An event is recorded before anyone is told of it, and a task's state is that of its events."
)
EACH_ONCE = "A stream has each event of its task or session once, in order, from the position that was asked for."
ASKED_FOR = (
    "A task is cancelled only if somebody asks for it: a client, who deletes its session or not, or a later task "
    "that is to `interrupt`."
)
NEVER_FAILED_UNSTARTED = (
    "A task fails before it has started only if its actor crashes, or a process left it and it is not to go on."
)
NOTHING_LEFT = "What has ended leaves nothing behind: no actor, no timer, no entry in any table."

RANKS = {"pending": 0, "running": 1}
"""How far a status is; those that are not here are ends."""

STATE = (
    "status", "started_at", "completed_at", "current_iteration", "total_iterations", "tokens_used", "total_tokens",
    "cost_usd", "error", "termination_reason", "answer", "stop_reason",
)  # fmt: skip
"""The columns of a task that its events change."""


class Seen(Value, frozen=True):
    """A task as somebody was told of it."""

    task_id: str
    session_id: str
    status: Status
    current_iteration: int
    tokens_used: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.status} at iteration {self.current_iteration} with {self.tokens_used} tokens"


class Invariants:
    """Looks at what is recorded, past all faults, and finds what must not be."""

    def __init__(self, *, simulation: Simulation, store: SimulatedStore) -> None:
        self._check = simulation.check
        self._trace = simulation.trace
        self._raw = store.raw
        self._steps = simulation.scheduler.steps
        self.runs: dict[object, Task] = {}
        """The agents that run."""
        self._scheduler = simulation.scheduler
        self._seen: dict[tuple[str, str], Seen] = {}  # by whom, and of which task
        self._told: list[int] = []
        self._telling: Sequence[RecordedEvent] = ()
        self._process_ended = False
        self._ended: dict[str, int] = {}  # how long the trace was when a task's end was committed
        self._confirmed = Confirmations(simulation=simulation, store=store, ended=self._ended)
        self.deleted = DeletedSessions(simulation=simulation, store=store, runs=self.runs)
        self.resumptions = Resumptions(simulation=simulation, store=store, deleted=self.deleted.tasks)
        self.families = Families(simulation=simulation, store=store, runs=self.runs)

    # While it runs.

    def agent_starts(self, task: Task, history: Sequence[AnyEvent]) -> None:
        """Look whether an agent may start now, with its task's events as it is given them."""
        self._touch_task(task.task_id)
        about = (task.task_id,)
        self._check(task.session_id, ONE_SESSION, f"{task.task_id} runs without a session.", about=about)
        row = self._raw.execute(
            "SELECT session_id, sessions.owner, place, session_key, status FROM tasks "
            "JOIN sessions USING (session_key) WHERE task_id = ?",
            (task.task_id,),
        ).fetchone()
        self._check(row, RECORDED_FIRST, f"{task.task_id} runs, and is not recorded.", about=about)
        if row is None:
            return
        session_id, owner, place, key, status = row
        seen = f"{task.task_id} runs in {task.session_id!r}, and is recorded in {session_id!r}."
        self._check((session_id, owner) == (task.session_id, task.owner), ONE_SESSION, seen, about=about)
        self._check(status in UNFINISHED, ONE_END, f"{task.task_id} starts, and is {status}.", about=about)
        twice = any(other.task_id == task.task_id for other in self.runs.values())
        self._check(not twice, ONE_END, f"{task.task_id} runs twice at once.", about=about)
        self.resumptions.agent_starts(task, history)
        self.deleted.agent_starts(task)
        self.families.agent_starts(task)
        for other in self.runs.values():
            late = other.session_key == key and other.place > place and other.strategy != "parallel"
            seen = f"{task.task_id} starts while {other.task_id} runs, which was confirmed later."
            self._check(not late, IN_LINE, seen, about=(task.task_id, other.task_id))
        if task.strategy != "parallel":
            self._look_at_line(task.task_id, place, key)

    def _look_at_line(self, task_id: str, place: int, session_key: int) -> None:
        running = {task.task_id for task in self.runs.values()}
        before = self._raw.execute(
            "SELECT task_id, status FROM tasks WHERE session_key = ? AND place < ?", (session_key, place)
        )
        for other, status in before.fetchall():
            about = (task_id, other)
            self._touch_task(other)
            self._check(
                status not in UNFINISHED, IN_LINE, f"{task_id} starts, and {other} is {status}.", about=about
            )
            self._check(
                other not in running, IN_LINE, f"{task_id} starts while {other}'s agent runs.", about=about
            )

    def process_ends(self) -> None:
        """Take note that the process is killed: with it go its agents, and what it had yet to tell."""
        self.runs.clear()
        self.resumptions.process_ends()
        self.families.process_ends()
        self._process_ended = True

    def told(self, events: Sequence[RecordedEvent]) -> None:
        """Look at events of which others are told now; the same ones again if who is to tell them has crashed."""
        again, self._telling = events is self._telling, events
        for event in () if again else events:
            before = self._told[-1] if self._told else 0
            seen = f"Event {event.event_id} is told after {before}."
            self._check(event.event_id > before, ALL_TOLD, seen, about=(event.task_id,))
            self._told.append(event.event_id)
        for event in events:
            self._steps.touch(event_resource(event.event_id), write=False)
            self.families.told(event)
            about = (event.task_id,)
            row = self._raw.execute(
                "SELECT task_id, session_id, body FROM events JOIN tasks USING (place) "
                "JOIN sessions ON sessions.session_key = events.session_key WHERE event_id = ?",
                (event.event_id,),
            ).fetchone()
            seen = f"Event {event.event_id} ({event.event_type} of {event.task_id}) is told, and not recorded."
            was_there = row or event.event_id in self.deleted.events
            self._check(was_there, RECORDED_BEFORE_TOLD, seen, about=about)
            if row is not None:
                same = row[:2] == (event.task_id, event.session_id)
                told = f"told of {event.task_id} in {event.session_id!r}"
                seen = f"Event {event.event_id} is {told}, and recorded of {row[0]} in {row[1]!r}."
                self._check(same, ONE_SESSION, seen, about=about)

    def written(self, task_ids: Collection[str]) -> None:
        """Look at tasks whose state was committed just now."""
        for task_id in task_ids:
            if self._look_at_state(task_id) not in UNFINISHED:
                self._ended.setdefault(task_id, len(self._trace))

    def _touch_task(self, task_id: str) -> None:
        """Say that this depends on the task's record, and on whether its agent runs."""
        self._steps.touch(task_resource(task_id), write=False)
        self._steps.touch(run_resource(task_id), write=False)

    def answered(self, seen: Seen) -> None:
        """Look at a task as somebody is told of it: with a submit's answer, or when it is read."""
        about = (seen.task_id,)
        self._check(seen.session_id, ONE_SESSION, f"{seen.task_id} is told without a session.", about=about)
        # What somebody else has been told since is known to nobody: answers may overtake each other.
        who = (self._scheduler.speaker, seen.task_id)
        before = self._seen.setdefault(who, seen)
        same = before.session_id == seen.session_id
        self._check(
            same,
            ONE_SESSION,
            f"{seen.task_id} was in {before.session_id!r}, then in {seen.session_id!r}.",
            about=about,
        )
        self._check(_forward(before, seen), ONE_END, f"{seen.task_id} was {before}, then {seen}.", about=about)
        self._seen[who] = seen

    # At the end.

    def at_the_end(self) -> None:
        """Look at all that is recorded, when nothing goes on any more."""
        recorded: dict[str, str] = {}
        for task_id, session_id in self._raw.execute(
            "SELECT task_id, session_id FROM tasks JOIN sessions USING (session_key) ORDER BY place"
        ).fetchall():
            recorded[task_id] = session_id
            self._look_at_history(task_id)
            self._look_at_state(task_id)
        self.deleted.at_the_end(process_ended=self._process_ended)
        self.resumptions.at_the_end()
        self.families.at_the_end()
        for (_, task_id), task in self._seen.items():
            if task_id in self.deleted.tasks:
                continue
            seen = (
                f"{task_id} was answered for in {task.session_id!r}, and is recorded in {recorded.get(task_id)!r}."
            )
            self._check(task_id in recorded, NOTHING_LOST, seen, about=(task_id,))
            self._check(recorded.get(task_id) == task.session_id, ONE_SESSION, seen, about=(task_id,))
        self._look_at_log(recorded)
        self._look_at_cancels()
        self._confirmed.look()
        if not self._process_ended:
            rows = self._raw.execute("SELECT event_id FROM events ORDER BY event_id").fetchall()
            recorded_ids = sorted([*(row[0] for row in rows), *self.deleted.events])
            seen = f"Told are {self._told}; recorded are, or were, {recorded_ids}."
            self._check(self._told == recorded_ids, ALL_TOLD, seen)

    def _look_at_history(self, task_id: str) -> None:
        types = [row[0] for row in self._events(task_id)]
        about, seen = (task_id,), f"{task_id}: {', '.join(types)}."
        first = types[:1] == ["task_created"] and types.count("task_created") == 1
        self._check(first, RECORDED_FIRST, seen, about=about)
        started = types.count("task_started") <= 1 and (len(types) < 3 or types[1] == "task_started")
        self._check(started, NOTHING_LOST, seen, about=about)
        if types[1:] == ["task_failed"] and all(life.resume for life in self.resumptions.lives):
            crashed = any(one.kind == "crashed" and one.who == f"AgentActor({task_id})" for one in self._trace)
            self._check(crashed, NEVER_FAILED_UNSTARTED, seen, about=about)
        ends = [kind for kind in types if kind in TERMINAL_TYPES]
        self._check(len(ends) == 1 and ends == types[-1:], ONE_END, seen, about=about)

    def _look_at_state(self, task_id: str) -> Status:
        """A task's state is what its recorded events make of it. Returns what these make its status."""
        row = self._raw.execute(
            f"SELECT {', '.join(STATE)} FROM tasks WHERE task_id = ?",  # noqa: S608 - the names above
            (task_id,),
        ).fetchone()
        progress = Progress()
        for _, at, body in self._events(task_id):
            progress = advance(progress, Timestamp(at), read_back(body))
        for name, value in zip(STATE, row or (), strict=False):
            expected = getattr(progress, name)
            seen = f"{task_id} has {name} {value!r}; its events make it {expected!r}."
            self._check(value == expected, RECORDED_BEFORE_TOLD, seen, about=(task_id,))
        return progress.status

    def _look_at_log(self, recorded: dict[str, str]) -> None:
        """The log of a process tells each fact once, in the order of cause and effect, with the recorded IDs."""
        told: dict[str, list[str]] = {task_id: [] for task_id in recorded}
        void = self._void_confirmations()
        begins = {life.begun for life in self.resumptions.lives[1:]}
        for entry in self._trace:
            if entry.index in begins:
                self._look_at_facts(told)
                told = {}
            if not isinstance(entry.what, Fact) or entry.index in void:
                continue
            task_id = entry.what.fields.get("task_id")
            if task_id not in recorded:
                continue
            session_id = entry.what.fields.get("session_id", recorded[task_id])
            seen = f"{task_id} is in {recorded[task_id]!r}; the log says: {entry.what}."
            self._check(session_id == recorded[task_id], ONE_SESSION, seen, about=(task_id,))
            facts, name = told.setdefault(task_id, []), entry.what.name
            if name in FACTS and (name != RECOVERED or RECOVERED not in facts):  # a store that crashed repeats it
                facts.append(name)
        self._look_at_facts(told)

    def _look_at_facts(self, told: Mapping[str, Sequence[str]]) -> None:
        for task_id, facts in told.items():
            ordered = facts == [fact for fact in FACTS if fact in facts]
            seen = f"The log of {task_id}: {', '.join(facts)}."
            self._check(ordered, RECORDED_FIRST, seen, about=(task_id,))
            complete = self._process_ended or set(facts) >= ALWAYS_LOGGED
            self._check(complete, ALL_LOGGED, seen, about=(task_id,))

    def _void_confirmations(self) -> set[int]:
        """Return the trace's entries of confirmations that nobody got: their actor crashed before it answered."""
        void: set[int] = set()
        got: set[int] = set()  # the last before a Create: no entry tells that the answer has come
        stated: dict[str, list[int]] = {}
        last: dict[str, int] = {}
        for entry in self._trace:
            if entry.kind in ("handled", "answered"):
                stated[entry.who] = []
            elif entry.kind == "crashed":
                void.update(stated.pop(entry.who, ()))
            elif entry.kind == "sent" and isinstance(entry.what, Create):
                got.add(last.get(entry.what.task_id, entry.index))
            elif isinstance(entry.what, Fact) and entry.what.name == "session.confirmed":
                stated.setdefault(entry.who, []).append(entry.index)
                last[entry.what.fields["task_id"]] = entry.index
        return void - got

    def _look_at_cancels(self) -> None:
        asked = {
            entry.what.fields["task_id"]
            for entry in self._trace
            if isinstance(entry.what, Fact) and entry.what.name == "task.cancel_requested"
        }
        cancelled = self._raw.execute(
            "SELECT task_id, session_id FROM tasks JOIN sessions USING (session_key) WHERE status = 'cancelled' "
            "AND parent_task_id IS NULL "  # else it may be since its parent has ended
            "AND NOT EXISTS (SELECT 1 FROM tasks AS later WHERE later.session_key = tasks.session_key "
            "AND later.place > tasks.place AND later.strategy = 'interrupt')"
        )
        deleting = self.deleted.asked_for()
        for task_id, session_id in cancelled.fetchall():
            self._check(
                task_id in asked or session_id in deleting,
                ASKED_FOR,
                f"Nobody asked for {task_id}'s end.",
                about=(task_id,),
            )

    def confirmations(self) -> list[Confirmation]:
        """Return how each task that is recorded was confirmed, in the order of their places."""
        return self._confirmed.all()

    def _events(self, task_id: str) -> list[tuple[str, str, bytes]]:
        """Return the type, time and body of a task's recorded events, in order."""
        return self._raw.execute(
            "SELECT event_type, timestamp, body FROM events JOIN tasks USING (place) WHERE task_id = ? "
            "ORDER BY event_id",
            (task_id,),
        ).fetchall()


def _forward(before: Seen, after: Seen) -> bool:
    """Whether a task that was seen one way may be seen the other way later."""
    if before.status not in RANKS:
        return after == before
    return (
        RANKS.get(after.status, 2) >= RANKS[before.status]
        and after.current_iteration >= before.current_iteration
        and after.tokens_used >= before.tokens_used
    )
