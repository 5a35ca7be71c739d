"""What an event stream sends: frames, its beginning, its end, and what it does when the store cannot be read."""

from __future__ import annotations

import gc
import json
import weakref

import msgspec
import pytest

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic
from alex_actors.replies import Unavailable
from alex_actors.values import LOCAL_OWNER, SessionId, TaskId
from alex_http.feeds import HEARTBEAT, LARGEST_KEPT, MOST_FRAMES, PAGE, EventFeed, Frames
from alex_http.transport.feed import Reason
from tests.unit.fake_runtime import FakeFollowing, FakeRuntime, recorded


class Feeding:
    """A feed, and what is behind it."""

    def __init__(self, task_id: str | None = "task-1", after: int = 0) -> None:
        self.runtime = FakeRuntime()
        self.frames = Frames()
        self.closed: list[tuple[Reason, int]] = []
        self.sent: list[int] = []
        self.woken = 0
        self.may_stay = True
        self.feed = EventFeed(
            runtime=self.runtime,
            frames=self.frames,
            task_id=None if task_id is None else TaskId(task_id),
            owner=LOCAL_OWNER,
            session_id=SessionId("s"),
            after=after,
            may_stay=lambda: self.may_stay,
            closed=lambda reason, events: self.closed.append((reason, events)),
            sent=self.sent.append,
        )

    def begin(self) -> FakeFollowing:
        """Begin, and take the greeting; return what the feed follows."""
        self.feed.begin(self._wake)
        self.feed.take()
        return self.runtime.followings[0]

    def _wake(self) -> None:
        self.woken += 1


def test_an_event_is_a_frame_with_its_id_its_type_and_one_line_of_json() -> None:
    event = recorded(17, "task_started")

    frame = bytes(Frames().of(event))

    head, data, *rest = frame.split(b"data: ")
    assert (head, rest) == (b"id: 17\nevent: task_started\n", [])
    assert data.endswith(b"\n\n")
    assert b"\n" not in data[:-2]
    assert json.loads(data) == json.loads(bytes(event.json()))


def test_a_frame_is_made_once_for_all_who_want_it() -> None:
    frames, event = Frames(), recorded(17)

    assert frames.of(event) is frames.of(event)


def test_the_oldest_frames_are_not_kept() -> None:
    frames = Frames()
    events = [recorded(number) for number in range(MOST_FRAMES + 1)]
    made = [frames.of(event) for event in events]

    again = [frames.of(event) is frame for event, frame in zip(reversed(events), reversed(made), strict=True)]

    assert again == [True] * MOST_FRAMES + [False]


def test_a_large_frame_is_shared_by_those_who_are_sent_it_and_kept_no_longer() -> None:
    frames = Frames()
    large = recorded(5000, "x" * LARGEST_KEPT)

    one = frames.of(large)
    shared = frames.of(large) is one
    one = b""
    gc.collect()

    assert shared
    assert not frames._large


def test_a_large_event_at_the_end_of_a_page_goes_alone_so_that_it_is_shared() -> None:
    feeding = Feeding()
    large = recorded(3, "x" * LARGEST_KEPT)
    feeding.begin().events += [recorded(1), recorded(2), large]

    small = bytes(feeding.feed.take())
    ended = feeding.feed.ended
    alone = feeding.feed.take()

    assert small.count(b"\n\n") == 2
    assert not ended
    assert alone is feeding.frames.of(large)


def test_a_stream_does_not_end_before_its_last_event_although_that_is_large() -> None:
    feeding = Feeding()
    last = msgspec.structs.replace(recorded(2, "task_completed"), body=b'{"x":"' + b"x" * LARGEST_KEPT + b'"}')
    feeding.begin().events += [recorded(1), last]

    feeding.feed.take()
    before = (feeding.feed.ended, feeding.feed.blocking)
    alone = feeding.feed.take()

    assert before == (False, False)
    assert len(alone) > LARGEST_KEPT
    assert feeding.feed.ended


@pytest.mark.parametrize(("task_id", "after"), [("task-1", 0), (None, 17)])
def test_a_stream_begins_with_what_it_is_and_how_soon_to_come_again(task_id: str | None, after: int) -> None:
    feeding = Feeding(task_id, after)

    feeding.feed.begin(lambda: None)
    blocking = feeding.feed.blocking
    greeting = bytes(feeding.feed.take())

    head, data = greeting.split(b"data: ")
    assert not blocking  # it is sent at once, also if the store is slow
    assert head == b"retry: 1000\nevent: connected\n"
    assert json.loads(data) == {"task_id": task_id, "session_id": "s", "after": after}
    assert greeting.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("task_id", "topic"), [("task-1", TaskTopic(TaskId("task-1"))), (None, SessionTopic(SessionId("s")))]
)
def test_it_follows_its_task_or_its_session_from_where_it_was_told(
    task_id: str | None, topic: TaskTopic | SessionTopic
) -> None:
    feeding = Feeding(task_id, after=17)

    following = feeding.begin()

    assert (following.topic, following.position) == (topic, 17)


