"""What the HTTP layer calls: asks the actors in the right order, and reads the store.

The order is the point of it all: the session is confirmed, then the task recorded under it, then its agent
started. Each step needs the answer of the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import pykka
from sqlalchemy.exc import SQLAlchemyError

from alex_actors.agent_protocol import Decide
from alex_actors.messages import ask, ask_later, tell
from alex_actors.replies import (
    AlreadyEnded,
    ApproveReply,
    Awaited,
    CancelReply,
    Component,
    Decided,
    Deleted,
    KeyReused,
    NothingWaits,
    Repeated,
    SessionBusy,
    SessionDeleting,
    SessionMade,
    SubmitReply,
    Submitted,
    TooManyTasks,
    Unavailable,
    UnknownSession,
    UnknownTask,
)
from alex_actors.session_copier import SessionCopier
from alex_actors.session_protocol import (
    AdmitSession,
    Cancel,
    ClaimKey,
    ClaimLost,
    Confirm,
    Confirmed,
    ConfirmReply,
    DeleteSession,
    ReleaseKey,
    Settle,
)
from alex_actors.store.database import cause_of
from alex_actors.task_store_protocol import Create, MakeSession, ReadFailed, StoreFailure
from alex_actors.tasks import KEYS_ARE_KEPT, UNFINISHED
from alex_actors.values import LOCAL_OWNER, Context, Owner, SessionId, TaskId, before, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import FilteringBoundLogger

    from alex_actors.agent_actor import AgentActor
    from alex_actors.broadcaster_protocol import TaskTopic, Topic
    from alex_actors.events import RecordedEvent
    from alex_actors.following import Following, Followings
    from alex_actors.ports import Clock, Decision, Ids
    from alex_actors.replies import SessionDetail, Sessions, Tasks, WaitingCalls
    from alex_actors.session_actor import SessionActor
    from alex_actors.store.reader import StoreReader
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.tasks import IdempotencyKey, NewTask, Status, Task

LaunchAgent: TypeAlias = Callable[["Task", "pykka.ActorRef[SessionActor]"], None]
"""Starts the AgentActor of a recorded task in the care of a session actor, and tells it to start."""

AgentOf: TypeAlias = Callable[[TaskId], "pykka.ActorRef[AgentActor] | None"]
"""Returns the AgentActor of a task that has one."""

MANY = 1000
"""Ends that the session actor may at most not have heard of yet. It hears of one a moment after the commit."""

LARGEST_PAGE = 8 * 1024 * 1024
"""Bytes of events after which a page has no more: an event may have 1 MiB, and a page a thousand of them."""

CANCEL_MARGIN = 5.0
"""Seconds that a cancel is waited for beyond the grace that its agent has: for the commit of its end."""


APPROVAL_PATIENCE = 5.0
"""Seconds that an approval is waited for: for a commit."""


class ActorRuntime:
    """The runtime over real actors and a real store. Its calls block: they are for HTTP workers."""

    def __init__(
        self,
        *,
        session: pykka.ActorRef[SessionActor],
        store: pykka.ActorRef[TaskStoreActor],
        reader: StoreReader,
        followings: Followings,
        launch_agent: LaunchAgent,
        agent_of: AgentOf,
        ids: Ids,
        clock: Clock,
        log: FilteringBoundLogger,
        ask_timeout: float,
        cancel_grace: float,
        health: Callable[[], dict[str, Component]],
        ready: Callable[[], bool],
    ) -> None:
        self._session = session
        self._store = store
        self._reader = reader
        self._followings = followings
        self._launch_agent = launch_agent
        self._agent_of = agent_of
        self._ids = ids
        self._clock = clock
        self._log = log
        self._ask_timeout = ask_timeout
        self._cancel_timeout = cancel_grace + CANCEL_MARGIN
        self.health = health
        self.ready = ready
        copier = SessionCopier(
            session=session, store=store, reader=reader, ask_timeout=ask_timeout, unavailable=self._unavailable
        )
        self.fork, self.export, self.take_in = copier.fork, copier.export, copier.take_in

    # Changes.

    def submit(self, new: NewTask, context: Context, *, key: IdempotencyKey | None = None) -> SubmitReply:
        """Confirm the session, record the task, start its agent; in this order. What has a key, has claimed it."""
        task_id = self._ids.task()
        with self._settling(task_id, context):
            if key is None:
                return self._submit(task_id, new, context, None)
            claim = ClaimKey(context=context, task_id=task_id, key=key.text)
            ask(self._session, claim, timeout=self._ask_timeout)
            since = before(timestamp(self._clock.now()), KEYS_ARE_KEPT)
            known = self._reader.submitted_with(key.text, owner=context.owner, since=since)
            if known is None:
                reply = self._submit(task_id, new, context, key)
            else:
                fingerprint, task = known
                reply = Repeated(task) if fingerprint == key.fingerprint else KeyReused(key.text)
            tell(self._session, ReleaseKey(context=context, task_id=task_id))
        return reply

    def _submit(self, task_id: TaskId, new: NewTask, context: Context, key: IdempotencyKey | None) -> SubmitReply:
        confirmed = self._confirm(task_id, new, context, claimed=key is not None)
        match confirmed:
            case Confirmed():
                pass
            case ClaimLost():
                msg = "A part of the server was restarted. Try again."
                raise Unavailable(msg)
            case _:
                return confirmed
        create = Create(
            context=context.about(task_id, confirmed.session_id),
            task_id=task_id,
            session_id=confirmed.session_id,
            place=confirmed.place,
            confirmed_at=confirmed.confirmed_at,
            incarnation=confirmed.incarnation,
            new=new,
            key=key,
        )
        task = ask(self._store, create, timeout=self._ask_timeout)
        self._launch_agent(task, self._session)
        return Submitted(task)

    def _confirm(self, task_id: TaskId, new: NewTask, context: Context, *, claimed: bool) -> ConfirmReply:
        context = context.about(task_id, new.session_id or SessionId(""))
        confirm = Confirm(
            context=context, task_id=task_id, session_id=new.session_id, strategy=new.strategy, claimed=claimed
        )
        reply = ask(self._session, confirm, timeout=self._ask_timeout)
        # A client that has read that a task has ended must not be refused because of it: the session actor may
        # hear of an end a moment after a reader sees it.
        match reply:
            case Confirmed() | SessionDeleting() | ClaimLost():
                return reply
            case SessionBusy(unfinished=unfinished):
                ended = self._reader.ended(unfinished, owner=context.owner) if len(unfinished) <= MANY else ()
                if len(ended) < len(unfinished):
                    return reply
            case TooManyTasks():
                ended = self._reader.last_ended(MANY)
        again = msgspec.structs.replace(confirm, known_ended=ended)
        return ask(self._session, again, timeout=self._ask_timeout)

    @contextmanager
    def _settling(self, task_id: TaskId, context: Context) -> Iterator[None]:
        """Leave nothing open if the block fails: the session actor finds out what became of the task."""
        advice = f"Whether the task {task_id} was taken shows in a moment: look for it before you submit it again."
        try:
            with self._unavailable(advice):
                yield
        except BaseException:
            tell(self._session, Settle(context=context, task_id=task_id))
            raise

    def cancel(self, task_id: TaskId, context: Context, *, wake: Callable[[], None]) -> Awaited[CancelReply]:
        """Ask a task's agent to stop. The reply comes when its end is recorded."""
        task = self.task(task_id, owner=context.owner)
        if task is None or task.status not in UNFINISHED:
            known = _no_agent(task)
            return Awaited(lambda: known)
        cancel = Cancel(context=context.about(task_id, task.session_id), task_id=task_id)
        answer = ask_later(self._session, cancel, wake=wake)

        def poll() -> CancelReply | None:
            with self._unavailable():
                reply = answer.poll()
            # It may have left its line since it was read: its end is recorded, or it never came to be.
            return _no_agent(self.task(task_id, owner=context.owner)) if isinstance(reply, UnknownTask) else reply

        late = "The task was asked to stop, and its end is not recorded yet. Look at its status."
        return Awaited(poll, within=self._cancel_timeout, late=late)

    def approve(
        self, task_id: TaskId, call_id: str, decision: Decision, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[ApproveReply]:
        """Take a person's word on a tool call to the task's own actor. The reply comes when it is recorded."""
        owner = context.owner
        task = self.task(task_id, owner=owner)
        agent = None if task is None else self._agent_of(task_id)
        if task is None or agent is None:
            known = self._without_agent(self.task(task_id, owner=owner))
            return Awaited(lambda: known)
        decide = Decide(context=context.about(task_id, task.session_id), call_id=call_id, decision=decision)
        answer = ask_later(agent, decide, wake=wake)

        def poll() -> ApproveReply | None:
            try:
                reply = answer.poll()
            except pykka.ActorDeadError:  # with its task's end, or by a crash
                return self._without_agent(self.task(task_id, owner=owner))
            if reply is None or isinstance(reply, NothingWaits):
                return reply
            decided = self.task(task_id, owner=owner)
            return UnknownTask() if decided is None else Decided(decided)

        late = "The decision is not recorded yet. Look at the task's events."
        return Awaited(poll, within=APPROVAL_PATIENCE, late=late)

    def _without_agent(self, task: Task | None) -> NothingWaits | UnknownTask:
        """Return what to answer about a task that has no actor, as it was read after that was seen."""
        if task is None:
            return UnknownTask()
        if task.status not in UNFINISHED:
            return NothingWaits("ended")
        if task.started_at is None:
            return NothingWaits("unknown")
        msg = "The server has not taken the task up again, after it was down or a part of it failed. Try again."
        raise Unavailable(msg)

    def make_session(
        self, session_id: SessionId | None, metadata: dict[str, str], context: Context
    ) -> SessionMade | SessionDeleting:
        """Record a session, unless it exists; None: a new one."""
        with self._unavailable():
            admit = AdmitSession(context=context, session_id=session_id)
            admitted = ask(self._session, admit, timeout=self._ask_timeout)
            if isinstance(admitted, SessionDeleting):
                return admitted
            session_id = admitted.session_id
            make = MakeSession(
                context=context.about(TaskId(""), session_id), session_id=session_id, metadata=metadata
            )
            existed = ask(self._store, make, timeout=self._ask_timeout)
            detail = self._reader.session(session_id, owner=context.owner)
        if detail is None:
            return SessionDeleting(session_id)  # it was made, and somebody deletes it already
        return SessionMade(detail.session, existed)

    def delete(
        self, session_id: SessionId, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[Deleted | UnknownSession]:
        """Have a session's tasks cancelled, and all of it deleted. The reply comes when nothing is left."""
        with self._unavailable():
            key = self._reader.session_key(session_id, owner=context.owner)
        if key is None:
            return Awaited(UnknownSession)
        delete = DeleteSession(context=context.about(TaskId(""), session_id), session_id=session_id)
        answer = ask_later(self._session, delete, wake=wake)

        def poll() -> Deleted | None:
            with self._unavailable("Look whether the session is still there, and delete it again if it is."):
                return answer.poll()

        late = "The session is not gone yet: it is when all its tasks have stopped. Look whether it is there."
        return Awaited(poll, within=self._cancel_timeout, late=late)

    # Reads.

    def task(self, task_id: TaskId, *, owner: Owner = LOCAL_OWNER) -> Task | None:
        """Return one task as last recorded."""
        with self._unavailable():
            return self._reader.task(task_id, owner=owner)

    def tasks(
        self,
        *,
        limit: int,
        offset: int,
        session_id: SessionId | None,
        status: Status | None,
        owner: Owner = LOCAL_OWNER,
    ) -> Tasks:
        """Return a page of tasks, newest first."""
        with self._unavailable():
            return self._reader.tasks(
                limit=limit, offset=offset, session_id=session_id, status=status, owner=owner
            )

    def waiting_calls(
        self, *, limit: int, after: int, session_id: SessionId | None, owner: Owner = LOCAL_OWNER
    ) -> WaitingCalls:
        """Return a page of the tool calls that wait for a person's word, asked about after an event's id."""
        with self._unavailable():
            return self._reader.waiting_calls(
                limit=limit, after=after, session_id=session_id, most_bytes=LARGEST_PAGE, owner=owner
            )

    def events(
        self, task_id: TaskId, *, after: int, limit: int, owner: Owner = LOCAL_OWNER
    ) -> tuple[RecordedEvent, ...] | None:
        """Return a task's events with an id above ``after``, in order; None if there is no such task."""
        with self._unavailable():
            return self._reader.events(task_id, after=after, limit=limit, most_bytes=LARGEST_PAGE, owner=owner)

    def session(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> SessionDetail | None:
        """Return one session with its tasks."""
        with self._unavailable():
            return self._reader.session(session_id, owner=owner)

    def sessions(self, *, limit: int, offset: int, owner: Owner = LOCAL_OWNER) -> Sessions:
        """Return a page of sessions, last used first."""
        with self._unavailable():
            return self._reader.sessions(limit=limit, offset=offset, owner=owner)

    def has_session(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> bool:
        """Return whether there is such a session."""
        with self._unavailable():
            return self._reader.session_key(session_id, owner=owner) is not None

    # What happens, as it happens.

    def follow(self, topic: Topic, *, after: int, wake: Callable[[], None]) -> Following:
        """Follow the events of a task or session above the id ``after``, from the store and then live."""
        return self._followings.follow(topic, after=after, wake=wake)

    def take(self, following: Following, *, limit: int) -> tuple[RecordedEvent, ...]:
        """Return what comes next, as ``Following.take`` does."""
        with self._unavailable():
            return following.take(limit)

    def unfollow(self, following: Following) -> None:
        """Follow no more."""
        self._followings.close(following)

    def watch_end(self, topic: TaskTopic, *, wake: Callable[[], None]) -> Callable[[], None]:
        """Have ``wake`` called, on whatever thread, when a task may have ended. Returns what ends that."""
        watch = self._followings.watch_end(topic, wake=wake)
        return lambda: self._followings.close(watch)

    @contextmanager
    def _unavailable(self, advice: str = "Try again in a moment.") -> Iterator[None]:
        """Turn what is not a client's fault, and may be over in a moment, into Unavailable."""
        try:
            yield
        except pykka.Timeout as error:
            msg = f"The server was too busy to answer in time. {advice}"
            raise Unavailable(msg) from error
        except pykka.ActorDeadError as error:
            msg = f"The server is stopping, or a part of it has failed. {advice}"
            raise Unavailable(msg) from error
        except (StoreFailure, SQLAlchemyError) as error:
            self._log.error("store.unavailable", error=str(error))
            if isinstance(error, SQLAlchemyError):  # else it is the store that told us
                tell(self._store, ReadFailed(context=Context("", sender="http"), error=cause_of(error)))
            msg = f"The store cannot be used at the moment. {advice}"
            raise Unavailable(msg) from error


def _no_agent(task: Task | None) -> UnknownTask | AlreadyEnded:
    return UnknownTask() if task is None else AlreadyEnded(task.status)
