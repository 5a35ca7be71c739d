"""Event streams over HTTP: of one task, and of all tasks of a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import falcon
from falcon.errors import InvalidMediaRange, InvalidMediaType
from falcon.util import mediatypes
from structlog.typing import FilteringBoundLogger

from alex_actors.replies import Runtime
from alex_actors.tasks import UNFINISHED
from alex_actors.values import SessionId, TaskId
from alex_http import errors
from alex_http.callers import Caller
from alex_http.exchange import Request
from alex_http.feeds import EventFeed, Frames
from alex_http.query import Query
from alex_http.request_tally import StreamTally
from alex_http.wire import encode, events_out

if TYPE_CHECKING:
    from alex_http.transport.feed import Reason

MEDIA_TYPE = "text/event-stream"


class EventStreams:
    """Opens streams. One object for all of them: they share their frames."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        may_stay: Callable[[Caller], bool],
        log: FilteringBoundLogger,
        tally: StreamTally,
    ) -> None:
        """``may_stay`` tells whether who opened a stream may still be sent what is new."""
        self._tally = tally
        self._runtime = runtime
        self._may_stay = may_stay
        self._log = log
        self._frames = Frames()

    def open(
        self, req: Request, resp: falcon.Response, *, task_id: TaskId | None, session_id: SessionId, after: int
    ) -> None:
        """Make the reply a stream of the events above the id ``after``. Raises TooManyStreams."""
        req.concerns(task_id, session_id)
        resp.content_type = f"{MEDIA_TYPE}; charset=utf-8"
        resp.set_header("X-Accel-Buffering", "no")  # nginx would keep events back
        resp.stream = iter(())  # else Falcon says that the body has no bytes
        if req.method == "HEAD":
            return
        about = {"session_id": session_id, "request_id": req.request_id, "trace_id": req.trace_id}
        if task_id is not None:
            about["task_id"] = task_id
        feed = EventFeed(
            runtime=self._runtime,
            frames=self._frames,
            task_id=task_id,
            session_id=session_id,
            owner=req.owner,
            after=after,
            may_stay=partial(self._may_stay, req.caller),
            closed=partial(self._note_closed, about),
            sent=self._tally.send,
        )
        if not req.hold.stream(feed):
            raise errors.TooManyStreams

    def _note_closed(self, about: dict[str, str], reason: Reason, events: int) -> None:
        self._tally.close(reason)
        self._log.info("stream.closed", reason=reason, events=events, **about)


class TaskEvents:
    """``/api/tasks/{task_id}/events``."""

    def __init__(self, *, runtime: Runtime, streams: EventStreams) -> None:
        self._runtime = runtime
        self._streams = streams

    def on_get(self, req: Request, resp: falcon.Response, task_id: str) -> None:
        """Stream a task's events; or read a page of those recorded, oldest first, for who prefers JSON."""
        answer = _preferred(req.accept, {MEDIA_TYPE: self._stream, falcon.MEDIA_JSON: self._page})
        answer(req, resp, TaskId(task_id))

    on_head = on_get

    def _page(self, req: Request, resp: falcon.Response, task_id: TaskId) -> None:
        query = Query(req, "after", "limit")
        after, limit = query.after(), query.limit(100)

        events = self._runtime.events(task_id, owner=req.owner, after=after, limit=limit)
        if events is None:
            raise errors.UnknownTask(task_id)
        req.concerns(task_id, None)
        resp.data = encode(events_out(events, after))

    def _stream(self, req: Request, resp: falcon.Response, task_id: TaskId) -> None:
        after = Query(req, "after").position()

        task = self._runtime.task(task_id, owner=req.owner)
        if task is None:
            raise errors.UnknownTask(task_id)
        # Read in this order: once it is seen to have ended, its last event is recorded.
        ended = task.status not in UNFINISHED
        if after and ended and not self._runtime.events(task_id, owner=req.owner, after=after, limit=1):
            req.concerns(task_id, task.session_id)
            resp.status = falcon.HTTP_204  # tells an EventSource to stop
            return
        self._streams.open(req, resp, task_id=task_id, session_id=task.session_id, after=after)


class SessionEvents:
    """``/api/sessions/{session_id}/events``."""

    def __init__(self, *, runtime: Runtime, streams: EventStreams) -> None:
        self._runtime = runtime
        self._streams = streams

    def on_get(self, req: Request, resp: falcon.Response, session_id: str) -> None:
        """Stream the events of all tasks of a session."""
        self.open(req, resp, session_id, after=Query(req, "after").position())

    on_head = on_get

    def open(self, req: Request, resp: falcon.Response, session_id: str, *, after: int) -> None:
        """Stream the events of a session above the id ``after``."""
        _preferred(req.accept, {MEDIA_TYPE: self._streams.open})
        if not self._runtime.has_session(SessionId(session_id), owner=req.owner):
            raise errors.UnknownSession(session_id)
        self._streams.open(req, resp, task_id=None, session_id=SessionId(session_id), after=after)


class NamedSessionEvents:
    """``/api/sse``: the same stream, for who has to name its session in the query."""

    def __init__(self, *, of_session: SessionEvents) -> None:
        self._of_session = of_session

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Stream the events of the session that the query names."""
        query = Query(req, "session_id", "after")
        self._of_session.open(req, resp, query.required_session_id(), after=query.position())

    on_head = on_get


def _preferred(accept: str, answers: dict[str, Callable[..., None]]) -> Callable[..., None]:
    """Return what is answered, the first of those that a client likes best. Raises NotAcceptable."""
    try:
        liked = {media_type: mediatypes.quality(media_type, accept) for media_type in answers}
    except (InvalidMediaRange, InvalidMediaType):
        liked = dict.fromkeys(answers, 1.0)  # what is no media range says nothing
    best = max(liked, key=liked.__getitem__)
    if not liked[best]:
        raise errors.NotAcceptable(tuple(answers))
    return answers[best]
