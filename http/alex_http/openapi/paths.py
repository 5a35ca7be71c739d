"""All calls, by path and method: what the document tells of each. ``app`` has the same paths in its table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from alex_http import denials, errors, wire
from alex_http.openapi import examples
from alex_http.openapi.parts import JSON_TYPE, SSE_TYPE, Json, Operation, Parameter, Reply
from alex_http.query import LARGEST, LONGEST_WAIT

COMMON = (
    errors.MissingHost,
    errors.MalformedRequest,
    errors.BadParameters,
    denials.ForeignHost,
    denials.ForeignOrigin,
    errors.BodyTooLarge,
    errors.HeadersTooLarge,
    errors.InternalError,
    errors.UnknownTransferCoding,
    errors.ServiceUnavailable,
)
"""What any call may be answered with."""

BODY = (errors.BadBody, errors.BadFields, errors.NotJson)
"""What a call with a JSON body may be answered with."""

_ID: Json = {"type": "string", "pattern": f"^{wire.ID_PATTERN}$"}
_COUNT: Json = {"type": "integer", "minimum": 0, "maximum": LARGEST}
_STREAM: Json = {"type": "string", "description": "Server-sent events; the data of each is an `Event`."}

_TASK_ID = Parameter(
    name="task_id", where="path", says="The task.", schema={"type": "string"}, example=examples.TASK_ID
)
_SESSION_ID = Parameter(
    name="session_id", where="path", says="The session.", schema={"type": "string"}, example=examples.SESSION_ID
)
_OFFSET = Parameter(name="offset", where="query", says="How many to skip.", schema=_COUNT | {"default": 0})
_AFTER = Parameter(
    name="after", where="query", says="Only events with a larger id.", schema=_COUNT | {"default": 0}
)
_LAST_EVENT_ID = Parameter(
    name="Last-Event-ID", where="header", says="The same as `after`, which it beats.", schema=_COUNT
)


def _limit(default: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": 1000, "default": default}
    return Parameter(name="limit", where="query", says="How many at most.", schema=schema)


def _of_session(name: str, says: str) -> Parameter:
    return Parameter(name=name, where="query", says=says, schema=_ID, example=examples.SESSION_ID)


_FRAMES = (
    "The first frame is `event: connected`, without an id. Then every event of the {what} above the position asked"
    " for comes once, in the order of the ids: the recorded ones, then the live ones. `id:` is the event's id,"
    " `event:` its type, `data:` one line of JSON, an `Event`. Without an event a comment comes every 10 seconds."
    " {end}"
)

_TASKS = {
    ("/api/tasks", "post"): Operation(
        name="submitTask",
        tag="tasks",
        says="Submit a task.",
        more="The session is confirmed and the task recorded before this is answered; then its agent starts."
        " Absent, null and (for names) the empty string all mean the default.",
        scope="write",
        body=wire.SubmitIn,
        body_examples={"short": examples.SUBMIT, "long": examples.LONG_SUBMIT},
        replies=[
            Reply(
                status=201,
                says="The task is recorded.",
                body={JSON_TYPE: wire.TaskOut},
                headers=["Location"],
                example=examples.CREATED,
                links={
                    "readTask": ("task_id", "task_id"),
                    "cancelTask": ("task_id", "task_id"),
                    "followTask": ("task_id", "task_id"),
                    "readSession": ("session_id", "session_id"),
                },
            )
        ],
        problems=(*BODY, errors.SessionIsBusy, errors.SessionIsBeingDeleted, errors.TooManyTasks),
    ),
    ("/api/tasks", "get"): Operation(
        name="listTasks",
        tag="tasks",
        says="List tasks, newest first.",
        scope="read",
        parameters=[
            _limit(10),
            _OFFSET,
            _of_session("session_id", "Only tasks of this session; none if there is no such session."),
            Parameter(
                name="status",
                where="query",
                says="Only tasks in this status.",
                schema={"enum": ["pending", "running", "completed", "failed", "cancelled"]},
            ),
        ],
        replies=[
            Reply(status=200, says="A page.", body={JSON_TYPE: wire.TasksOut}, example=examples.TASKS),
        ],
    ),
    ("/api/tasks/{task_id}", "get"): Operation(
        name="readTask",
        tag="tasks",
        says="Read a task, or wait for its end.",
        scope="read",
        parameters=[
            _TASK_ID,
            Parameter(
                name="wait",
                where="query",
                says="Seconds for which the reply is held back, unless the task ends before.",
                schema={"type": "number", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
            ),
        ],
        replies=[Reply(status=200, says="The task.", body={JSON_TYPE: wire.TaskOut}, example=examples.COMPLETED)],
        problems=[errors.UnknownTask],
    ),
    ("/api/tasks/{task_id}/cancel", "post"): Operation(
        name="cancelTask",
        tag="tasks",
        says="Cancel a task.",
        more="Answered when the end of the task is recorded. It needs no body; one may have any Content-Type.",
        scope="write",
        parameters=[_TASK_ID],
        body=wire.EmptyIn,
        body_required=False,
        body_examples={"empty": {}},
        replies=[
            Reply(
                status=200,
                says="It is cancelled.",
                body={JSON_TYPE: wire.CancelledOut},
                example=examples.CANCELLED,
            )
        ],
        problems=(errors.BadBody, errors.BadFields, errors.UnknownTask, errors.TaskHasEnded),
    ),
    ("/api/tasks/{task_id}/events", "get"): Operation(
        name="followTask",
        tag="events",
        says="Follow a task's events live, or read those that are recorded.",
        more="What `Accept` prefers: `text/event-stream` is the stream, `application/json` a page.\n\n"
        + _FRAMES.format(what="task", end="The stream ends after the task's terminal event."),
        scope="read",
        parameters=[
            _TASK_ID,
            _AFTER,
            _LAST_EVENT_ID,
            Parameter(
                name="limit",
                where="query",
                says="How many at most. Of a page alone: a stream does not know it.",
                schema={"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            ),
        ],
        replies=[
            Reply(
                status=200,
                says="The stream, or a page, oldest first.",
                body={SSE_TYPE: _STREAM, JSON_TYPE: wire.EventsOut},
                example=examples.EVENTS,
            ),
            Reply(
                status=204, says="The stream is resumed at or past the task's terminal event: there is no more."
            ),
        ],
        problems=[errors.UnknownTask, errors.NotAcceptable, errors.TooManyStreams],
    ),
}

_SESSIONS = {
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
                links={name: ("session_id", "id") for name in ("readSession", "followSession", "deleteSession")},
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
        parameters=[_limit(10), _OFFSET],
        replies=[
            Reply(status=200, says="A page.", body={JSON_TYPE: wire.SessionsOut}, example=examples.SESSIONS),
        ],
    ),
    ("/api/sessions/{session_id}", "get"): Operation(
        name="readSession",
        tag="sessions",
        says="Read a session, with its conversation and its tasks.",
        scope="read",
        parameters=[_SESSION_ID],
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
        parameters=[_SESSION_ID],
        replies=[Reply(status=204, says="It is gone.")],
        problems=[errors.UnknownSession],
    ),
    ("/api/sessions/{session_id}/events", "get"): Operation(
        name="followSession",
        tag="events",
        says="Follow the events of all tasks of a session.",
        more=_FRAMES.format(
            what="session", end="The stream stays open; `event: session_deleted`, without an id, ends it."
        ),
        scope="read",
        parameters=[_SESSION_ID, _AFTER, _LAST_EVENT_ID],
        replies=[Reply(status=200, says="The stream.", body={SSE_TYPE: _STREAM})],
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
                schema=_ID,
                required=True,
                example=examples.SESSION_ID,
            ),
            _AFTER,
            _LAST_EVENT_ID,
        ],
        replies=[Reply(status=200, says="The stream.", body={SSE_TYPE: _STREAM})],
        problems=[errors.UnknownSession, errors.NotAcceptable, errors.TooManyStreams],
    ),
}

_SERVER = {
    ("/health", "get"): Operation(
        name="health",
        tag="server",
        says="Tell how each component is.",
        scope=None,
        replies=[
            Reply(status=200, says="All of them do their work.", body={JSON_TYPE: wire.HealthOut}),
            Reply(status=503, says="One is down.", body={JSON_TYPE: wire.HealthOut}, headers=["Retry-After"]),
        ],
    ),
    ("/ready", "get"): Operation(
        name="ready",
        tag="server",
        says="Tell whether tasks are accepted.",
        scope=None,
        replies=[Reply(status=200, says="They are.", body={JSON_TYPE: wire.ReadyOut}, example=examples.READY)],
        problems=[errors.NotReady],
    ),
    ("/openapi.json", "get"): Operation(
        name="openapi",
        tag="server",
        says="Read this document.",
        scope="read",
        replies=[Reply(status=200, says="The document.", body={JSON_TYPE: {"type": "object"}})],
    ),
}

OPERATIONS: Mapping[tuple[str, str], Operation] = MappingProxyType(_TASKS | _SESSIONS | _SERVER)
"""By path and method."""
