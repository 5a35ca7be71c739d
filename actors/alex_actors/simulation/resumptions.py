"""The runs of each task's agent, one after the other: what each was given and said, and what is recorded of it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from alex_actors.diagrams.trace import Fact
from alex_actors.events import EVENT_TYPES, TERMINAL, AnyEvent, TaskFailed, TaskResumed, TaskStarted, read_back
from alex_actors.tasks import UNFINISHED
from alex_actors.tracing.facts import GOES_ON, RECOVERED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from alex_actors.events import Stamped
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from alex_actors.tasks import Task

NOTHING_LOST = "A task that was answered for is recorded, and stays so; what its agent said is recorded in order."
ALL_LOGGED = "The log leaves out nothing that has happened to a task."
UNCHANGED = "What is recorded stays as it is, whatever process comes after."

STARTED, RESUMED = EVENT_TYPES[TaskStarted], EVENT_TYPES[TaskResumed]
TERMINAL_TYPES = frozenset(EVENT_TYPES[event] for event in TERMINAL)
STATUS = "SELECT task_id, status FROM tasks ORDER BY place"
EVENTS = (
    "SELECT event_id, event_type, body FROM events JOIN tasks USING (place) WHERE task_id = ? ORDER BY event_id"
)


class AgentRun(msgspec.Struct):
    """One run of a task's agent."""

    life: int
    """In which process, counted from 1."""
    begun_with: int
    """How many events its task had."""
    resumes: bool
    """Whether the agent goes on from what is recorded."""
    said: list[bytes] = msgspec.field(default_factory=list)
    """What the agent yielded, in order."""


class Life(msgspec.Struct):
    """One process, from its start until it is killed."""

    begun: int
    """How long the trace was then."""
    left: tuple[str, ...]
    """The tasks that it found unfinished."""
    resume: bool
    """Whether these are to go on."""
    up: bool = False
    """Whether its start was not cut off."""


