"""The calls that are about sessions, as the document has them."""

from __future__ import annotations

from collections.abc import Mapping

from alex_http import copy_problems, errors, wire
from alex_http.documents import DocumentIn, DocumentOut
from alex_http.openapi import examples
from alex_http.openapi.parts import JSON_TYPE, SSE_TYPE, Operation, Parameter, Reply
from alex_http.openapi.shared import AFTER, BODY, FRAMES, ID, LAST_EVENT_ID, OFFSET, SESSION_ID, STREAM, limit

SESSION_CALLS: Mapping[tuple[str, str], Operation] = {
    ("/api/sessions", "post"): Operation(
        name="makeSession",
        tag="sessions",
        says="Make a session, unless it exists.",
        scope="write",
        body=wire.SessionIn,
        body_required=False,
        body_examples={"named": examples.SESSION_IN, "any": {}},
        replies=[
            Reply(
                status=status,
                says=says,
                body={JSON_TYPE: wire.SessionOut},
                headers=["Location"],
                example=examples.MADE_SESSION,
                links=dict.fromkeys(("readSession", "followSession", "deleteSession"), ("session_id", "id")),
            )
            for status, says in ((200, "It existed; its metadata is as it was."), (201, "It is made."))
        ],
        problems=(*BODY, errors.SessionIsBeingDeleted),
    ),
    ("/api/sessions", "get"): Operation(
        name="listSessions",
        tag="sessions",
        says="List sessions, last used first.",
        scope="read",
        parameters=[limit(10), OFFSET],
        replies=[
            Reply(status=200, says="A page.", body={JSON_TYPE: wire.SessionsOut}, example=examples.SESSIONS),
        ],
    ),
    ("/api/sessions/{session_id}", "get"): Operation(
        name="readSession",
        tag="sessions",
        says="Read a session, with its conversation and its tasks.",
        scope="read",
        parameters=[SESSION_ID],
        replies=[
            Reply(
                status=200,
                says="The session.",
                body={JSON_TYPE: wire.SessionDetailOut},
                example=examples.SESSION_DETAIL,
            )
        ],
        problems=[errors.UnknownSession],
    ),
    ("/api/sessions/{session_id}", "delete"): Operation(
        name="deleteSession",
        tag="sessions",
        says="Delete a session with all that it has; its unfinished tasks are cancelled first.",
        scope="write",
        parameters=[SESSION_ID],
        replies=[Reply(status=204, says="It is gone.")],
        problems=[errors.UnknownSession],
    ),
    ("/api/sessions/{session_id}/fork", "post"): Operation(
        name="forkSession",
        tag="sessions",
        says="Make a session with a copy of another one's conversation and files.",
        scope="write",
        parameters=[SESSION_ID],
        body=wire.SessionIn,
        body_required=False,
        body_examples={"named": examples.FORK, "any": {}},
        replies=[
            Reply(
                status=201,
                says="The new session.",
                body={JSON_TYPE: wire.SessionDetailOut},
                headers=["Location"],
                example=examples.FORKED,
                links=dict.fromkeys(("readSession", "deleteSession"), ("session_id", "id")),
            )
        ],
        problems=(
            *BODY,
            errors.UnknownSession,
            errors.SessionIsBeingDeleted,
            copy_problems.SessionIsThere,
            copy_problems.WorkspaceTooLarge,
        ),
    ),
    ("/api/sessions/{session_id}/export", "get"): Operation(
        name="exportSession",
        tag="sessions",
        says="Read all that is recorded of a session, as one document.",
        scope="read",
        parameters=[SESSION_ID],
        replies=[
            Reply(status=200, says="The document.", body={JSON_TYPE: DocumentOut}, example=examples.DOCUMENT)
        ],
        problems=[errors.UnknownSession, copy_problems.SessionTooLarge],
    ),
    ("/api/import", "post"): Operation(
        name="importSession",
        tag="sessions",
        says="Make the session that was exported.",
        more="The same session, tasks and messages, and the events in their order, under new ids. Tasks that had"
        " not ended come back as failed, with reason `interrupted`.",
        scope="write",
        body=DocumentIn,
        body_examples={"without tasks": examples.DOCUMENT},
        replies=[
            Reply(
                status=201,
                says="The session is there.",
                body={JSON_TYPE: wire.SessionDetailOut},
                headers=["Location"],
            )
        ],
        problems=(
            *BODY,
            errors.SessionIsBeingDeleted,
            copy_problems.SessionIsThere,
            copy_problems.TaskIsThere,
        ),
    ),
    ("/api/sessions/{session_id}/events", "get"): Operation(
        name="followSession",
        tag="events",
        says="Follow the events of all tasks of a session.",
        more=FRAMES.format(
            what="session", end="The stream stays open; `event: session_deleted`, without an id, ends it."
        ),
        scope="read",
        parameters=[SESSION_ID, AFTER, LAST_EVENT_ID],
        replies=[Reply(status=200, says="The stream.", body={SSE_TYPE: STREAM})],
        problems=[errors.UnknownSession, errors.NotAcceptable, errors.TooManyStreams],
    ),
    ("/api/sse", "get"): Operation(
        name="followNamedSession",
        tag="events",
        says="Follow the events of all tasks of a session, which the query names.",
        more="The same stream as `/api/sessions/{session_id}/events`.",
        scope="read",
        parameters=[
            Parameter(
                name="session_id",
                where="query",
                says="The session.",
                schema=ID,
                required=True,
                example=examples.SESSION_ID,
            ),
            AFTER,
            LAST_EVENT_ID,
        ],
        replies=[Reply(status=200, says="The stream.", body={SSE_TYPE: STREAM})],
        problems=[errors.UnknownSession, errors.NotAcceptable, errors.TooManyStreams],
    ),
}
