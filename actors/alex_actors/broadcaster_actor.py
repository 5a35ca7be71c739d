"""The BroadcasterActor: sole owner of who listens to what."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

import msgspec

from alex_actors.actor import PooledActor
from alex_actors.broadcaster_protocol import (
    BroadcasterMessage,
    Publish,
    PublishDeleted,
    PublishRemoved,
    SessionTopic,
    Subscribe,
    TaskTopic,
    Unsubscribe,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from structlog.typing import FilteringBoundLogger

    from alex_actors.broadcaster_protocol import Listener, Topic
    from alex_actors.events import RecordedEvent


class BroadcasterActor(PooledActor):
    """Hands each recorded event to who listens to its task and to its session.

    Publishing comes first in, first out from the one store, so that every listener gets events in the order
    of their ids.
    """

    def __init__(self, *, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log
        # A dictionary of listeners keeps their order and takes each once. No topic without a listener stays.
        self._listeners: dict[Topic, dict[Listener, None]] = {}

    def on_receive(self, message: BroadcasterMessage) -> None:
        """Handle a message."""
        match message:
            case Publish():
                for event in message.events:
                    self._publish(event)
            case PublishDeleted():
                self._publish_deleted(message)
            case PublishRemoved():
                self._end(message.topics)
            case Subscribe():
                self._subscribe(message.topic, message.listener)
            case Unsubscribe():
                self._unsubscribe(message.topic, message.listener)
            case _:
                assert_never(message)

    def _publish(self, event: RecordedEvent) -> None:
        owner = event.owner
        topics: tuple[Topic, Topic] = (TaskTopic(event.task_id, owner), SessionTopic(event.session_id, owner))
        for topic in topics:
            for listener in tuple(self._listeners.get(topic, ())):
                self._call(topic, listener, partial(listener.published, event))

    def _publish_deleted(self, message: PublishDeleted) -> None:
        """Tell who listens to a session or to a task of it, and forget them: there is nothing more to come."""
        owner = message.context.owner
        self._end((SessionTopic(message.session_id, owner), *(TaskTopic(one, owner) for one in message.task_ids)))

    def _end(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            for listener in self._listeners.pop(topic, ()):
                self._call(topic, listener, listener.deleted)

    def _subscribe(self, topic: Topic, listener: Listener) -> None:
        self._listeners.setdefault(topic, {})[listener] = None
        self._call(topic, listener, listener.subscribed)

    def _call(self, topic: Topic, listener: Listener, call: Callable[[], None]) -> None:
        """Make one call of a listener. One that fails is dropped: its failure must not be another's."""
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever a listener raises, the others hear on
            self._log.error("listener.failed", **msgspec.structs.asdict(topic), exc_info=error)
            self._unsubscribe(topic, listener)

    def _unsubscribe(self, topic: Topic, listener: Listener) -> None:
        listeners = self._listeners.get(topic, {})
        listeners.pop(listener, None)
        if not listeners:
            self._listeners.pop(topic, None)
