"""Sessions over HTTP: make, list, read, delete."""

from __future__ import annotations

from typing import assert_never

import falcon

from alex_actors.replies import Deleted, Runtime, SessionDeleting, UnknownSession
from alex_actors.values import SessionId
from alex_http import errors
from alex_http.bodies import Body
from alex_http.exchange import Request
from alex_http.query import Query
from alex_http.wire import SessionIn, SessionsOut, encode, session_detail_out, session_out


class SessionCollection:
    """``/api/sessions``."""

    def __init__(self, *, runtime: Runtime, max_body: int) -> None:
        self._runtime = runtime
        self._body = Body(SessionIn, limit=max_body, optional=True)

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Make a session, unless it exists."""
        Query(req)
        body = self._body.read(req)
        session_id = SessionId(body.session_id) if body.session_id else None

        made = self._runtime.make_session(session_id, body.metadata or {}, req.about())
        if isinstance(made, SessionDeleting):
            req.concerns(None, made.session_id)
            raise errors.SessionIsBeingDeleted(made.session_id)
        req.concerns(None, made.session.session_id)
        resp.status = falcon.HTTP_200 if made.existed else falcon.HTTP_201
        resp.set_header("Location", f"/api/sessions/{made.session.session_id}")
        resp.data = encode(session_out(made.session))

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """List sessions, last used first."""
        query = Query(req, "limit", "offset")
        limit, offset = query.limit(10), query.offset()

        page = self._runtime.sessions(owner=req.owner, limit=limit, offset=offset)
        sessions = [session_out(session) for session in page.sessions]
        resp.data = encode(SessionsOut(sessions=sessions, total=page.total, limit=limit, offset=offset))

    on_head = on_get


class SessionItem:
    """``/api/sessions/{session_id}``."""

    def __init__(self, *, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: Request, resp: falcon.Response, session_id: str) -> None:
        """Read one session, with its conversation and its tasks."""
        Query(req)

        detail = self._runtime.session(SessionId(session_id), owner=req.owner)
        if detail is None:
            raise errors.UnknownSession(session_id)
        req.concerns(None, detail.session.session_id)
        resp.data = encode(session_detail_out(detail))

    on_head = on_get

    def on_delete(self, req: Request, resp: falcon.Response, session_id: str) -> None:
        """Delete one session with all that it has, and answer when it is gone."""
        Query(req)
        known = SessionId(session_id)

        match req.reply_to(lambda wake: self._runtime.delete(known, req.about(), wake=wake)):
            case Deleted():
                req.concerns(None, known)
                resp.status = falcon.HTTP_204
            case UnknownSession():
                raise errors.UnknownSession(session_id)
            case reply:
                assert_never(reply)
