"""Tasks over HTTP: submit, list, read, cancel."""

from __future__ import annotations

from typing import assert_never

import falcon

from alex_actors.broadcaster_protocol import TaskTopic
from alex_actors.replies import (
    AlreadyEnded,
    Cancelled,
    KeyReused,
    Repeated,
    Runtime,
    SessionBusy,
    SessionDeleting,
    Submitted,
    TooManyTasks,
    UnknownTask,
)
from alex_actors.tasks import UNFINISHED
from alex_actors.values import TaskId
from alex_http import errors
from alex_http.bodies import Body
from alex_http.catalog import Catalog
from alex_http.exchange import Request
from alex_http.idempotency import idempotency_key
from alex_http.query import Query
from alex_http.wire import CancelledOut, EmptyIn, SubmitIn, TasksOut, encode, task_out


class TaskCollection:
    """``/api/tasks``."""

    def __init__(self, *, runtime: Runtime, catalog: Catalog, max_body: int) -> None:
        self._runtime = runtime
        self._catalog = catalog
        self._body = Body(SubmitIn, limit=max_body)

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Submit a task."""
        Query(req)
        body, data = self._body.read_with_data(req)
        key = idempotency_key(req, data)
        new = self._catalog.new_task(body)

        match self._runtime.submit(new, req.about(), key=key):
            case Submitted(task=task):
                req.concerns(task.task_id, task.session_id)
                resp.status = falcon.HTTP_201
                resp.set_header("Location", f"/api/tasks/{task.task_id}")
                resp.data = encode(task_out(task))
            case Repeated(task=task):
                req.concerns(task.task_id, task.session_id)
                resp.set_header("Location", f"/api/tasks/{task.task_id}")
                resp.data = encode(task_out(task))
            case KeyReused(key=used):
                raise errors.IdempotencyKeyReused(used)
            case SessionBusy(session_id=session_id, unfinished=unfinished):
                req.concerns(None, session_id)
                raise errors.SessionIsBusy(session_id, unfinished)
            case SessionDeleting(session_id=session_id):
                req.concerns(None, session_id)
                raise errors.SessionIsBeingDeleted(session_id)
            case TooManyTasks(limit=limit):
                raise errors.TooManyTasks(limit)
            case reply:
                assert_never(reply)

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """List tasks, newest first."""
        query = Query(req, "limit", "offset", "session_id", "status")
        limit, offset, session_id = query.limit(10), query.offset(), query.session_id()

        page = self._runtime.tasks(
            owner=req.owner, limit=limit, offset=offset, session_id=session_id, status=query.status()
        )
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
        """Read one task; with ``wait``, not before it has ended or that many seconds are over."""
        wait = Query(req, "wait").wait()

        task = self._runtime.task(TaskId(task_id), owner=req.owner)
        if task is None:
            raise errors.UnknownTask(task_id)
        req.concerns(task.task_id, task.session_id)
        if wait and task.status in UNFINISHED:
            topic = TaskTopic(task.task_id, req.owner)
            req.wait_for_news(wait, lambda wake: self._runtime.watch_end(topic, wake=wake))
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

        match req.reply_to(lambda wake: self._runtime.cancel(TaskId(task_id), req.about(), wake=wake)):
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
