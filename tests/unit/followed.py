"""A store and a broadcaster whose every step is the test's to take, and a reader who follows their events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pykka

from alex_actors.actor import PooledActor
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import BroadcasterMessage, SessionTopic, TaskTopic, Topic
from alex_actors.events import AnyEvent, RecordedEvent, TaskAnalysis
from alex_actors.following import Following, Followings
from alex_actors.mailbox import mailbox_of
from alex_actors.messages import tell
from alex_actors.store.database import open_readers
from alex_actors.store.reader import StoreReader
from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId
from tests.unit.stepping import SteppedDispatcher
from tests.unit.store_under_test import HOME, StoreUnderTest

T1, T2 = TaskTopic(TaskId("t1")), TaskTopic(TaskId("t2"))
SESSION = SessionTopic(HOME)


def said(goal: str) -> TaskAnalysis:
    """Return an event of about that many bytes."""
    return TaskAnalysis(action_name="", goal=goal)


class RebuiltBroadcaster(PooledActor):
    """A broadcaster that can be rebuilt in place: under the same ref and mailbox, and without listeners."""

    def __init__(self, make: Callable[[], BroadcasterActor]) -> None:
        super().__init__()
        self._make = make
        self.inner = make()

    def on_receive(self, message: BroadcasterMessage) -> None:
        """Have the broadcaster of the moment handle it."""
        self.inner.on_receive(message)

    def rebuild(self) -> None:
        """Replace it."""
        self.inner = self._make()


class WatchedReader(StoreReader):
    """Counts the pages that are read, and lets something happen before or after the next one."""

    def __init__(self, path: Path) -> None:
        self.engine = open_readers(path, connections=1)
        super().__init__(engine=self.engine)
        self.pages = 0
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def events(
        self,
        task_id: TaskId,
        *,
        after: int,
        limit: int,
        most_bytes: int | None = None,
        owner: Owner = LOCAL_OWNER,
    ) -> tuple[RecordedEvent, ...] | None:
        """Read a page of a task."""
        read = super().events
        return self._watched(lambda: read(task_id, after=after, limit=limit, most_bytes=most_bytes, owner=owner))

    def session_events(
        self,
        session_id: SessionId,
        *,
        after: int,
        limit: int,
        most_bytes: int | None = None,
        key: int | None = None,
        owner: Owner = LOCAL_OWNER,
    ) -> tuple[RecordedEvent, ...] | None:
        """Read a page of a session."""
        read = super().session_events
        return self._watched(
            lambda: read(session_id, after=after, limit=limit, most_bytes=most_bytes, key=key, owner=owner)
        )

    def _watched(self, read: Callable[[], tuple[RecordedEvent, ...] | None]) -> tuple[RecordedEvent, ...] | None:
        self.pages += 1
        before, self.before = self.before, lambda: None
        before()
        page = read()
        after, self.after = self.after, lambda: None
        after()
        return page


class Follower:
    """Takes when it is woken, until there is nothing; as whatever serves a stream does."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.following: Following
        self.woken = 0
        self.taken: list[int] = []
        self._due = False

    def wake(self) -> None:
        """Note that there may be something."""
        self.woken += 1
        self._due = True

    def take(self) -> list[int]:
        """Take once, woken or not. Returns the ids."""
        taken = [event.event_id for event in self.following.take(self.limit)]
        self.taken += taken
        self._due = self._due or bool(taken)
        return taken

    def serve(self) -> None:
        """Take for as long as there is a reason to."""
        while self._due:
            self._due = False
            self.take()


class Followed:
    """A store over a real file, and a broadcaster. Nothing that is committed is broadcast before ``handle``."""

    def __init__(self, path: Path) -> None:
        self.under = StoreUnderTest(path)
        self.reader = WatchedReader(path)
        self._dispatcher = SteppedDispatcher()
        self._broadcaster = RebuiltBroadcaster(lambda: BroadcasterActor(log=self.under.log.logger))
        self.ref: pykka.ActorRef[Any] = self._dispatcher.spawn(lambda: self._broadcaster)  # Any: a stand-in
        self.followings = Followings(reader=self.reader, broadcaster=self.ref)
        self._recorded: dict[str, int] = {}

    def create(self, *task_ids: str, session_id: str = HOME) -> None:
        """Have tasks recorded; that is published."""
        for task_id in task_ids:
            self.under.create(task_id, session_id=session_id)
        self._commit()

    def commit(self, task_id: str, *events: AnyEvent) -> None:
        """Have events recorded, in one transaction; the broadcaster is sent them, and has yet to handle it."""
        first = self._recorded.get(task_id, 0) + 1
        self._recorded[task_id] = first + len(events) - 1
        self.under.record(task_id, first, *events)
        self._commit()

    def erase(self, *, published: bool = True) -> None:
        """Have the session deleted; unless ``published``, the broadcaster is not sent that."""
        self.under.erase()
        self.under.run()
        for message in self.under.broadcaster.take():
            if published:
                tell(self.ref, message)

    def _commit(self) -> None:
        self.under.run()
        for message in self.under.broadcaster.take():
            tell(self.ref, message)

    def handle(self) -> None:
        """Let the broadcaster handle its next message."""
        self._dispatcher.handle(self.ref)

    @property
    def waiting(self) -> int:
        """How many messages wait for the broadcaster."""
        return len(mailbox_of(self.ref))

    def broadcast(self) -> None:
        """Let the broadcaster handle all its messages."""
        self._dispatcher.run()

    def rebuild_broadcaster(self) -> None:
        """Do what happens when the broadcaster has crashed."""
        self._broadcaster.rebuild()
        self.followings.resubscribe_all()

    def follow(self, topic: Topic, *, after: int = 0, limit: int = 100) -> Follower:
        """Follow a topic; the broadcaster has yet to handle the subscription."""
        owner = Follower(limit)
        owner.following = self.followings.follow(topic, after=after, wake=owner.wake)
        return owner

    def live(self, topic: Topic, *, limit: int = 100) -> Follower:
        """Follow a topic from where the log is now, with all taken."""
        owner = self.follow(topic, after=self.last_id(), limit=limit)
        self.broadcast()
        owner.serve()
        return owner

    def last_id(self) -> int:
        """Return the id of the last recorded event."""
        return max(self.under.store.event_ids(), default=0)

    def recorded(self, topic: Topic) -> list[int]:
        """Return the ids of all recorded events of a topic."""
        reader = self.under.store.reader
        if isinstance(topic, TaskTopic):
            events = reader.events(topic.task_id, after=0, limit=10_000)
        else:
            events = reader.session_events(topic.session_id, after=0, limit=10_000)
        return [event.event_id for event in events or ()]

    @property
    def registrations(self) -> int:
        """How many topics the broadcaster has listeners for."""
        return len(self._broadcaster.inner._listeners)

    def close(self) -> None:
        """Close the files."""
        self.reader.engine.dispose()
        self.under.close()
