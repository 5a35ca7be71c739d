"""Who listens to what."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pykka
import pytest

from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import BroadcasterMessage, Listener, Publish, Subscribe, Unsubscribe
from alex_actors.events import RecordedEvent
from alex_actors.messages import tell
from alex_actors.values import SessionId, TaskId, Timestamp
from tests.unit.actor_fakes import CONTEXT, WAIT, System

TASK, SESSION = TaskId("task-1"), SessionId("session-1")


def event(event_id: int, task_id: TaskId = TASK, session_id: SessionId = SESSION) -> RecordedEvent:
    at = Timestamp("2026-01-01T00:00:00.000000Z")
    return RecordedEvent(event_id, "thinking", task_id, session_id, None, at, b"{}")


class Stage:
    """A broadcaster that handles what it is sent when the test says so."""

    def __init__(self) -> None:
        self.system = System()
        self._pool = self.system.pool(threads=1)
        self._made: list[BroadcasterActor] = []
        self.broadcaster: pykka.ActorRef[BroadcasterActor] = self._pool.spawn(
            self._make, supervisor=self.system.crashes
        )

    def _make(self) -> BroadcasterActor:
        self._made.append(BroadcasterActor(log=self.system.log.logger))
        return self._made[0]

    def send(self, *messages: BroadcasterMessage) -> None:
        for message in messages:
            tell(self.broadcaster, message)

    def publish(self, *events: RecordedEvent) -> None:
        self.send(Publish(context=CONTEXT, events=events))

    def subscribe(self, topic: TaskId | SessionId, listener: Listener) -> None:
        self.send(Subscribe(context=CONTEXT, topic=topic, listener=listener))

    def unsubscribe(self, topic: TaskId | SessionId, listener: Listener) -> None:
        self.send(Unsubscribe(context=CONTEXT, topic=topic, listener=listener))

    def settle(self) -> None:
        """Return when all that was sent is handled: the broadcaster stops after it."""
        self.broadcaster.stop(timeout=WAIT)

    @property
    def topics(self) -> int:
        """How many topics it still remembers."""
        return len(self._made[0]._listeners)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.system.close()


def noting(heard: list[int]) -> Callable[[RecordedEvent], None]:
    return lambda event: heard.append(event.event_id)


def test_a_listener_hears_the_events_of_its_task_in_order(stage: Stage) -> None:
    heard: list[int] = []
    stage.subscribe(TASK, noting(heard))

    stage.publish(event(1), event(2, task_id=TaskId("task-2")), event(3))
    stage.publish(event(4))

    stage.settle()
    assert heard == [1, 3, 4]


def test_a_listener_hears_the_events_of_all_tasks_of_its_session(stage: Stage) -> None:
    heard: list[int] = []
    stage.subscribe(SESSION, noting(heard))

    stage.publish(event(1), event(2, task_id=TaskId("task-2")))
    stage.publish(event(3, session_id=SessionId("session-2")))

    stage.settle()
    assert heard == [1, 2]


def test_a_listener_hears_nothing_that_was_published_before_it_subscribed(stage: Stage) -> None:
    heard: list[int] = []
    stage.publish(event(1))

    stage.subscribe(TASK, noting(heard))
    stage.publish(event(2))

    stage.settle()
    assert heard == [2]


def test_a_listener_that_subscribes_twice_hears_each_event_once(stage: Stage) -> None:
    heard: list[int] = []
    listener = noting(heard)
    stage.subscribe(TASK, listener)
    stage.subscribe(TASK, listener)

    stage.publish(event(1))

    stage.settle()
    assert heard == [1]


def test_all_listeners_of_a_topic_hear_an_event_in_the_order_in_which_they_came(stage: Stage) -> None:
    order: list[str] = []
    stage.subscribe(TASK, lambda _: order.append("first"))
    stage.subscribe(TASK, lambda _: order.append("second"))
    stage.subscribe(SESSION, lambda _: order.append("of the session"))

    stage.publish(event(1))

    stage.settle()
    assert order == ["first", "second", "of the session"]


def test_a_listener_hears_nothing_after_it_unsubscribed(stage: Stage) -> None:
    heard: list[int] = []
    listener = noting(heard)
    stage.subscribe(TASK, listener)
    stage.publish(event(1))

    stage.unsubscribe(TASK, listener)
    stage.publish(event(2))

    stage.settle()
    assert heard == [1]


def test_who_unsubscribes_from_one_topic_still_hears_the_other(stage: Stage) -> None:
    heard: list[int] = []
    listener = noting(heard)
    stage.subscribe(TASK, listener)
    stage.subscribe(SESSION, listener)

    stage.unsubscribe(TASK, listener)
    stage.publish(event(1))

    stage.settle()
    assert heard == [1]


def test_a_topic_without_listeners_is_forgotten(stage: Stage) -> None:
    listener = noting([])
    for number in range(100):
        stage.subscribe(TaskId(f"task-{number}"), listener)

    for number in range(100):
        stage.unsubscribe(TaskId(f"task-{number}"), listener)

    stage.settle()
    assert stage.topics == 0


def test_to_unsubscribe_what_never_subscribed_is_no_failure(stage: Stage) -> None:
    stage.unsubscribe(TASK, noting([]))

    stage.settle()
    assert stage.system.crashes.errors == []
    assert stage.topics == 0


def test_a_listener_that_fails_is_dropped_and_the_others_hear_on(stage: Stage) -> None:
    heard: list[int] = []
    called: list[int] = []

    def failing(event: RecordedEvent) -> None:
        called.append(event.event_id)
        msg = "the stream is gone"
        raise OSError(msg)

    stage.subscribe(TASK, failing)
    stage.subscribe(TASK, noting(heard))

    stage.publish(event(1), event(2))

    stage.settle()
    assert heard == [1, 2]
    assert called == [1]
    (line,) = stage.system.log.named("listener.failed")
    assert (line["topic"], str(line["exc_info"])) == (TASK, "the stream is gone")
    assert stage.system.crashes.errors == []


def test_a_listener_may_unsubscribe_itself_while_it_listens(stage: Stage) -> None:
    heard: list[int] = []

    def once(event: RecordedEvent) -> None:
        heard.append(event.event_id)
        stage.unsubscribe(TASK, once)

    stage.subscribe(TASK, once)

    stage.publish(event(1))
    answered = stage.broadcaster.ask(Publish(context=CONTEXT, events=()), timeout=WAIT)
    stage.publish(event(2))

    stage.settle()
    assert answered is None
    assert heard == [1]
