"""A model of the server, as a client has it in mind: what it was told, and what must be so because of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from alex_actors.events import RecordedEvent
from alex_actors.tasks import UNFINISHED, Strategy, Task
from alex_actors.values import Owner, SessionId, TaskId

RANK = {"pending": 0, "running": 1}
TERMINAL = frozenset({"task_completed", "task_failed", "task_cancelled"})
TOKENS = 60
"""Of one step."""


@dataclass
class Known:
    """A task, as it was last seen."""

    task: Task
    strategy: Strategy
    steps: int
    answered: bool = False
    """Whether its client was told of it."""
    cancelled: bool = False
    """Whether somebody was told that it is."""
    events: list[RecordedEvent] = field(default_factory=list)

    def see(self, task: Task, events: list[RecordedEvent]) -> None:
        """Look at what it has become."""
        before, self.task = self.task, task
        assert (task.session_id, task.task) == (before.session_id, before.task)
        if before.status not in UNFINISHED:
            assert task == before, "What has ended does not change."
        assert RANK.get(task.status, 2) >= RANK.get(before.status, 2)
        assert task.current_iteration >= before.current_iteration
        assert task.tokens_used >= before.tokens_used
        assert events[: len(self.events)] == self.events, "Earlier events are as they were."
        self.events = events
        self._look_at_events()
        self._look_at_end()

    def _look_at_events(self) -> None:
        types = [event.event_type for event in self.events]
        ids = [event.event_id for event in self.events]
        ended = self.task.status not in UNFINISHED
        assert ids == sorted(set(ids))
        assert types[0] == "task_created"
        assert types.count("task_created") == 1
        assert types.count("task_started") <= 1
        assert [one for one in types if one in TERMINAL] == types[-1:] * ended, types
        assert types.count("iteration_complete") * TOKENS == self.task.tokens_used, types
        assert {event.session_id for event in self.events} == {self.task.session_id}

    def _look_at_end(self) -> None:
        task = self.task
        if self.cancelled:
            assert task.status == "cancelled"
        if task.status in UNFINISHED:
            assert (task.total_iterations, task.total_tokens, task.result) == (0, 0, None)
            return
        assert (task.total_iterations, task.total_tokens) == (task.current_iteration, task.tokens_used)
        assert (task.result is not None) == (task.status == "completed")
        if task.status == "completed":
            assert (task.total_iterations, task.total_tokens) == (self.steps, self.steps * TOKENS)
        if task.termination_reason == "timeout":
            assert task.timeout_seconds is not None

    def span(self) -> tuple[int, int] | None:
        """Return the ids of the events between which it ran: the first, and the last or 0. None: it did not."""
        started = [event.event_id for event in self.events if event.event_type == "task_started"]
        if not started:
            return None
        return started[0], self.ended_at

    @property
    def ended_at(self) -> int:
        """The id of its terminal event; 0 if it has none yet."""
        last = self.events[-1]
        return last.event_id if last.event_type in TERMINAL else 0


@dataclass
class Model:
    """All that clients know: tasks by owner and ID; what came of keys; whose deletion nobody knows the end of."""

    tasks: dict[tuple[Owner, TaskId], Known] = field(default_factory=dict)
    keys: dict[tuple[Owner, str], tuple[str, TaskId]] = field(default_factory=dict)
    doubtful: set[tuple[Owner, SessionId]] = field(default_factory=set)

    def of_session(self, owner: Owner, session_id: SessionId) -> list[Known]:
        """Return the tasks of a session, in the order of their confirmation."""
        found = [known for (whose, _), known in self.tasks.items() if whose == owner]
        return sorted(
            (known for known in found if known.task.session_id == session_id),
            key=lambda known: known.events[0].event_id,
        )

    def unfinished(self, owner: Owner, session_id: SessionId) -> list[Known]:
        """Return those of a session that had no end when they were last seen."""
        return [known for known in self.of_session(owner, session_id) if known.task.status in UNFINISHED]

    def forget(self, owner: Owner, session_id: SessionId) -> None:
        """Take a session for gone, with its tasks and what came of their keys."""
        gone = {known.task.task_id for known in self.of_session(owner, session_id)}
        self.tasks = {one: known for one, known in self.tasks.items() if one[1] not in gone}
        self.keys = {key: came for key, came in self.keys.items() if came[1] not in gone}
        self.doubtful.discard((owner, session_id))

    def look_at_line(self, owner: Owner, session_id: SessionId) -> None:
        """See that nothing ran beside a task that was before it in line, unless it is ``parallel``."""
        before: list[Known] = []
        for known in self.of_session(owner, session_id):
            span = known.span()
            if span is not None and known.strategy != "parallel":
                for other in before:
                    assert 0 < other.ended_at < span[0], "It started when all before it had ended."
            before.append(known)
