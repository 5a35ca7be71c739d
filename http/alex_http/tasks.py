"""Tasks over HTTP: submit, list, read, cancel, and the events that were recorded."""

from __future__ import annotations

from typing import assert_never

import falcon
from falcon.errors import InvalidMediaRange, InvalidMediaType
from falcon.util import mediatypes

from alex_actors.replies import (
    AlreadyEnded,
    Cancelled,
    Runtime,
    SessionBusy,
    Submitted,
    TooManyTasks,
    UnknownTask,
)
from alex_actors.values import TaskId
from alex_http import errors
from alex_http.bodies import Body
from alex_http.catalog import Catalog
from alex_http.exchange import Request
from alex_http.query import Query
from alex_http.wire import CancelledOut, EmptyIn, SubmitIn, TasksOut, encode, events_out, task_out


class TaskCollection:
    """``/api/tasks``."""

    def __init__(self, *, runtime: Runtime, catalog: Catalog, max_body: int) -> None:
        self._runtime = runtime
        self._catalog = catalog
        self._body = Body(SubmitIn, limit=max_body)

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Submit a task."""
        Query(req)
        new = self._catalog.new_task(self._body.read(req))

        match self._runtime.submit(new, req.about()):
            case Submitted(task=task):
                req.concerns(task.task_id, task.session_id)
                resp.status = falcon.HTTP_201
                resp.set_header("Location", f"/api/tasks/{task.task_id}")
                resp.data = encode(task_out(task))
            case SessionBusy(session_id=session_id, unfinished=unfinished):
                req.concerns(None, session_id)
                raise errors.SessionIsBusy(session_id, unfinished)
            case TooManyTasks(limit=limit):
                raise errors.TooManyTasks(limit)
            case reply:
                assert_never(reply)

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """List tasks, newest first."""
        query = Query(req, "limit", "offset", "session_id", "status")
        limit, offset, session_id = query.limit(10), query.offset(), query.session_id()

        page = self._runtime.tasks(limit=limit, offset=offset, session_id=session_id, status=query.status())
        if page.total:
            req.concerns(None, session_id)
        tasks = [task_out(task) for task in page.tasks]
        resp.data = encode(TasksOut(tasks=tasks, total=page.total, limit=limit, offset=offset))

    on_head = on_get


class TaskItem:
    """``/api/tasks/{task_id}``."""

    def __init__(self, *, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: Request, resp: falcon.Response, task_id: str) -> None:
        """Read one task."""
        Query(req)

        task = self._runtime.task(TaskId(task_id))
        if task is None:
            raise errors.UnknownTask(task_id)
        req.concerns(task.task_id, task.session_id)
        resp.data = encode(task_out(task))

    on_head = on_get


class TaskCancellation:
    """``/api/tasks/{task_id}/cancel``."""

    def __init__(self, *, runtime: Runtime, max_body: int) -> None:
        self._runtime = runtime
        self._body = Body(EmptyIn, limit=max_body, optional=True)

    def on_post(self, req: Request, resp: falcon.Response, task_id: str) -> None:
        """Cancel a task, and answer when the cancellation is recorded."""
        Query(req)
        self._body.read_untyped(req)

        match self._runtime.cancel(TaskId(task_id), req.about()):
            case Cancelled():
                req.concerns(TaskId(task_id), None)
                resp.data = encode(CancelledOut(task_id=task_id))
            case AlreadyEnded(status=status):
                req.concerns(TaskId(task_id), None)
                raise errors.TaskHasEnded(task_id, status)
            case UnknownTask():
                raise errors.UnknownTask(task_id)
            case reply:
                assert_never(reply)


class TaskEvents:
    """``/api/tasks/{task_id}/events``."""

    def __init__(self, *, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: Request, resp: falcon.Response, task_id: str) -> None:
        """Read a page of a task's recorded events, oldest first."""
        if not _prefers_json(req.accept):
            raise errors.NotAcceptable
        query = Query(req, "after", "limit")
        after, limit = query.after(), query.limit(100)

        events = self._runtime.events(TaskId(task_id), after=after, limit=limit)
        if events is None:
            raise errors.UnknownTask(task_id)
        req.concerns(TaskId(task_id), None)
        resp.data = encode(events_out(events, after))

    on_head = on_get


def _prefers_json(accept: str) -> bool:
    """Return whether JSON is asked for. Without a preference, this address means its event stream."""
    try:
        return mediatypes.quality("application/json", accept) > mediatypes.quality("text/event-stream", accept)
    except (InvalidMediaRange, InvalidMediaType):
        return False
