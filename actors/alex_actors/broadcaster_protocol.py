"""The messages of the BroadcasterActor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from alex_actors.events import RecordedEvent
from alex_actors.messages import Tell
from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId, Value

if TYPE_CHECKING:
    from alex_actors.broadcaster_actor import BroadcasterActor  # noqa: F401 - named in the messages' bases


class TaskTopic(Value, frozen=True):
    """The events of one task."""

    task_id: TaskId
    owner: Owner = LOCAL_OWNER


class SessionTopic(Value, frozen=True):
    """The events of all tasks of one session."""

    session_id: SessionId
    owner: Owner = LOCAL_OWNER


# Not the bare IDs: a client may name its session like somebody's task.
Topic: TypeAlias = TaskTopic | SessionTopic


class Listener(Protocol):
    """Who is given events. Called on the broadcaster's thread: must not block, and must not raise."""

    def subscribed(self) -> None:
        """Take notice that every event published from now on comes as ``published``.

        What was committed and is not published from now on is in the store by now. Called for every
        ``Subscribe``, so also again when the broadcaster was rebuilt and had forgotten its listeners.
        """

    def published(self, event: RecordedEvent, /) -> None:
        """Take the next event. One that was published before may come again, never one out of order."""

    def deleted(self) -> None:
        """Take notice that the session is deleted, with its tasks: nothing more comes of this subscription."""


class Publish(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """These events are recorded, in this order."""

    events: tuple[RecordedEvent, ...]


class PublishDeleted(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """A session of the context's owner is deleted, with these tasks. What was published of them came before."""

    session_id: SessionId
    task_ids: tuple[TaskId, ...]


class PublishRemoved(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """These tasks are removed for their age. Nobody hears anything of them any more."""

    topics: tuple[TaskTopic, ...]


class Subscribe(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """Give ``listener`` every event of a topic that is published from now on. It is told when that is so."""

    topic: Topic
    listener: Listener


class Unsubscribe(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """Give ``listener`` nothing more of this topic."""

    topic: Topic
    listener: Listener


BroadcasterMessage: TypeAlias = Publish | PublishDeleted | PublishRemoved | Subscribe | Unsubscribe
