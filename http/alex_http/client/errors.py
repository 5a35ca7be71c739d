"""Every error that the client raises, as a tree.

AlexError
├── ConnectionFailed             no server, or the connection broke before the reply was there
├── GaveUp                       no contact with the server for as long as `give_up_after` says
├── WaitTimedOut                 the task has not ended within the timeout of `wait`
├── BadReply                     not what the contract says, or too long: another program answers there
└── ApiError                     the server said no: `status`, `title`, `detail`, `errors`
    ├── BadRequest 400
    ├── Unauthorized 401         a token is required
    ├── Forbidden 403            it is wrong, or revoked, or its scope is too small
    ├── NotFound 404
    │   ├── UnknownTask
    │   └── UnknownSession
    ├── Conflict 409
    │   ├── TaskHasEnded         too late to cancel it
    │   ├── NothingWaits         no tool call of that ID for approval; or somebody was faster
    │   ├── SessionIsBusy        and the strategy is `reject`; or it is being deleted
    │   └── CopyRefused          no fork, export or import: it is there already, or too large
    ├── KeyReused 422            the idempotency key was used for another submit
    ├── TooManyRequests 429      too many unfinished tasks, or requests; with `retry_after`
    └── ServerError 5xx
        └── Unavailable 502, 503, 504   starting, stopping, at a limit, not behind its proxy; with `retry_after`

The text of an `ApiError` is the server's own: what was wrong, and what would be right.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from alex_http.client.values import Task


class FieldError(msgspec.Struct, frozen=True):
    """One bad field of a request: its name, and what it must be and was."""

    field: str
    reason: str


class AlexError(Exception):
    """Any error of the client. All can be pickled, so that they get out of a pool of processes."""

    def __reduce__(self) -> tuple[object, ...]:
        """Return how to make it again: not through constructors that take more than the text."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[AlexError], args: tuple[object, ...], state: dict[str, object]) -> AlexError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConnectionFailed(AlexError):
    """There is no reply. ``maybe_received``: the server may have got the request, and done what it asks for."""

    def __init__(self, detail: str, *, maybe_received: bool) -> None:
        super().__init__(detail)
        self.maybe_received = maybe_received


class GaveUp(AlexError):
    """There was no contact with the server for ``seconds``. Its cause is what was wrong the last time."""

    def __init__(self, seconds: float, reason: AlexError) -> None:
        super().__init__(f"No contact with the server for {seconds:g} seconds. The last time: {reason}")
        self.seconds = seconds


class WaitTimedOut(AlexError):
    """The task has not ended within ``seconds``. ``task`` is how it was last seen, None if it never was."""

    def __init__(self, task_id: str, seconds: float, task: Task | None) -> None:
        state = "the server could not be asked" if task is None else f"it is {task.status}"
        super().__init__(f"The task {task_id} has not ended within {seconds:g} seconds: {state}.")
        self.task_id = task_id
        self.seconds = seconds
        self.task = task


class BadReply(AlexError):
    """The reply is not one of the contract, or too long: another program answers, or a proxy is in between."""


class ApiError(AlexError):
    """The server's reply is an error (RFC 9457).

    Its text is ``detail``. ``errors`` names the bad fields, if fields are at fault. ``retry_after`` is in
    seconds, None where the server does not say. ``request_id`` leads to the request in the server's log.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        title: str,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.title = title
        self.errors = errors
        self.retry_after = retry_after
        self.request_id = request_id


class BadRequest(ApiError):
    """The request asks for what cannot be."""


class Unauthorized(ApiError):
    """A token is required."""


class Forbidden(ApiError):
    """The token is not enough, or the request comes from where none is taken from."""


class NotFound(ApiError):
    """There is no such thing."""


class UnknownTask(NotFound):
    """No task has this ID."""


class UnknownSession(NotFound):
    """No session has this ID."""


class Conflict(ApiError):
    """It cannot be done in the state that things are in."""


class TaskHasEnded(Conflict):
    """There is nothing left to cancel."""


class NothingWaits(Conflict):
    """No tool call of that ID waits for approval: there was none, it was decided on, or the task has ended."""


class SessionIsBusy(Conflict):
    """The session has unfinished tasks and the strategy is ``reject``, or the session is being deleted."""


class CopyRefused(Conflict):
    """No fork, export or import: what is to be made is there already or being deleted, or there is too much."""


class KeyReused(ApiError):
    """The idempotency key was used within 24 hours, for a submit of something else."""


class TooManyRequests(ApiError):
    """As many tasks are unfinished, or requests were made, as the server takes."""


class ServerError(ApiError):
    """A fault on the server's side."""


class Unavailable(ServerError):
    """It cannot be done now; later it may be."""


TEMPORARY = (ConnectionFailed, TooManyRequests, ServerError)
"""What passes: `wait` and `events` try again."""
