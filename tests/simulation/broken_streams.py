"""Ways to follow events that each lack one thing that the protocol needs."""

from __future__ import annotations

from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import BroadcasterMessage, Publish
from alex_actors.events import RecordedEvent
from alex_actors.following import EndWatch, Following, Followings

# What a following does.


class GapAtTheSwitch(Following):
    """Is live from its subscription on, without another look at the store."""

    def subscribed(self) -> None:
        super().subscribed()
        self._joined = self._stretch


class RepeatsAtTheSwitch(Following):
    """Gives what is in the store and in memory twice."""

    def _pass_on(self, event: RecordedEvent, events: list[RecordedEvent]) -> None:
        self.position = min(self.position, event.event_id - 1)
        super()._pass_on(event, events)


class SleepsOn(Following):
    """Wakes nobody for what is published."""

    def published(self, event: RecordedEvent, /) -> None:
        self._idle, idle = False, self._idle
        super().published(event)
        self._idle = idle


# Who keeps them.


class StaysRegistered(Followings):
    """Closes a following, and leaves it with the broadcaster."""

    def _unsubscribe(self, following: Following | EndWatch) -> None:
        pass


class NobodySubscribesAgain(Followings):
    """Leaves a broadcaster that was restarted without listeners."""

    def resubscribe_all(self) -> None:
        pass


class LastFirst(BroadcasterActor):
    """Hands out what is published together in the wrong order."""

    def on_receive(self, message: BroadcasterMessage) -> None:
        if isinstance(message, Publish):
            message = Publish(context=message.context, events=message.events[::-1])
        super().on_receive(message)
