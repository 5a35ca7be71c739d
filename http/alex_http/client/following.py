"""Following a task or a session: a position in its events, over any number of connections. No input or output.

What makes it exact: the server sends only events above the position that a connection begins with, in the order
of their ids, and the position moves with each event that is handed out, not with what was received of it. A
frame counts once it is whole. So a connection may end at any byte.
"""

from __future__ import annotations

from httpx_sse import ServerSentEvent

from alex_http.client.errors import TEMPORARY, BadReply, ConnectionFailed, NotFound
from alex_http.client.patience import Patience
from alex_http.client.request_reply import Refusals, Reply, Request, bad_reply, refusal
from alex_http.client.values import UNREADABLE, Event, read_event

LARGEST_RETRY = 3_600_000
"""Milliseconds. A stream that asks for a longer pause is not taken at its word."""


class Following:
    """Where a follower is, and what it does next.

    For each connection: `request`; then, if the reply `is_stream`, `received` for each frame until `ended`, else
    `refused`; and `cut` if it broke, or was over before that.
    """

    def __init__(
        self, *, path: str, refusals: Refusals, task_id: str | None, after: int, patience: Patience
    ) -> None:
        self._path = path
        self._refusals = refusals
        self._task_id = task_id
        self._patience = patience
        self._was_connected = False
        self.last_event_id = after
        """The id of the last event that was handed out: where another follower would go on."""
        self.ended = False
        """There is nothing more to come."""
        self.deleted = False
        """It ended because the session was deleted."""

    def request(self) -> Request:
        """Return the next request, with what is left of the pause before it."""
        position = {"Last-Event-ID": str(self.last_event_id)} if self.last_event_id else {}
        return Request(method="GET", path=self._path, headers=position, pause=self._patience.left())

    def is_stream(self, status: int, content_type: str) -> bool:
        """Return whether a reply that begins like this is followed; else it is `refused`, when it is whole."""
        return status == 200 and content_type.partition(";")[0].strip().lower() == "text/event-stream"

    def refused(self, reply: Reply) -> None:
        """Take a reply that is no stream. Raises the error that it is, unless that may pass, and GaveUp."""
        if reply.status == 204:
            self.ended = True
            return
        if 200 <= reply.status < 300:
            raise bad_reply(reply, "an event stream was asked for")
        error = refusal(reply, self._refusals)
        if isinstance(error, NotFound) and self._was_connected:
            # It was there before, and its last words were lost on the way.
            self.ended = self.deleted = True
        elif isinstance(error, TEMPORARY):
            self._patience.failed(error)
        else:
            raise error

    def received(self, frame: ServerSentEvent) -> Event | None:
        """Take one frame; return the event to hand out, if it is one. Raises BadReply."""
        if frame.retry is not None and frame.retry <= LARGEST_RETRY:
            self._patience.retry(frame.retry / 1000)
        if frame.event == "connected":
            self._contact()
            return None
        if frame.event == "session_deleted":
            self.ended = self.deleted = True
            return None
        if not frame.data:
            return None
        event = _event(frame)
        self._contact()
        if event is None or event.event_id <= self.last_event_id:
            return None
        self.last_event_id = event.event_id
        self.ended = event.is_terminal and event.task_id == self._task_id
        return event

    def cut(self, reason: ConnectionFailed) -> None:
        """Note that the connection is no more. Raises GaveUp."""
        self._patience.failed(reason)

    def _contact(self) -> None:
        self._was_connected = True
        self._patience.reached()


class Follower:
    """What both clients' streams tell of where they are."""

    def __init__(self, following: Following) -> None:
        self._following = following

    @property
    def last_event_id(self) -> int:
        """The id of the last event that came out: keep it, and go on after it some other time."""
        return self._following.last_event_id

    @property
    def deleted(self) -> bool:
        """Whether it ended because the session was deleted."""
        return self._following.deleted


def _event(frame: ServerSentEvent) -> Event | None:
    """Return the event of a frame; None if a newer server tells of something else."""
    try:
        return read_event(frame.data)
    except UNREADABLE as error:
        raise BadReply(f"This is no event of Alex Runtime ({error}): {frame.data[:200]!r}") from error
