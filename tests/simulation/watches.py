"""Clients that follow a task or a session, and what each must have received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.broadcaster_protocol import TaskTopic, Topic
from alex_actors.simulation.invariants import EACH_ONCE

if TYPE_CHECKING:
    from alex_actors.simulation.deleted_sessions import DeletedSessions
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation

STREAM_ENDS = "A stream ends when its session is deleted, and only then before its time."

EVENTS_OF_TASK = "SELECT event_id FROM events JOIN tasks USING (place) WHERE task_id = ? ORDER BY event_id"
EVENTS_OF_SESSION = (
    "SELECT event_id FROM events JOIN sessions USING (session_key) "
    "WHERE sessions.owner = ? AND session_id = ? ORDER BY event_id"
)


class Watch(msgspec.Struct):
    """What somebody has received who follows a topic."""

    topic: Topic
    start: int
    received: list[int] = msgspec.field(default_factory=list)
    connected: int = 0
    """How many of these came before the last connection."""
    over: bool = False
    deleted: bool = False
    """Whether it was over because the session was deleted."""

    @property
    def position(self) -> int:
        """The id to go on after."""
        return self.received[-1] if self.received else self.start


class Watches:
    """All of a run."""

    def __init__(self, simulation: Simulation, store: SimulatedStore, deleted: DeletedSessions) -> None:
        self._check = simulation.check
        self._raw = store.raw
        self._deleted = deleted
        self._open: list[Watch] = []

    def begin(self, topic: Topic, start: int) -> Watch:
        """Have somebody follow a topic."""
        watch = Watch(topic, start)
        self._open.append(watch)
        return watch

    def look_at_all(self) -> None:
        """Look at each."""
        for watch in self._open:
            self.look_at(watch)

    def look_at(self, watch: Watch) -> None:
        """Look at what it has received: of each session that was deleted the first events, else all of them."""
        histories = [*self._deleted.histories(watch.topic), self._recorded(watch.topic)]
        histories = [[event_id for event_id in one if event_id > watch.start] for one in histories]
        got = [[event_id for event_id in watch.received if event_id in one] for one in histories]
        expected = [one[: len(part)] for one, part in zip(histories, got, strict=True)]
        if not watch.deleted:
            expected[-1] = histories[-1]
        seen = f"After {watch.start} of {watch.topic}: got {watch.received}; recorded are, or were, {histories}."
        self._check(watch.received == [event_id for one in expected for event_id in one], EACH_ONCE, seen)
        last = watch.received[watch.connected :]
        ends = watch.over or self._deleted.events.isdisjoint(last)
        self._check(ends, STREAM_ENDS, f"It goes on. {seen}")
        self._check(not watch.deleted or self._may_be_deleted(watch.topic), STREAM_ENDS, f"It has ended. {seen}")

    def _may_be_deleted(self, topic: Topic) -> bool:
        if isinstance(topic, TaskTopic):
            return topic.task_id in self._deleted.tasks
        session = (topic.owner, topic.session_id)
        return any((one.erasure.owner, one.erasure.session_id) == session for one in self._deleted.sessions)

    def _recorded(self, topic: Topic) -> list[int]:
        rows: list[Any]  # Any: columns of any type
        if isinstance(topic, TaskTopic):
            rows = self._raw.execute(EVENTS_OF_TASK, (topic.task_id,)).fetchall()
        else:
            rows = self._raw.execute(EVENTS_OF_SESSION, (topic.owner, topic.session_id)).fetchall()
        return [row[0] for row in rows]
