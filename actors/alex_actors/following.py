"""Following a task's or a session's events: a position in the log, from the store, then live, each event once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, assert_never

from alex_actors.broadcaster_protocol import SessionTopic, Subscribe, TaskTopic, Unsubscribe
from alex_actors.messages import tell
from alex_actors.store.queries import TERMINAL_TYPES
from alex_actors.values import Context

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from alex_actors.broadcaster_actor import BroadcasterActor
    from alex_actors.broadcaster_protocol import Topic
    from alex_actors.events import RecordedEvent
    from alex_actors.store.reader import StoreReader

LARGEST_STRETCH = 65_536
"""Bytes of events' bodies that wait to be taken. 10,000 followers that do not take, of a topic each, hold 655 MB
at most; a follower that keeps up has a few hundred bytes here, and one that does not reads from the store."""

LONGEST_STRETCH = 256
"""Events that wait to be taken: four times what an agent yields ahead of the commit. Bounds what an event takes
beside its body, about as much again."""

MOST_BYTES = 45_056
"""Bytes of events' bodies that are taken at once; one event more, if they are not that many yet. With what frames
add to them, up to 320 bytes each, a stream's 64 events come to less than 64 KiB, beside the last one."""


class _Stretch:
    """All events of a topic that are published from some moment on, as far as they are not taken yet."""

    def __init__(self) -> None:
        self._events: deque[RecordedEvent] = deque()
        self._bytes_added = 0  # written by the broadcaster alone
        self._bytes_taken = 0  # written by the owner alone: so none is lost, and the difference is never too small

    def has_room_for(self, event: RecordedEvent) -> bool:
        """Return whether one more event may wait."""
        size = self._bytes_added - self._bytes_taken + len(event.body)
        return size <= LARGEST_STRETCH and len(self._events) < LONGEST_STRETCH

    def add(self, event: RecordedEvent) -> None:
        """Have an event wait. For the broadcaster's thread."""
        self._bytes_added += len(event.body)
        self._events.append(event)

    def take(self) -> RecordedEvent:
        """Remove the first event. There must be one. For the owner's thread."""
        event = self._events.popleft()
        self._bytes_taken += len(event.body)
        return event

    def __bool__(self) -> bool:
        """Return whether an event waits."""
        return bool(self._events)


