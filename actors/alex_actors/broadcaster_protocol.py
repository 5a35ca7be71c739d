"""The messages of the BroadcasterActor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from alex_actors.events import RecordedEvent
from alex_actors.messages import Tell
from alex_actors.values import SessionId, TaskId

if TYPE_CHECKING:
    from alex_actors.broadcaster_actor import BroadcasterActor  # noqa: F401 - named in the messages' bases

Topic: TypeAlias = TaskId | SessionId
Listener: TypeAlias = Callable[[RecordedEvent], None]
"""Given each event in order, on the broadcaster's thread. Must not block, and must not raise."""


class Publish(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """These events are recorded, in this order."""

    events: tuple[RecordedEvent, ...]


class Subscribe(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """Give ``listener`` every event of a task or a session that is published from now on."""

    topic: Topic
    listener: Listener


class Unsubscribe(Tell["BroadcasterActor"], frozen=True, kw_only=True):
    """Give ``listener`` nothing more of this topic."""

    topic: Topic
    listener: Listener


BroadcasterMessage: TypeAlias = Publish | Subscribe | Unsubscribe
