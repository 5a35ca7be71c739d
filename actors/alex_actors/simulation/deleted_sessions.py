"""Sessions that were deleted in a run: what is looked at when that happens, and when the run is over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from alex_actors.broadcaster_protocol import SessionTopic
from alex_actors.diagrams.trace import Fact
from alex_actors.simulation.steps import run_resource
from alex_actors.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alex_actors.broadcaster_protocol import PublishDeleted, Topic
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from alex_actors.store.erasing import Erasure
    from alex_actors.tasks import Task
    from alex_actors.values import SessionName

DELETED = "Of a session that is deleted nothing is left, nothing runs any more, and nothing comes back."
DELETED_BEFORE_TOLD = "That a session is deleted is told after it is, and then always."

TABLES = ("events", "tasks", "sessions")


class DeletedSession(Value, frozen=True):
    """A session that was deleted, and its events, in order, each with its task."""

    erasure: Erasure
    events: tuple[tuple[int, str], ...]


class DeletedSessions:
    """All of a run, as the commits had them."""

    def __init__(self, *, simulation: Simulation, store: SimulatedStore, runs: Mapping[object, Task]) -> None:
        """``runs`` are the agents that run."""
        self._check = simulation.check
        self._trace = simulation.trace
        self._raw = store.raw
        self._steps = simulation.scheduler.steps
        self._runs = runs
        self.sessions: list[DeletedSession] = []
        """In the order in which they were deleted."""
        self.tasks: set[str] = set()
        """Their tasks."""
        self.events: set[int] = set()
        """Their events."""
        self._told: Counter[SessionName] = Counter()
        self._discarded: set[int] = set()

    # While it runs.

    def erased(self, erasure: Erasure, events: tuple[tuple[int, str], ...]) -> None:
        """Look at a session whose deletion was committed just now."""
        self.sessions.append(DeletedSession(erasure, events))
        self.tasks.update(erasure.task_ids)
        self.events.update(event_id for event_id, _ in events)
        for task_id in erasure.task_ids:
            self._steps.touch(run_resource(task_id), write=False)
        working = [task.task_id for task in self._runs.values() if task.session_key == erasure.session_key]
        seen = f"{erasure.session_id} is deleted, and {working} runs."
        self._check(not working, DELETED, seen, about=(erasure.session_id, *working))
        self._look_for_rows(erasure)

    def told(self, message: PublishDeleted) -> None:
        """Look at a session of which those who follow it are told now that it is deleted."""
        session = message.context.session
        self._told[session] += 1
        seen = f"{message.session_id} is told to be deleted, and is not."
        self._check(self._deletions(session), DELETED_BEFORE_TOLD, seen, about=(message.session_id,))

    def discard(self, session_key: int) -> None:
        """Look at a session whose workspace is to be removed. This is what the server does it with."""
        self._discarded.add(session_key)
        gone = any(one.erasure.session_key == session_key for one in self.sessions)
        self._check(gone, DELETED, f"The workspace {session_key} is removed, and its session is there.")

    def copy(self, session_key: int, new_key: int, done: Callable[[Exception | None], None]) -> None:
        """Copy nothing: no simulated session has files."""
        self._check(new_key > session_key, DELETED, f"The workspace {new_key} of a fork is older than its source.")
        done(None)

    def agent_starts(self, task: Task) -> None:
        """Look whether an agent may start now."""
        about = (task.task_id,)
        self._check(task.task_id not in self.tasks, DELETED, f"{task.task_id} was deleted, and runs.", about=about)
        for other in self._runs.values():
            here, there = (task.owner, task.session_id), (other.owner, other.session_id)
            same = here != there or other.session_key == task.session_key
            seen = f"{task.task_id} starts while {other.task_id} of the session before runs."
            self._check(same, DELETED, seen, about=(task.task_id, other.task_id))

    # At the end.

    def asked_for(self) -> set[str]:
        """Return the sessions that somebody wanted to delete."""
        return {
            entry.what.fields["session_id"]
            for entry in self._trace
            if isinstance(entry.what, Fact) and entry.what.name == "session.deleting"
        }

    def histories(self, topic: Topic) -> list[list[int]]:
        """Return the events that a topic had, of each session that was deleted, in order."""
        if isinstance(topic, SessionTopic):
            return [
                [event_id for event_id, _ in one.events]
                for one in self.sessions
                if (one.erasure.owner, one.erasure.session_id) == (topic.owner, topic.session_id)
            ]
        found = [[event_id for event_id, task in one.events if task == topic.task_id] for one in self.sessions]
        return [history for history in found if history]

    def at_the_end(self, *, process_ended: bool) -> None:
        """Look whether it has stayed so; and was told, unless the process was killed before it could be."""
        for one in self.sessions:
            erasure = one.erasure
            self._look_for_rows(erasure)
            about = (erasure.session_id,)
            seen = f"{erasure.session_id} is deleted, and nobody was told."
            session = (erasure.owner, erasure.session_id)
            told = process_ended or self._told[session] >= self._deletions(session)
            self._check(told, DELETED_BEFORE_TOLD, seen, about=about)
            removed = process_ended or erasure.session_key in self._discarded
            seen = f"{erasure.session_id} is deleted, and its workspace {erasure.session_key} is left."
            self._check(removed, DELETED, seen, about=about)

    def _deletions(self, session: SessionName) -> int:
        return sum((one.erasure.owner, one.erasure.session_id) == session for one in self.sessions)

    def _look_for_rows(self, erasure: Erasure) -> None:
        for table in TABLES:
            query = f"SELECT count(*) FROM {table} WHERE session_key = ?"  # noqa: S608 - one of the names above
            (left,) = self._raw.execute(query, (erasure.session_key,)).fetchone()
            seen = f"{erasure.session_id} is deleted, and has {left} {table}."
            self._check(not left, DELETED, seen, about=(erasure.session_id,))