class Following:
    """A position in the events of a topic. Gives each event above it once, in order.

    ``take`` is its owner's, one thread at a time; the broadcaster calls ``subscribed`` and ``published`` on its
    own. A following is in one of three states:

    * waiting: not subscribed yet. What is taken comes from the store.
    * behind: subscribed since some moment, from which on a stretch of what is published is kept. What is taken
      comes from the store until a page is not full that was read after that moment: nothing that was committed
      before the stretch is then missing, and the following joins it.
    * live: joined. What is taken comes from memory; what is there twice (from the page, or published again by a
      store that was rebuilt) is known by its id, which is not above the position.

    A stretch that grows too large is dropped for a new one, and so is every stretch when the subscription is
    acknowledged anew: the following is behind then, and the events between are in the store.

    When the session is deleted, one that is live gives what it has, and one that is not gives nothing more: what
    is not in memory is gone. Then it is ``session_deleted``, also if another session is made under the ID.

    No lock is needed, for two reasons, both resting on each read and write of an attribute being atomic and
    in program order, as they are under the GIL. A stretch is only added to by the broadcaster and only taken from
    by the owner, and whoever replaces it replaces it whole. And who may miss the other looks after it has
    written: see ``take``.
    """

    def __init__(self, *, topic: Topic, after: int, reader: StoreReader, wake: Callable[[], None]) -> None:
        self.topic = topic
        self.position = after
        """The id of the last event that was taken; what is at or below it is never given."""
        self.ended = False
        """Whether this was a task's topic, and its terminal event is taken or at most at the position."""
        self.missing = False
        """Whether the store had no such task or session when it was last read."""
        self.session_deleted = False
        """Whether the session was deleted, and what there was to take of it in memory is taken."""
        self._reader = reader
        self._wake = wake
        self._stretch: _Stretch | None = None  # written by the broadcaster alone
        self._joined: _Stretch | None = None  # the owner's alone, as all above
        self._idle = True
        self._silent = False
        self._there = False  # whether there was such a task or session at some time
        self._gone = False  # and that it is deleted: only ever set, by the broadcaster or the owner
        self._key: int | None = None  # of the session: what is made anew under its ID is another

    # Called by its owner.

    @property
    def behind(self) -> bool:
        """Whether ``take`` reads the store next, which takes its time."""
        return self._stretch is None or self._stretch is not self._joined

    def take(self, limit: int) -> tuple[RecordedEvent, ...]:
        """Return what comes next, at least one event and at most ``limit`` (1 or more), or nothing.

        More than MOST_BYTES only if the last of them, or the only one, is so large.

        After nothing, ``wake`` is called once when there may be something; after something, take again. ``wake``
        is called on the broadcaster's thread: it must not block, nor raise. It may be for nothing.
        Raises what the store raises (SQLAlchemyError): nothing is lost then, but nobody wakes: take again later.
        """
        if limit < 1:
            msg = f"limit is {limit}; 1 or more is possible."
            raise ValueError(msg)
        self._idle = False
        while not (self.ended or self.session_deleted or self._silent):
            gone = self._gone  # before a look: what was published before it is in memory by now
            if events := self._next(limit):
                return tuple(events)
            self.session_deleted = gone
            # The owner says that it waits, then looks whether there is news; the broadcaster brings the news, then
            # looks whether the owner waits. So one of the two sees the other's.
            self._idle = True
            if not self._has_news():
                break
            self._idle = False
        return ()

    def silence(self) -> None:
        """Give nothing any more, and wake nobody, but for a call on its way. For ``Followings.close``."""
        self._silent = True

    def _next(self, limit: int) -> list[RecordedEvent]:
        stretch = self._stretch  # before the store is read: what is not in this stretch is there by now
        events: list[RecordedEvent] = []
        if stretch is None or stretch is not self._joined:
            if self._gone:
                return []  # what is before the stretch is nowhere any more
            events += self._read(limit)
            if self.missing and self._there:
                return []  # it is gone, then
            if not _full(events, limit):
                self._joined = stretch
        if stretch is not None and stretch is self._joined:
            while stretch and not _full(events, limit):
                self._pass_on(stretch.take(), events)
        return events

    def _read(self, limit: int) -> list[RecordedEvent]:
        """Return the next page of the store."""
        page = self._page(limit)
        if not page and isinstance(self.topic, TaskTopic) and self._has_ended(self.topic):
            # There may be nothing because all is taken, or because it had not happened yet.
            page = self._page(limit)
            self.ended = not page
        events: list[RecordedEvent] = []
        for event in page:
            self._pass_on(event, events)
        return events

    def _has_ended(self, topic: TaskTopic) -> bool:
        return bool(self._reader.ended([topic.task_id], owner=topic.owner))

    def _page(self, limit: int) -> tuple[RecordedEvent, ...]:
        match self.topic:
            case TaskTopic(task_id=task_id, owner=owner):
                page = self._reader.events(
                    task_id, owner=owner, after=self.position, limit=limit, most_bytes=MOST_BYTES
                )
            case SessionTopic():
                page = self._page_of_session(self.topic, limit)
            case _:
                assert_never(self.topic)
        self.missing = page is None
        self._gone = self._gone or (self.missing and self._there)
        self._there = self._there or not self.missing
        return page or ()

    def _page_of_session(self, topic: SessionTopic, limit: int) -> tuple[RecordedEvent, ...] | None:
        if self._key is None and self._there:  # it was made later, and what was taken came from memory
            self._key = self._reader.session_key_of_event(self.position)
        elif self._key is None:
            self._key = self._reader.session_key(topic.session_id, owner=topic.owner)
        if self._key is None:
            return None
        return self._reader.session_events(
            topic.session_id,
            owner=topic.owner,
            after=self.position,
            limit=limit,
            most_bytes=MOST_BYTES,
            key=self._key,
        )

    def _pass_on(self, event: RecordedEvent, events: list[RecordedEvent]) -> None:
        if event.event_id > self.position:
            self.position = event.event_id
            events.append(event)
            self._there = True
        if isinstance(self.topic, TaskTopic) and event.event_type in TERMINAL_TYPES:
            self.ended = True

    def _has_news(self) -> bool:
        stretch = self._stretch
        return self._gone or (stretch is not None and (stretch is not self._joined or bool(stretch)))

    # Called by the broadcaster.

    def subscribed(self) -> None:
        """Begin a stretch: what was published before may have been missed."""
        self._stretch = _Stretch()
        self._bring_news()

    def published(self, event: RecordedEvent, /) -> None:
        """Keep an event until it is taken, or read again what does not fit."""
        stretch = self._stretch
        if stretch is not None and stretch.has_room_for(event):
            stretch.add(event)
        else:
            self._stretch = _Stretch()  # without the event: it was committed before it was published
        self._bring_news()

    def deleted(self) -> None:
        """Have the owner take what is in memory, and then nothing any more."""
        self._gone = True
        self._bring_news()

    def _bring_news(self) -> None:
        if self._idle and not self._silent:
            self._idle = False
            self._wake()