def test_it_is_woken_when_there_is_news() -> None:
    feeding = Feeding()

    feeding.begin().wake()

    assert feeding.woken == 1


def test_it_blocks_while_what_comes_next_is_in_the_store() -> None:
    feeding = Feeding()
    following = feeding.begin()

    behind = feeding.feed.blocking
    following.is_behind = False

    assert (behind, feeding.feed.blocking) == (True, False)


def test_events_are_sent_in_pages_and_one_alone_is_the_frame_that_all_share() -> None:
    feeding = Feeding()
    events = [recorded(number) for number in range(PAGE + 1)]
    feeding.begin().events.extend(events)

    page, last, nothing = feeding.feed.take(), feeding.feed.take(), feeding.feed.take()

    assert page == b"".join(map(Frames().of, events[:-1]))
    assert last is feeding.frames.of(events[-1])
    assert nothing == b""
    assert not feeding.feed.ended


def test_a_stream_of_a_task_ends_with_its_last_event() -> None:
    feeding = Feeding()
    feeding.begin().events += [recorded(1), recorded(2, "task_completed")]

    data = bytes(feeding.feed.take())

    assert data.count(b"\n\n") == 2
    assert feeding.feed.ended


def test_a_stream_of_a_task_that_has_nothing_more_to_give_ends_without_a_word() -> None:
    feeding = Feeding()
    feeding.begin().ended = True

    data = bytes(feeding.feed.take())

    assert (data, feeding.feed.ended) == (b"", True)


@pytest.mark.parametrize("task_id", ["task-1", None])
def test_a_session_that_is_deleted_is_told_of_after_what_there_was(task_id: str | None) -> None:
    feeding = Feeding(task_id)
    following = feeding.begin()
    following.events.append(recorded(1))
    following.session_deleted = True

    event, told = bytes(feeding.feed.take()), feeding.feed.take()

    assert b"thinking" in event
    assert told == b'event: session_deleted\ndata: {"session_id":"s"}\n\n'
    assert feeding.feed.ended


def test_a_task_that_ended_before_its_session_was_deleted_just_ends() -> None:
    feeding = Feeding()
    following = feeding.begin()
    following.ended = following.session_deleted = True

    data = bytes(feeding.feed.take())

    assert (data, feeding.feed.ended) == (b"", True)


def test_what_was_deleted_before_it_could_be_followed_ends_as_well() -> None:
    feeding = Feeding()
    feeding.begin().missing = True

    told = bytes(feeding.feed.take())

    assert told.startswith(b"event: session_deleted\n")
    assert feeding.feed.ended


def test_a_store_that_cannot_be_read_ends_nothing_and_is_read_again() -> None:
    feeding = Feeding()
    feeding.begin().events.append(recorded(1))
    feeding.runtime.failure = Unavailable("It is away.")

    nothing = feeding.feed.take()
    feeding.runtime.failure = None
    event = feeding.feed.take()

    assert (nothing, event) == (b"", feeding.frames.of(recorded(1)))
    assert not feeding.feed.ended


def test_a_heartbeat_is_a_comment() -> None:
    assert Feeding().feed.heartbeat() == HEARTBEAT == b": heartbeat\n\n"


def test_one_that_is_closed_follows_nothing_more_and_says_how_many_events_it_sent() -> None:
    feeding = Feeding()
    feeding.begin().events += [recorded(1), recorded(2)]
    feeding.feed.take()

    feeding.feed.closed("gone")

    assert feeding.closed == [("gone", 2)]
    assert feeding.runtime.followings == []


def test_one_that_is_closed_keeps_nothing_of_what_waited_to_be_taken() -> None:
    feeding = Feeding()
    following = weakref.ref(feeding.begin())

    feeding.feed.closed("gone")

    assert following() is None


def test_one_that_could_not_begin_is_closed_all_the_same() -> None:
    feeding = Feeding()
    feeding.runtime.failure = Unavailable("It is stopping.")
    with pytest.raises(Unavailable):
        feeding.feed.begin(lambda: None)

    feeding.feed.closed("failed")

    assert feeding.closed == [("failed", 0)]