class Resumptions:
    """All lives of the server in a run, and all runs of agents."""

    def __init__(self, *, simulation: Simulation, store: SimulatedStore, deleted: Collection[str]) -> None:
        """``deleted`` has the tasks that were deleted with their sessions."""
        self._check = simulation.check
        self._trace = simulation.trace
        self._raw = store.raw
        self._deleted = deleted
        self._runs: dict[str, list[AgentRun]] = {}
        self._recorded: dict[int, tuple[str, bytes]] = {}  # at the end of some process: of which task, and what
        self.lives: list[Life] = []

    # While it runs.

    def process_begins(self, *, resume: bool) -> None:
        """Take note that a process is started, on what is recorded."""
        left = tuple(task_id for task_id, status in self._raw.execute(STATUS) if status in UNFINISHED)
        self.lives.append(Life(len(self._trace), left, resume))

    def process_is_up(self) -> None:
        """Look whether the process has ended the tasks that it has found, if it was to."""
        life = self.lives[-1]
        life.up = True
        for task_id in () if life.resume else life.left:
            event = read_back(self._events(task_id)[-1][2])
            fine = isinstance(event, TaskFailed) and event.termination_reason == "interrupted"
            self._check(fine, GOES_ON, f"{task_id} was left, and its last event is {event}.", about=(task_id,))

    def process_ends(self) -> None:
        """Keep what is recorded: nothing of it may change any more."""
        rows = self._raw.execute("SELECT event_id, task_id, body FROM events JOIN tasks USING (place)").fetchall()
        self._recorded |= {event_id: (task_id, body) for event_id, task_id, body in rows}

    def agent_starts(self, task: Task, history: Sequence[AnyEvent]) -> None:
        """Look at what an agent is given of its task's events."""
        task_id = task.task_id
        rows, known = self._events(task_id), max(1, len(history))
        runs = self._runs.get(task_id, [])
        again = any(run.life == len(self.lives) for run in runs)
        self._check(not again, GOES_ON, f"{task_id} begins twice in one process.", about=(task_id,))
        # What opens this run is sent already, and may be recorded.
        own = [kind for _, kind, _ in rows[known:]] in ([], [STARTED if known == 1 else RESUMED])
        expected = [read_back(body) for _, _, body in rows[:known]] if known > 1 else []
        types = ", ".join(kind for _, kind, _ in rows)
        seen = f"{task_id} is given {len(history)} events; recorded are {types}."
        self._check(own and list(history) == expected, GOES_ON, seen, about=(task_id,))

    def agent_has_started(self, task: Task, history: Sequence[AnyEvent], *, resumes: bool) -> None:
        """Take note of a run that begins."""
        run = AgentRun(len(self.lives), max(1, len(history)), resumes)
        self._runs.setdefault(task.task_id, []).append(run)

    def said(self, task: Task, events: Sequence[Stamped]) -> None:
        """Take note of what a task's agent yields, in order."""
        if runs := self._runs.get(task.task_id):
            runs[-1].said.extend(one.body for one in events)

    # At the end.

    def at_the_end(self) -> None:
        """Look at all that is recorded, when nothing goes on any more."""
        for (task_id,) in self._raw.execute("SELECT task_id FROM tasks ORDER BY place").fetchall():
            self._look_at_runs(task_id)
        now = dict(self._raw.execute("SELECT event_id, body FROM events").fetchall())
        for event_id, (task_id, body) in self._recorded.items():
            seen = f"Event {event_id} of {task_id} was {body!r}, and is {now.get(event_id)!r}."
            same = task_id in self._deleted or now.get(event_id) == body
            self._check(same, UNCHANGED, seen, about=(task_id,))
        if len(self.lives) > 1:
            self._look_at_log()

    def _look_at_runs(self, task_id: str) -> None:
        """What is recorded of a task are its runs, one after the other, each as far as it was committed."""
        rows, runs, about = self._events(task_id), self._runs.get(task_id, []), (task_id,)
        types = [kind for _, kind, _ in rows]
        end = len(rows) - (types[-1] in TERMINAL_TYPES if rows else 0)
        ends = [*(run.begun_with for run in runs[1:]), end][: len(runs)]
        for run, following in zip(runs, ends, strict=True):
            until = following
            own = types[run.begun_with : run.begun_with + 1] if until > run.begun_with else []
            opened = STARTED if run.begun_with == 1 else RESUMED
            self._check(own in ([], [opened]), GOES_ON, f"{task_id}: {', '.join(types)}.", about=about)
            while until > run.begun_with + 1 and types[until - 1] == RESUMED:
                until -= 1  # of a process that was killed between that and the agent's start
            recorded = [body for _, _, body in rows[run.begun_with + 1 : until]]
            said = run.said
            whole = run is runs[-1] and types[-1:] == ["task_completed"]
            seen = f"The agent of {task_id} said {said}; of that is recorded {recorded}."
            self._check(recorded == (said if whole else said[: len(recorded)]), NOTHING_LOST, seen, about=about)
            if run.begun_with > 1 and not run.resumes:
                seen = f"The agent of {task_id} cannot go on, and did: {', '.join(types)}."
                self._check(not said and not whole, GOES_ON, seen, about=about)
        if not runs:
            self._check({*types[1:end]} <= {STARTED, RESUMED}, NOTHING_LOST, f"{task_id}: {types}.", about=about)
        self._look_at_interruption(task_id, runs, rows)

    def _look_at_interruption(
        self, task_id: str, runs: Sequence[AgentRun], rows: Sequence[tuple[int, str, bytes]]
    ) -> None:
        event = read_back(rows[-1][2]) if rows else None
        if not isinstance(event, TaskFailed) or event.termination_reason != "interrupted":
            return
        cannot = bool(runs) and runs[-1].begun_with > 1 and not runs[-1].resumes
        ended_at_start = any(task_id in life.left and not life.resume for life in self.lives)
        self._check(cannot or ended_at_start, GOES_ON, f"{task_id} ended as interrupted.", about=(task_id,))

    def _look_at_log(self) -> None:
        """Each process tells once of each task that it has found; a store that crashes may be at it again."""
        for life, until in zip(
            self.lives, [*(one.begun for one in self.lives[1:]), len(self._trace)], strict=True
        ):
            told: Counter[str] = Counter()
            crashed = not life.up
            for entry in itertools.islice(self._trace, life.begun, until):
                if isinstance(entry.what, Fact) and entry.what.name == RECOVERED:
                    told[entry.what.fields["task_id"]] += 1
                crashed = crashed or (entry.kind == "crashed" and not entry.who.startswith("AgentActor("))
            seen = f"Found were {life.left}; the log tells of {dict(told)}."
            fine = set(told) <= set(life.left) if crashed else told == Counter(life.left)
            self._check(fine, ALL_LOGGED, seen, about=life.left)

    def _events(self, task_id: str) -> list[tuple[int, str, bytes]]:
        return self._raw.execute(EVENTS, (task_id,)).fetchall()