def _full(events: list[RecordedEvent], limit: int) -> bool:
    """Return whether that is all that is taken at once."""
    return len(events) >= limit or sum(len(event.body) for event in events) >= MOST_BYTES


class EndWatch:
    """Waits for the end of a task: who is woken looks in the store whether it has come."""

    def __init__(self, *, topic: TaskTopic, wake: Callable[[], None]) -> None:
        self.topic = topic
        self._wake = wake

    def silence(self) -> None:
        """Wake nobody any more."""
        self._wake = _nobody

    def subscribed(self) -> None:
        """Wake: it may have ended before this."""
        self._wake()

    def published(self, event: RecordedEvent, /) -> None:
        """Wake if that was the end."""
        if event.event_type in TERMINAL_TYPES:
            self._wake()

    def deleted(self) -> None:
        """Wake: it is gone."""
        self._wake()


def _nobody() -> None:
    pass


class Followings:
    """All followings, subscribed with the broadcaster; any number of threads.

    Each step is one operation on a dictionary, atomic under the GIL. A following is kept before it is subscribed
    and dropped before it is unsubscribed, so that ``resubscribe_all`` misses none.
    """

    following_class = Following

    def __init__(self, *, reader: StoreReader, broadcaster: pykka.ActorRef[BroadcasterActor]) -> None:
        self._reader = reader
        self._broadcaster = broadcaster
        self._open: dict[Following | EndWatch, None] = {}

    def follow(self, topic: Topic, *, after: int, wake: Callable[[], None]) -> Following:
        """Follow a topic's events with an id above ``after`` (0: all). To be closed with ``close``.

        Events may be taken at once. ``wake`` is called as ``Following.take`` says, first when it is subscribed.
        """
        following = self.following_class(topic=topic, after=after, reader=self._reader, wake=wake)
        self._open[following] = None
        self._subscribe(following)
        return following

    def watch_end(self, topic: TaskTopic, *, wake: Callable[[], None]) -> EndWatch:
        """Have ``wake`` called when a task may have ended. To be closed with ``close``."""
        watch = EndWatch(topic=topic, wake=wake)
        self._open[watch] = None
        self._subscribe(watch)
        return watch

    def close(self, listener: Following | EndWatch) -> None:
        """Stop following, or watching. Closing twice is no failure."""
        listener.silence()
        self._open.pop(listener, None)
        self._unsubscribe(listener)

    def resubscribe_all(self) -> None:
        """Subscribe each again: for a broadcaster that was rebuilt under the same ref, without listeners."""
        for following in list(self._open):  # a copy, made in one step
            self._subscribe(following)
            if following not in self._open:  # closed meanwhile: it may have been unsubscribed before this
                self._unsubscribe(following)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._open)

    def _subscribe(self, following: Following | EndWatch) -> None:
        message = Subscribe(context=_context(following.topic), topic=following.topic, listener=following)
        tell(self._broadcaster, message)

    def _unsubscribe(self, following: Following | EndWatch) -> None:
        message = Unsubscribe(context=_context(following.topic), topic=following.topic, listener=following)
        tell(self._broadcaster, message)


def _context(topic: Topic) -> Context:
    match topic:
        case TaskTopic(task_id=task_id, owner=owner):
            return Context("", task_id=task_id, sender="Followings", owner=owner)
        case SessionTopic(session_id=session_id, owner=owner):
            return Context("", session_id=session_id, sender="Followings", owner=owner)
        case _:
            assert_never(topic)
