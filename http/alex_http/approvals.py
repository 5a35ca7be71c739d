"""Approvals over HTTP: the tool calls that wait for a person's word, and that word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import falcon
import msgspec

from alex_actors.ports import Decision
from alex_actors.replies import ApproveReply, Awaited, Decided, NothingWaits, Runtime, UnknownTask
from alex_actors.values import TaskId
from alex_http import errors
from alex_http.bodies import Body
from alex_http.exchange import Request
from alex_http.query import Query
from alex_http.wire import ApprovalIn, approvals_out, encode, task_out

LARGEST_ARGUMENTS = 262_144
"""Bytes of arguments as JSON: a quarter of an event's, since taking secrets out may make them longer."""


class NoSuchCallWaits(errors.Conflict):
    """No tool call of this ID waits for approval."""

    def __init__(self, call_id: str, task_id: str, why: Literal["unknown", "decided", "ended"]) -> None:
        call, task = errors.quoted(call_id), errors.quoted(task_id)
        match why:
            case "unknown":
                text = (
                    f"No tool call {call} of the task {task} waits for approval."
                    " The task's approval_requested events name those that do, or did."
                )
            case "decided":
                text = f"The tool call {call} of the task {task} was decided on already. The first word counts."
            case "ended":
                text = f"The task {task} has ended: none of its tool calls waits for approval any more."
            case _:
                assert_never(why)
        super().__init__(text)


class ApprovalCollection:
    """``/api/approvals``."""

    def __init__(self, *, runtime: Runtime) -> None:
        self._runtime = runtime

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """List the tool calls that wait, those first that were asked about first."""
        query = Query(req, "limit", "cursor", "session_id")
        limit, cursor, session_id = query.limit(10), query.cursor(), query.session_id()

        page = self._runtime.waiting_calls(owner=req.owner, limit=limit, after=cursor, session_id=session_id)
        if page.calls:
            req.concerns(None, session_id)
        resp.data = encode(approvals_out(page))

    on_head = on_get


class TaskApproval:
    """``/api/tasks/{task_id}/approvals/{call_id}``."""

    def __init__(self, *, runtime: Runtime, max_body: int) -> None:
        self._runtime = runtime
        self._body = Body(ApprovalIn, limit=max_body)

    def on_post(self, req: Request, resp: falcon.Response, task_id: str, call_id: str) -> None:
        """Approve or deny a tool call, and answer when that is recorded."""
        Query(req)
        task_name = TaskId(task_id)

        match req.reply_to(lambda wake: self._approve(req, task_name, call_id, wake)):
            case Decided(task=task):
                req.concerns(task.task_id, task.session_id)
                resp.data = encode(task_out(task))
            case NothingWaits(why=why):
                req.concerns(task_name, None)
                raise NoSuchCallWaits(call_id, task_id, why)
            case UnknownTask():
                raise errors.UnknownTask(task_id)
            case reply:
                assert_never(reply)

    def _approve(
        self, req: Request, task_id: TaskId, call_id: str, wake: Callable[[], None]
    ) -> Awaited[ApproveReply]:
        decision = _decision(self._body.read(req))
        return self._runtime.approve(task_id, call_id, decision, req.about(), wake=wake)


def _decision(body: ApprovalIn) -> Decision:
    """Return the decision that a body is. Raises BadFields for arguments that cannot be recorded."""
    try:
        length = len(msgspec.json.encode(body.arguments))
    except OverflowError:
        raise errors.BadFields([errors.FieldError("arguments", "have a number that is too large")]) from None
    if length > LARGEST_ARGUMENTS:
        reason = f"must have at most {LARGEST_ARGUMENTS:,} bytes as JSON; they had {length:,}"
        raise errors.BadFields([errors.FieldError("arguments", reason)])
    arguments = body.arguments if body.approved else None  # what is denied is not run
    return Decision(approved=body.approved, reason=body.reason, arguments=arguments)
