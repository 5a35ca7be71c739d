"""The calls that are about tasks, as the document has them."""

from __future__ import annotations

from collections.abc import Mapping

from alex_http import errors, wire
from alex_http.approvals import NoSuchCallWaits
from alex_http.openapi import examples
from alex_http.openapi.parts import JSON_TYPE, SSE_TYPE, Operation, Parameter, Reply
from alex_http.openapi.shared import AFTER, BODY, FRAMES, ID, LAST_EVENT_ID, OFFSET, STREAM, TASK_ID, limit
from alex_http.query import LONGEST_WAIT

TASK_CALLS: Mapping[tuple[str, str], Operation] = {
    ("/api/tasks", "post"): Operation(
        name="submitTask",
        tag="tasks",
        says="Submit a task.",
        more="The session is confirmed and the task recorded before this is answered; then its agent starts."
        " Absent, null and (for names) the empty string all mean the default.",
        scope="write",
        parameters=[
            Parameter(
                name="Idempotency-Key",
                where="header",
                says="1 to 255 visible characters. For 24 hours, the same key and body start no second task.",
                schema={"type": "string", "pattern": "^[!-~]{1,255}$"},
            )
        ],
        body=wire.SubmitIn,
        body_examples={"short": examples.SUBMIT, "long": examples.LONG_SUBMIT},
        replies=[
            Reply(
                status=status,
                says=says,
                body={JSON_TYPE: wire.TaskOut},
                headers=["Location"],
                example=example,
                links={
                    "readTask": ("task_id", "task_id"),
                    "cancelTask": ("task_id", "task_id"),
                    "followTask": ("task_id", "task_id"),
                    "readSession": ("session_id", "session_id"),
                },
            )
            for status, says, example in (
                (200, "It was submitted before, with this idempotency key.", examples.COMPLETED),
                (201, "The task is recorded.", examples.CREATED),
            )
        ],
        problems=(
            *BODY,
            errors.SessionIsBusy,
            errors.SessionIsBeingDeleted,
            errors.IdempotencyKeyReused,
            errors.TooManyTasks,
        ),
    ),
    ("/api/tasks", "get"): Operation(
        name="listTasks",
        tag="tasks",
        says="List tasks, newest first.",
        scope="read",
        parameters=[
            limit(10),
            OFFSET,
            Parameter(
                name="session_id",
                where="query",
                says="Only tasks of this session; none if there is no such session.",
                schema=ID,
                example=examples.SESSION_ID,
            ),
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
            TASK_ID,
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
        parameters=[TASK_ID],
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
    ("/api/tasks/{task_id}/approvals/{call_id}", "post"): Operation(
        name="decideOnToolCall",
        tag="tasks",
        says="Approve or deny a tool call.",
        more="Answered when that is recorded as an `approval_resolved`. The first word counts.",
        scope="write",
        parameters=[
            TASK_ID,
            Parameter(
                name="call_id",
                where="path",
                says="The tool call, as its `approval_requested` names it.",
                schema={"type": "string"},
                example="call-1",
            ),
        ],
        body=wire.ApprovalIn,
        body_examples={
            "approve": examples.APPROVAL,
            "change": examples.CHANGED_APPROVAL,
            "deny": examples.DENIAL,
        },
        replies=[
            Reply(
                status=200,
                says="It is recorded, and the task goes on.",
                body={JSON_TYPE: wire.TaskOut},
                example=examples.RUNNING,
            )
        ],
        problems=(*BODY, errors.UnknownTask, NoSuchCallWaits),
    ),
    ("/api/approvals", "get"): Operation(
        name="listApprovals",
        tag="tasks",
        says="List the tool calls that wait for a person's word, oldest first.",
        more="Those of sub-agents as well. What was decided on, or has lapsed, is not listed any more.",
        scope="read",
        parameters=[
            limit(10),
            Parameter(
                name="cursor",
                where="query",
                says="The `next_cursor` of the page before.",
                schema={"type": "string", "pattern": "^[0-9]{1,19}$"},
            ),
            Parameter(
                name="session_id",
                where="query",
                says="Only those of tasks of this session; none if there is no such session.",
                schema=ID,
                example=examples.SESSION_ID,
            ),
        ],
        replies=[
            Reply(status=200, says="A page.", body={JSON_TYPE: wire.ApprovalsOut}, example=examples.APPROVALS),
        ],
    ),
    ("/api/tasks/{task_id}/events", "get"): Operation(
        name="followTask",
        tag="events",
        says="Follow a task's events live, or read those that are recorded.",
        more="What `Accept` prefers: `text/event-stream` is the stream, `application/json` a page.\n\n"
        + FRAMES.format(what="task", end="The stream ends after the task's terminal event."),
        scope="read",
        parameters=[
            TASK_ID,
            AFTER,
            LAST_EVENT_ID,
            limit(100, "How many at most. Of a page alone: a stream does not know it."),
        ],
        replies=[
            Reply(
                status=200,
                says="The stream, or a page, oldest first.",
                body={SSE_TYPE: STREAM, JSON_TYPE: wire.EventsOut},
                example=examples.EVENTS,
            ),
            Reply(
                status=204, says="The stream is resumed at or past the task's terminal event: there is no more."
            ),
        ],
        problems=[errors.UnknownTask, errors.NotAcceptable, errors.TooManyStreams],
    ),
}
