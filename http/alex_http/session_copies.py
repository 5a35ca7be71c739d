"""Sessions made from others, over HTTP: fork, export, import."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import falcon

from alex_actors.ports import Clock
from alex_actors.replies import (
    Awaited,
    ForkReply,
    Runtime,
    SessionDeleting,
    SessionDetail,
    SessionExists,
    SessionForked,
    SessionImported,
    SessionTooLarge,
    TaskExists,
    UnknownSession,
    WorkspaceTooLarge,
)
from alex_actors.values import SessionId, timestamp
from alex_http import copy_problems, errors
from alex_http.bodies import Body, read_json
from alex_http.documents import document_out
from alex_http.exchange import Request
from alex_http.imports import read_document
from alex_http.query import Query
from alex_http.wire import SessionIn, encode, session_detail_out


class SessionFork:
    """``/api/sessions/{session_id}/fork``."""

    def __init__(self, *, runtime: Runtime, max_body: int) -> None:
        self._runtime = runtime
        self._body = Body(SessionIn, limit=max_body, optional=True)

    def on_post(self, req: Request, resp: falcon.Response, session_id: str) -> None:
        """Make a session with a copy of another one's messages and files, and answer when it is there."""
        Query(req)

        match req.reply_to(lambda wake: self._fork(req, SessionId(session_id), wake)):
            case SessionForked(detail=detail):
                _made(req, resp, detail)
            case SessionExists(session_id=existing):
                raise copy_problems.SessionIsThere(existing)
            case SessionDeleting(session_id=deleted):
                raise errors.SessionIsBeingDeleted(deleted)
            case UnknownSession():
                raise errors.UnknownSession(session_id)
            case WorkspaceTooLarge():
                raise copy_problems.WorkspaceTooLarge
            case reply:
                assert_never(reply)

    def _fork(self, req: Request, source: SessionId, wake: Callable[[], None]) -> Awaited[ForkReply]:
        body = self._body.read(req)
        new_id = SessionId(body.session_id) if body.session_id else None
        return self._runtime.fork(source, new_id, body.metadata, req.about(), wake=wake)


class SessionExport:
    """``/api/sessions/{session_id}/export``. ``max_import``: bytes of the longest document that is imported."""

    def __init__(self, *, runtime: Runtime, clock: Clock, max_import: int) -> None:
        self._runtime = runtime
        self._clock = clock
        self._max_import = max_import

    def on_get(self, req: Request, resp: falcon.Response, session_id: str) -> None:
        """Give all that is recorded of a session, as one document."""
        Query(req)

        at = timestamp(self._clock.now())
        exported = self._runtime.export(SessionId(session_id), owner=req.owner, most_bytes=self._max_import)
        if exported is None:
            raise errors.UnknownSession(session_id)
        if isinstance(exported, SessionTooLarge):
            raise copy_problems.SessionTooLarge(exported.limit)
        req.concerns(None, exported.detail.session.session_id)
        data = encode(document_out(exported, at))
        if len(data) > self._max_import:
            raise copy_problems.SessionTooLarge(self._max_import)
        resp.data = data

    on_head = on_get


class SessionImport:
    """``/api/import``. ``max_body`` in bytes."""

    def __init__(self, *, runtime: Runtime, clock: Clock, max_body: int) -> None:
        self._runtime = runtime
        self._clock = clock
        self._max_body = max_body

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Record a session as a document has it, and answer when it is there."""
        Query(req)

        # Within the call: it is made once, and so the document is read once.
        match req.reply_to(
            lambda wake: self._runtime.take_in(
                read_document(read_json(req, limit=self._max_body), self._clock.now()), req.about(), wake=wake
            )
        ):
            case SessionImported(detail=detail):
                _made(req, resp, detail)
            case SessionExists(session_id=existing):
                raise copy_problems.SessionIsThere(existing)
            case SessionDeleting(session_id=deleted):
                raise errors.SessionIsBeingDeleted(deleted)
            case TaskExists(task_id=task_id):
                raise copy_problems.TaskIsThere(task_id)
            case reply:
                assert_never(reply)


def _made(req: Request, resp: falcon.Response, detail: SessionDetail) -> None:
    session_id = detail.session.session_id
    req.concerns(None, session_id)
    resp.status = falcon.HTTP_201
    resp.set_header("Location", f"/api/sessions/{session_id}")
    resp.data = encode(session_detail_out(detail))
