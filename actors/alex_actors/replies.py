"""What the runtime answers to those who use it: expected outcomes, as types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from alex_actors.copies import BroughtSession, Message
from alex_actors.events import RecordedEvent
from alex_actors.tasks import IdempotencyKey, NewTask, Session, Status, Task
from alex_actors.values import Context, Owner, SessionId, TaskId, Timestamp, Value

if TYPE_CHECKING:
    from alex_actors.broadcaster_protocol import TaskTopic, Topic
    from alex_actors.following import Following
    from alex_actors.ports import Decision

R = TypeVar("R")


class Unavailable(Exception):
    """The work could not be done now; later it may be. Nothing is left open.

    Its text says what was not available, and what may have been done all the same, for people.
    """


class Awaited(Generic[R]):
    """A reply that comes later, and that no thread has to wait for."""

    def __init__(self, poll: Callable[[], R | None], *, within: float = 0.0, late: str = "") -> None:
        self.poll = poll
        """Return the reply, None if it is not there yet. May raise Unavailable."""
        self.within = within
        """Seconds for which it is worth waiting."""
        self.late = late
        """What to say if it has not come by then."""


class Submitted(Value, frozen=True):
    """The session is confirmed, the task recorded, its agent told to start."""

    task: Task


class SessionBusy(Value, frozen=True):
    """The strategy was ``reject``, and the session has unfinished tasks."""

    session_id: SessionId
    unfinished: tuple[TaskId, ...]


class TooManyTasks(Value, frozen=True):
    """As many tasks are unfinished as the configuration allows."""

    limit: int


class SessionDeleting(Value, frozen=True):
    """The session is being deleted: when that is done, its ID is free again."""

    session_id: SessionId


class Repeated(Value, frozen=True):
    """The submit was one before, with the same idempotency key: this is the task that came of it."""

    task: Task


class KeyReused(Value, frozen=True):
    """The idempotency key came with another body before."""

    key: str


SubmitReply: TypeAlias = Submitted | Repeated | KeyReused | SessionBusy | SessionDeleting | TooManyTasks


class Cancelled(Value, frozen=True):
    """The cancellation is recorded."""


class AlreadyEnded(Value, frozen=True):
    """The task had ended before the cancellation could."""

    status: Status


class UnknownTask(Value, frozen=True):
    """There is no such task."""


CancelReply: TypeAlias = Cancelled | AlreadyEnded | UnknownTask


class DecisionRecorded(Value, frozen=True):
    """A person's word on a tool call is recorded, and its agent has it."""


class NothingWaits(Value, frozen=True):
    """No call of that ID waits for a person's word: there was none, it was decided on, or its task has ended."""

    why: Literal["unknown", "decided", "ended"]


DecideReply: TypeAlias = DecisionRecorded | NothingWaits


class Decided(Value, frozen=True):
    """A person's word on a tool call is recorded: the task, as it is since."""

    task: Task


ApproveReply: TypeAlias = Decided | NothingWaits | UnknownTask


class WaitingCall(Value, frozen=True, kw_only=True):
    """A tool call that waits for a person's word."""

    event_id: int
    """Of its ``approval_requested``: in the order of these they are listed."""
    task_id: TaskId
    session_id: SessionId
    call_id: str
    iteration: int
    tool_name: str
    arguments: msgspec.Raw
    """A JSON object, as it is recorded: without secrets."""
    requested_at: Timestamp
    expires_at: Timestamp | None


class WaitingCalls(Value, frozen=True):
    """A page of tool calls that wait, those first that were asked about first."""

    calls: tuple[WaitingCall, ...]
    goes_on: bool
    """Whether there are more behind the last of them."""


class SessionMade(Value, frozen=True):
    """The session is recorded; ``existed`` if it was before."""

    session: Session
    existed: bool


class Deleted(Value, frozen=True):
    """The session is gone, with its tasks and their events."""


class UnknownSession(Value, frozen=True):
    """There is no such session."""


class Tasks(Value, frozen=True):
    """A page of tasks, newest first, and how many there are in all."""

    tasks: tuple[Task, ...]
    total: int


class Sessions(Value, frozen=True):
    """A page of sessions, last used first, and how many there are in all."""

    sessions: tuple[Session, ...]
    total: int


class SessionDetail(Value, frozen=True):
    """A session with its tasks, in their order."""

    session: Session
    tasks: tuple[Task, ...]
    messages: tuple[Message, ...] = ()
    """Those that it has from the session that it was forked from: they come before its own tasks."""


class ExportedSession(Value, frozen=True):
    """A session with all that is recorded of it, as of one moment."""

    detail: SessionDetail
    events: tuple[RecordedEvent, ...]
    """Of all of its tasks, in the order of their ids."""


class SessionForked(Value, frozen=True):
    """The new session is recorded, with a copy of the messages and of the workspace."""

    detail: SessionDetail


class SessionExists(Value, frozen=True):
    """There is a session of this ID already."""

    session_id: SessionId


class TaskExists(Value, frozen=True):
    """There is a task of this ID already."""

    task_id: TaskId


class WorkspaceTooLarge(Value, frozen=True):
    """The session's workspace has more than a workspace may have: there is no copy."""


