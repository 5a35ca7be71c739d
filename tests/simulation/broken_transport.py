"""Ways to carry streams and replies that wait that each lack one thing that they need."""

from __future__ import annotations

from collections.abc import Callable

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.events import RecordedEvent
from alex_actors.following import EndWatch, Following, Followings
from alex_actors.runtime import ActorRuntime
from alex_actors.tasks import Task
from alex_actors.values import LOCAL_OWNER, Context, Owner, TaskId
from alex_http.feeds import HEARTBEAT as HEARTBEAT_FRAME
from alex_http.feeds import Frames
from alex_http.transport.holds import Hold
from alex_http.transport.streams import HEARTBEAT, Reason, Stream
from tests.simulation.simulated_streams import InterruptedStreams, WatchedFeed

# The thread that sends.


class LosesWakes(InterruptedStreams):
    """Forgets after a look at a feed that it was woken, and not before it: what came meanwhile is lost."""

    def _advance(self, stream: Stream) -> None:
        stream.woken = True
        super()._advance(stream)
        stream.woken = False


class IsWokenOnce(InterruptedStreams):
    """Never forgets that it was woken."""

    def _answer(self, stream: Stream) -> None:
        super()._answer(stream)
        stream.woken = True


class MissesWhatComesMeanwhile(InterruptedStreams):
    """Takes no notice of a wake that comes while a feed is being read from."""

    def _answer(self, stream: Stream) -> None:
        stream.missed = False
        super()._answer(stream)
        stream.missed = False


class RingsNobody(InterruptedStreams):
    """Does not end the wait of the thread that sends."""

    def _ring(self) -> None:
        self._asleep = False


class TellsReadersWhoRead(InterruptedStreams):
    """Tells a feed that it is closed while another thread reads from it."""

    def _tell_closed(self, stream: Stream) -> None:
        away, stream.away = stream.away, False
        super()._tell_closed(stream)
        stream.away = away


class KeepsTheOffset(InterruptedStreams):
    """Begins what is sent next where it was in what was sent last."""

    def _send(self, stream: Stream, data: bytes | memoryview) -> None:
        stream.sent_at = self._now()
        stream.pending, stream.offset = data, min(stream.offset, len(data) - 1)
        self._flush(stream)


class BreaksIn(InterruptedStreams):
    """Sends a heartbeat when it is time for one, wherever it is in a frame."""

    def _check(self, stream: Stream) -> None:
        if stream.pending and stream.reason is None and self._now() - stream.sent_at >= HEARTBEAT:
            self._send(stream, HEARTBEAT_FRAME + stream.pending[stream.offset :])
        super()._check(stream)


class SendsOver(InterruptedStreams):
    """Drops the rest of a heartbeat for what was read meanwhile."""

    def _answer(self, stream: Stream) -> None:
        if stream.read:
            stream.pending = b""
        super()._answer(stream)


class BeatsLate(InterruptedStreams):
    """Looks for heartbeats again a whole period after a look that found none to be due."""

    def _look_again(self, stream: Stream, at: float) -> None:
        super()._look_again(stream, max(at, self._now() + HEARTBEAT))


class CutsNobodyOff(InterruptedStreams):
    """Keeps readers who have stopped reading."""

    def _close(self, stream: Stream, reason: Reason) -> None:
        if reason != "stalled":
            super()._close(stream, reason)


class WaitsForEach(InterruptedStreams):
    """Sends a frame whole before it turns to the next reader."""

    def _flush(self, stream: Stream) -> None:
        super()._flush(stream)
        while stream.pending and stream.sock is not None:
            self.simulation.sleep(0.1)
            super()._flush(stream)


# What is sent.


class GreetsNobody(WatchedFeed):
    """Leaves out `connected`."""

    def begin(self, wake: Callable[[], None]) -> None:
        super().begin(wake)
        self.feed.take()


class EndsNever(WatchedFeed):
    """Leaves a task's stream open after its terminal event."""

    @property
    def ended(self) -> bool:
        return False


class SharesTooMuch(Frames):
    """Keeps one frame for all events of a type."""

    def __init__(self) -> None:
        super().__init__()
        self._of_type: dict[str, bytes | memoryview] = {}

    def of(self, event: RecordedEvent) -> bytes | memoryview:
        return self._of_type.setdefault(event.event_type, super().of(event))


class JoinsTooEarly(Following):
    """Goes live with the first page of what is recorded, though it may not be the last."""

    def _page(self, limit: int) -> tuple[RecordedEvent, ...]:
        self._joined = self._stretch
        return super()._page(limit)


class LooksTooEarly(ActorRuntime):
    """Reads which events a task has before it reads whether it has ended."""

    _before: tuple[RecordedEvent, ...] | None = ()

    def task(self, task_id: TaskId, *, owner: Owner = LOCAL_OWNER) -> Task | None:
        with self._unavailable():
            self._before = self._reader.events(task_id, after=0, limit=1000, owner=owner)
        task = super().task(task_id, owner=owner)
        if task is not None:  # what takes its time
            self.make_session(task.session_id, {}, Context("", sender="http"))
        return super().task(task_id, owner=owner)

    def events(
        self, task_id: TaskId, *, after: int, limit: int, owner: Owner = LOCAL_OWNER
    ) -> tuple[RecordedEvent, ...] | None:
        return tuple(event for event in self._before or () if event.event_id > after)[:limit]


# Replies that wait.


class StaysWithTheServer(Hold):
    """Takes no notice of a client who went."""

    def over(self) -> None:
        if not self.waits:
            super().over()


class WakesAtTheTimeout(Followings):
    """Tells nobody that a task has ended who waits for that."""

    def watch_end(self, topic: TaskTopic, *, wake: Callable[[], None]) -> EndWatch:
        return super().watch_end(topic, wake=lambda: None)
