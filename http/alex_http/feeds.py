"""What an event stream sends: the frames of server-sent events, as WHATWG HTML defines them (section 9.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

import msgspec

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic
from alex_actors.replies import Runtime, Unavailable

if TYPE_CHECKING:
    from alex_actors.broadcaster_protocol import Topic
    from alex_actors.events import RecordedEvent
    from alex_actors.following import Following
    from alex_actors.values import Owner, SessionId, TaskId
    from alex_http.transport.feed import Reason

RETRY_MILLISECONDS = 1000
"""How long an ``EventSource`` waits before it connects again. Browsers alone take three to five seconds."""

HEARTBEAT = b": heartbeat\n\n"
"""A comment, which readers ignore."""

PAGE = 64
"""Events that are taken at a time."""

MOST_FRAMES = 1024
"""Frames that are kept for the next reader: what is new is wanted by all who follow it, at about the same time."""
LARGEST_KEPT = 16_384
"""Bytes of the largest of them: together they take 16 MiB at most. A larger one is kept for as long as it is being
sent to somebody, and shared by all to whom it is."""

Bytes: TypeAlias = bytes | memoryview

encode = msgspec.json.Encoder().encode


class Frames:
    """Makes each event's frame, once for all readers who want it about now. Any thread."""

    def __init__(self) -> None:
        self._frames: dict[int, bytes] = {}
        self._large: WeakValueDictionary[int, memoryview] = WeakValueDictionary()

    def of(self, event: RecordedEvent) -> Bytes:
        """Return an event's frame."""
        kept = self._frames.get(event.event_id) or self._large.get(event.event_id)
        if kept is not None:
            return kept
        body = bytes(event.json())
        frame = b"id: %d\nevent: %b\ndata: %b\n\n" % (event.event_id, event.event_type.encode(), body)
        if len(frame) > LARGEST_KEPT:
            self._large[event.event_id] = large = memoryview(frame)  # unlike bytes, it can be referred to weakly
            return large
        self._keep(event.event_id, frame)
        return frame

    def _keep(self, event_id: int, frame: bytes) -> None:
        while len(self._frames) >= MOST_FRAMES:  # the oldest goes; another thread may have been faster
            self._frames.pop(next(iter(tuple(self._frames)), 0), None)
        self._frames[event_id] = frame


class EventFeed:
    """The events of a task or session above an id: those recorded, then each new one, up to the end."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        frames: Frames,
        task_id: TaskId | None,
        session_id: SessionId,
        owner: Owner,
        after: int,
        may_stay: Callable[[], bool],
        closed: Callable[[Reason, int], None],
        sent: Callable[[int], None],
    ) -> None:
        """Without a task, of all tasks of the session.

        ``may_stay`` is asked before each frame whether its reader may get it; from the first no on it gets nothing
        more. ``closed`` is told why the stream is over, and how many events it sent; ``sent`` how many, each time
        that there are some.
        """
        self._runtime = runtime
        self._frames = frames
        self._task_id = task_id
        self._session_id = session_id
        self._owner = owner
        self._after = after
        self._may_stay = may_stay
        self._closed = closed
        self._sent = sent
        self._following: Following | None = None
        self._greeted = False
        self._large: Bytes | None = None  # a frame that goes alone: joined with others it would be a copy
        self._events = 0
        self.ended = False

    @property
    def blocking(self) -> bool:
        """Whether the store is read next."""
        return self._greeted and self._large is None and (self._following is None or self._following.behind)

    def begin(self, wake: Callable[[], None]) -> None:
        """Follow the events from now on."""
        self._following = self._runtime.follow(self._topic(), after=self._after, wake=wake)

    def _topic(self) -> Topic:
        if self._task_id is None:
            return SessionTopic(self._session_id, self._owner)
        return TaskTopic(self._task_id, self._owner)

    def take(self) -> Bytes:
        """Return the next frames; nothing if nothing is there, or the store cannot be read now."""
        if not self._greeted:
            self._greeted = True
            return self._greeting()
        if not self._may_stay():
            self.ended = True
            return b""
        following = self._following
        if following is None:
            return b""
        if self._large is not None:
            large, self._large = self._large, None
            self.ended = following.ended
            return large
        try:
            events = self._runtime.take(following, limit=PAGE)
        except Unavailable:  # it is logged, and tried again at the next heartbeat
            return b""
        if events:
            return self._joined(events)
        self.ended = following.ended
        if (following.session_deleted or following.missing) and not self.ended:
            # Missing: it was there when the stream was asked for, and is not there to be followed.
            self.ended = True
            return _frame("session_deleted", {"session_id": self._session_id})
        return b""

    def _joined(self, events: Sequence[RecordedEvent]) -> Bytes:
        """Return events' frames as one piece; of one, the very object that all readers share."""
        self._events += len(events)
        self._sent(len(events))
        frames = [self._frames.of(event) for event in events]
        if len(frames) > 1 and len(frames[-1]) > LARGEST_KEPT:  # a page ends with what is large
            self._large = frames.pop()
        self.ended = self._large is None and self._following is not None and self._following.ended
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def heartbeat(self) -> bytes:
        """Return a comment; the last one, if its reader may not stay."""
        self.ended = self.ended or not self._may_stay()
        return HEARTBEAT

    def closed(self, reason: Reason) -> None:
        """Follow no more."""
        following, self._following = self._following, None  # what waits there to be taken is not kept
        if following is not None:
            self._runtime.unfollow(following)
        self._closed(reason, self._events)

    def _greeting(self) -> bytes:
        where = {"task_id": self._task_id, "session_id": self._session_id, "after": self._after}
        return b"retry: %d\n%b" % (RETRY_MILLISECONDS, _frame("connected", where))


def _frame(event: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), encode(data))
