"""Who listens to what."""

from __future__ import annotations

from collections.abc import Iterator

import pykka
import pytest

from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import (
    BroadcasterMessage,
    Listener,
    Publish,
    SessionTopic,
    Subscribe,
    TaskTopic,
    Topic,
    Unsubscribe,
)
from alex_actors.events import RecordedEvent
from alex_actors.messages import tell
from alex_actors.values import SessionId, TaskId, Timestamp
from tests.unit.actor_fakes import CONTEXT, WAIT, System

TASK, SESSION = TaskTopic(TaskId("task-1")), SessionTopic(SessionId("session-1"))


def event(event_id: int, task_id: str = "task-1", session_id: str = "session-1") -> RecordedEvent:
    at = Timestamp("2026-01-01T00:00:00.000000Z")
    return RecordedEvent(event_id, "thinking", TaskId(task_id), SessionId(session_id), None, at, b"{}")


class Noting:
    """A listener that keeps what it hears, under its name."""

    def __init__(self, heard: list[object], name: str = "") -> None:
        self._heard = heard
        self._name = name

    def subscribed(self) -> None:
        self._heard.append(f"{self._name}subscribed")

    def published(self, event: RecordedEvent, /) -> None:
        self._heard.append(f"{self._name} {event.event_id}" if self._name else event.event_id)

    def deleted(self) -> None:
        self._heard.append(f"{self._name}deleted")


class Failing:
    """A listener that raises when it is acknowledged, or at its first event."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self.called: list[object] = []

    def subscribed(self) -> None:
        self.called.append("subscribed")
        if self._at_once:
            self._fail()

    def published(self, event: RecordedEvent, /) -> None:
        self.called.append(event.event_id)
        self._fail()

    def deleted(self) -> None:
        self._fail()

    def _fail(self) -> None:
        msg = "the stream is gone"
        raise OSError(msg)


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

    def subscribe(self, topic: Topic, listener: Listener) -> None:
        self.send(Subscribe(context=CONTEXT, topic=topic, listener=listener))

    def unsubscribe(self, topic: Topic, listener: Listener) -> None:
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


def test_a_listener_hears_the_events_of_its_task_in_order(stage: Stage) -> None:
    heard: list[object] = []
    stage.subscribe(TASK, Noting(heard))

    stage.publish(event(1), event(2, task_id="task-2"), event(3))
    stage.publish(event(4))

    stage.settle()
    assert heard == ["subscribed", 1, 3, 4]


def test_a_listener_hears_the_events_of_all_tasks_of_its_session(stage: Stage) -> None:
    heard: list[object] = []
    stage.subscribe(SESSION, Noting(heard))

    stage.publish(event(1), event(2, task_id="task-2"))
    stage.publish(event(3, session_id="session-2"))

    stage.settle()
    assert heard == ["subscribed", 1, 2]


def test_a_listener_hears_nothing_that_was_published_before_it_subscribed(stage: Stage) -> None:
    heard: list[object] = []
    stage.publish(event(1))

    stage.subscribe(TASK, Noting(heard))
    stage.publish(event(2))

    stage.settle()
    assert heard == ["subscribed", 2]


def test_a_listener_that_subscribes_again_is_told_so_and_hears_each_event_once(stage: Stage) -> None:
    heard: list[object] = []
    listener = Noting(heard)
    stage.subscribe(TASK, listener)
    stage.publish(event(1))
    stage.subscribe(TASK, listener)

    stage.publish(event(2))

    stage.settle()
    assert heard == ["subscribed", 1, "subscribed", 2]


def test_all_listeners_of_a_topic_hear_an_event_in_the_order_in_which_they_came(stage: Stage) -> None:
    heard: list[object] = []
    stage.subscribe(TASK, Noting(heard, "first"))
    stage.subscribe(TASK, Noting(heard, "second"))
    stage.subscribe(SESSION, Noting(heard, "of the session"))

    stage.publish(event(1))

    stage.settle()
    assert heard[3:] == ["first 1", "second 1", "of the session 1"]


def test_a_listener_hears_nothing_after_it_unsubscribed(stage: Stage) -> None:
    heard: list[object] = []
    listener = Noting(heard)
    stage.subscribe(TASK, listener)
    stage.publish(event(1))

    stage.unsubscribe(TASK, listener)
    stage.publish(event(2))

    stage.settle()
    assert heard == ["subscribed", 1]


def test_a_session_named_like_a_task_hears_nothing_of_that_task(stage: Stage) -> None:
    heard: list[object] = []
    stage.subscribe(SessionTopic(SessionId("task-1")), Noting(heard))

    stage.publish(event(1, task_id="task-1", session_id="session-1"))

    stage.settle()
    assert heard == ["subscribed"]


def test_who_unsubscribes_from_one_topic_still_hears_the_other(stage: Stage) -> None:
    heard: list[object] = []
    listener = Noting(heard)
    stage.subscribe(TASK, listener)
    stage.subscribe(SESSION, listener)

    stage.unsubscribe(TASK, listener)
    stage.publish(event(1))

    stage.settle()
    assert heard == ["subscribed", "subscribed", 1]


def test_a_topic_without_listeners_is_forgotten(stage: Stage) -> None:
    listener = Noting([])
    for number in range(100):
        stage.subscribe(TaskTopic(TaskId(f"task-{number}")), listener)

    for number in range(100):
        stage.unsubscribe(TaskTopic(TaskId(f"task-{number}")), listener)

    stage.settle()
    assert stage.topics == 0


def test_to_unsubscribe_what_never_subscribed_is_no_failure(stage: Stage) -> None:
    stage.unsubscribe(TASK, Noting([]))

    stage.settle()
    assert stage.system.crashes.errors == []
    assert stage.topics == 0


@pytest.mark.parametrize(("at_once", "called"), [(True, ["subscribed"]), (False, ["subscribed", 1])])
def test_a_listener_that_fails_is_dropped_and_the_others_hear_on(
    stage: Stage, at_once: bool, called: list[object]
) -> None:
    heard: list[object] = []
    failing = Failing(at_once=at_once)
    stage.subscribe(TASK, failing)
    stage.subscribe(TASK, Noting(heard))

    stage.publish(event(1), event(2))

    stage.settle()
    assert heard == ["subscribed", 1, 2]
    assert failing.called == called
    (line,) = stage.system.log.named("listener.failed")
    assert (line["task_id"], str(line["exc_info"])) == ("task-1", "the stream is gone")
    assert stage.system.crashes.errors == []


def test_a_listener_may_unsubscribe_itself_while_it_listens(stage: Stage) -> None:
    heard: list[object] = []

    class Once(Noting):
        def published(self, event: RecordedEvent, /) -> None:
            super().published(event)
            stage.unsubscribe(TASK, self)

    stage.subscribe(TASK, Once(heard))

    stage.publish(event(1))
    answered = stage.broadcaster.ask(Publish(context=CONTEXT, events=()), timeout=WAIT)
    stage.publish(event(2))

    stage.settle()
    assert answered is None
    assert heard == ["subscribed", 1]