class SessionTooLarge(Value, frozen=True):
    """The session has more than an import may bring: ``limit`` in bytes, or MOST_MESSAGES."""

    limit: int


ForkReply: TypeAlias = SessionForked | SessionExists | SessionDeleting | UnknownSession | WorkspaceTooLarge


class SessionImported(Value, frozen=True):
    """The session is recorded, with its tasks and their events."""

    detail: SessionDetail


ImportReply: TypeAlias = SessionImported | SessionExists | SessionDeleting | TaskExists


class Component(Value, frozen=True, omit_defaults=True):
    """The health of one part."""

    status: Literal["ok", "degraded", "down"]
    detail: str | None = None
    figures: dict[str, float | int] = msgspec.field(default_factory=dict)


class Runtime(Protocol):
    """All that the HTTP layer knows of the rest. Every call may raise Unavailable."""

    def submit(self, new: NewTask, context: Context, *, key: IdempotencyKey | None) -> SubmitReply:
        """Confirm the session, record the task, start its agent; in this order.

        With a key that a submit of the last 24 hours came with, return what came of that, once it is known.
        """

    def cancel(self, task_id: TaskId, context: Context, *, wake: Callable[[], None]) -> Awaited[CancelReply]:
        """Ask a task's agent to stop. The reply comes when the cancellation is recorded.

        ``wake`` is called once it is there, on whatever thread and perhaps at once: it must not block, nor raise.
        """

    def approve(
        self, task_id: TaskId, call_id: str, decision: Decision, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[ApproveReply]:
        """Take a person's word on a tool call that waits for it; the first counts.

        The reply comes when it is recorded. ``wake`` as in ``cancel``.
        """

    def make_session(
        self, session_id: SessionId | None, metadata: dict[str, str], context: Context
    ) -> SessionMade | SessionDeleting:
        """Record a session, unless it exists; None: a new one."""

    def delete(
        self, session_id: SessionId, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[Deleted | UnknownSession]:
        """Delete a session, its tasks and their events; those that are unfinished are cancelled first.

        The reply comes when nothing of it runs and nothing is recorded any more. ``wake`` as in ``cancel``.
        """

    def fork(
        self,
        source: SessionId,
        new_id: SessionId | None,
        metadata: dict[str, str] | None,
        context: Context,
        *,
        wake: Callable[[], None],
    ) -> Awaited[ForkReply]:
        """Make a session with a copy of another one's messages and workspace; None: of a new ID, and its metadata.

        The reply comes when all is recorded. ``wake`` as in ``cancel``.
        """

    def export(
        self, session_id: SessionId, *, owner: Owner, most_bytes: int
    ) -> ExportedSession | SessionTooLarge | None:
        """Return all that is recorded of a session, as of one moment; None if its owner has none of that ID.

        SessionTooLarge: it has more than ``most_bytes``, or than MOST_MESSAGES, and nothing was loaded.
        """

    def take_in(
        self, brought: BroughtSession, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[ImportReply]:
        """Record a session that was exported. The reply comes when that is done. ``wake`` as in ``cancel``."""

    def task(self, task_id: TaskId, *, owner: Owner) -> Task | None:
        """Return one task as last recorded; None if its owner has none of that ID, as in all that is read."""

    def tasks(
        self, *, owner: Owner, limit: int, offset: int, session_id: SessionId | None, status: Status | None
    ) -> Tasks:
        """Return a page of tasks, newest first."""

    def waiting_calls(self, *, owner: Owner, limit: int, after: int, session_id: SessionId | None) -> WaitingCalls:
        """Return a page of the tool calls that wait for a person's word, asked about after an event's id."""

    def events(self, task_id: TaskId, *, owner: Owner, after: int, limit: int) -> tuple[RecordedEvent, ...] | None:
        """Return a task's events with an id above ``after``, in order; None if there is no such task."""

    def session(self, session_id: SessionId, *, owner: Owner) -> SessionDetail | None:
        """Return one session with its tasks."""

    def sessions(self, *, owner: Owner, limit: int, offset: int) -> Sessions:
        """Return a page of sessions, last used first."""

    def has_session(self, session_id: SessionId, *, owner: Owner) -> bool:
        """Return whether there is such a session."""

    def follow(self, topic: Topic, *, after: int, wake: Callable[[], None]) -> Following:
        """Follow the events of a task or session above the id ``after``, from the store and then live.

        ``wake`` is called, on whatever thread, when after nothing there may be something to take.
        """

    def take(self, following: Following, *, limit: int) -> tuple[RecordedEvent, ...]:
        """Return what comes next, at least one event and at most ``limit``, or nothing."""

    def unfollow(self, following: Following) -> None:
        """Follow no more."""

    def watch_end(self, topic: TaskTopic, *, wake: Callable[[], None]) -> Callable[[], None]:
        """Have ``wake`` called, on whatever thread, when a task may have ended. Returns what ends that."""

    def health(self) -> dict[str, Component]:
        """Return the health of every component, by name. Never raises, never waits."""

    def ready(self) -> bool:
        """Return whether tasks are accepted: not while starting or stopping."""
