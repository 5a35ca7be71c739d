"""A runtime that keeps everything in memory, and what else the HTTP layer needs, for its tests."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import falcon
import msgspec
import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict, FilteringBoundLogger

from alex_actors.broadcaster_protocol import TaskTopic, Topic
from alex_actors.copies import BroughtSession
from alex_actors.events import RecordedEvent
from alex_actors.following import Following
from alex_actors.ports import Clock, Decision
from alex_actors.replies import (
    AlreadyEnded,
    ApproveReply,
    Awaited,
    Cancelled,
    CancelReply,
    Component,
    Decided,
    Deleted,
    ExportedSession,
    ForkReply,
    ImportReply,
    KeyReused,
    NothingWaits,
    Repeated,
    SessionBusy,
    SessionDeleting,
    SessionDetail,
    SessionMade,
    Sessions,
    SessionTooLarge,
    SubmitReply,
    Submitted,
    Tasks,
    TooManyTasks,
    UnknownSession,
    UnknownTask,
    WaitingCall,
    WaitingCalls,
)
from alex_actors.tasks import UNFINISHED, IdempotencyKey, NewTask, Result, Session, Status, Task
from alex_actors.values import LOCAL_OWNER, Context, Owner, SessionId, TaskId, timestamp
from alex_http.access import Access
from alex_http.app import create_app
from alex_http.catalog import Catalog
from alex_http.exchange import Request

R = TypeVar("R")

MAX_IMPORT = 100_000
"""Bytes of a document that is imported: less than default.toml has, for tests of what is too large."""
MAX_BODY = 2 * 1024 * 1024
"""Bytes of a request's body, as default.toml has it."""
CATALOG = Catalog(
    agent_presets=("default", "researcher"),
    tool_presets=("full", "safe"),
    models=("offline",),
    tool_preset="safe",
    model="offline",
    max_iterations=50,
)


class CountedIds:
    """Names that count up."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def task(self) -> TaskId:
        return TaskId(f"task-{next(self._count):04}")

    def session(self) -> SessionId:
        return SessionId(f"session-{next(self._count):04}")

    def trace(self) -> str:
        return f"{next(self._count):032x}"


class HeldClock:
    """A clock that goes on by a millisecond each time that it is read."""

    def __init__(self) -> None:
        self._reads = 0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        self._reads += 1
        return self._reads / 1000

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._reads += round(seconds * 1000)


class Log:
    """A logger, and what was logged."""

    def __init__(self) -> None:
        self._capture = LogCapture()
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            None, processors=[self._capture], wrapper_class=structlog.make_filtering_bound_logger(0)
        )

    @property
    def lines(self) -> list[EventDict]:
        return list(self._capture.entries)

    def only(self, event: str) -> EventDict:
        """Return the one line of an event."""
        (line,) = [line for line in self._capture.entries if line["event"] == event]
        return line


def open_access(clock: Clock) -> Access:
    """Return the access that there is where nobody has made a token."""
    return Access(
        tokens=Path("/nowhere/tokens.json"),
        host="127.0.0.1",
        allowed_hosts=(),
        cors_origins=(),
        requests_per_minute=0,
        clock=clock,
    )


def application(
    runtime: FakeRuntime,
    log: Log,
    *,
    access: Access | None = None,
    clock: Clock | None = None,
    max_body: int = MAX_BODY,
) -> falcon.App[Request, falcon.Response]:
    """Return the WSGI application on a runtime, with what most tests do not care about."""
    clock = clock or HeldClock()
    return create_app(
        runtime=runtime,
        access=access or open_access(clock),
        catalog=CATALOG,
        ids=CountedIds(),
        clock=clock,
        log=log.logger,
        version="0.1.0",
        max_body=max_body,
        max_import=MAX_IMPORT,
    )


class FakeFollowing(Following):
    """A position in what the test gives."""

    def __init__(self, topic: Topic, after: int, wake: Callable[[], None]) -> None:
        self.topic = topic
        self.position = after
        self.wake = wake
        self.events: deque[RecordedEvent] = deque()
        self.ended = self.missing = self.session_deleted = False
        self.is_behind = True

    @property
    def behind(self) -> bool:
        return self.is_behind

    def take(self, limit: int) -> tuple[RecordedEvent, ...]:
        taken = tuple(self.events.popleft() for _ in range(min(limit, len(self.events))))
        if isinstance(self.topic, TaskTopic):
            self.ended = self.ended or any(event.event_type == "task_completed" for event in taken)
        return taken


class FakeRuntime:
    """Keeps tasks and sessions in memory; tests set what it refuses, and end tasks by hand."""

    def __init__(self) -> None:
        self.ids = CountedIds()
        self.records: dict[str, Task] = {}
        self.session_records: dict[str, Session] = {}
        self.owners: dict[str, Owner] = {}
        """Of the sessions."""
        self.recorded_events: dict[str, tuple[RecordedEvent, ...]] = {}
        self.contexts: list[Context] = []
        self.submitted: dict[str, tuple[str, Task]] = {}
        """By idempotency key."""
        self.components: dict[str, Component] = {"store": Component("ok")}
        self.accepts = True
        self.max_unfinished = 1000
        self.failure: Exception | None = None
        self.deleting: set[str] = set()
        """Sessions that are being deleted."""
        self.before_submit: Callable[[], object] = lambda: None
        self.followings: list[FakeFollowing] = []
        """Those that are open."""
        self.watches: list[tuple[TaskId, Callable[[], None]]] = []
        """Who is to be woken at the end of which task."""
        self.forks: list[tuple[SessionId, SessionId | None, dict[str, str] | None]] = []
        self.fork_reply: ForkReply = UnknownSession()
        self.export_limits: list[int] = []
        self.exported: ExportedSession | SessionTooLarge | None = None
        self.brought: list[BroughtSession] = []
        """What was imported."""
        self.import_reply: ImportReply = SessionDeleting(SessionId("gone"))
        self.waiting: set[str] = set()
        """Tool calls of any task that wait for approval."""
        self.listed: list[WaitingCall] = []
        """What the list of calls that wait has, whatever `waiting` has."""
        self.decisions: dict[str, Decision] = {}
        """What was said of which."""
        self.delayed: list[Callable[[], None]] | None = None
        """Not None: replies to cancels and deletions come when these are called."""

    def submit(self, new: NewTask, context: Context, *, key: IdempotencyKey | None = None) -> SubmitReply:
        self._called(context)
        if key is not None and key.text in self.submitted:
            fingerprint, task = self.submitted[key.text]
            return Repeated(task) if fingerprint == key.fingerprint else KeyReused(key.text)
        self.before_submit()
        unfinished = [task for task in self.records.values() if task.status in UNFINISHED]
        if len(unfinished) >= self.max_unfinished:
            return TooManyTasks(self.max_unfinished)
        session_id = new.session_id or self.ids.session()
        if session_id in self.deleting:
            return SessionDeleting(session_id)
        in_session = tuple(task.task_id for task in unfinished if task.session_id == session_id)
        if in_session and new.strategy == "reject":
            return SessionBusy(session_id, in_session)
        self.make_session(session_id, {}, context)
        task = _task(self.ids.task(), session_id, new, context)
        self.records[task.task_id] = task
        if key is not None:
            self.submitted[key.text] = (key.fingerprint, task)
        return Submitted(task)

    def cancel(self, task_id: TaskId, context: Context, *, wake: Callable[[], None]) -> Awaited[CancelReply]:
        self._called(context)
        return self._awaited(lambda: self._cancel(task_id), wake)

    def _cancel(self, task_id: TaskId) -> CancelReply:
        task = self.records.get(task_id)
        if task is None:
            return UnknownTask()
        if task.status not in UNFINISHED:
            return AlreadyEnded(task.status)
        self.records[task_id] = msgspec.structs.replace(task, status="cancelled")
        return Cancelled()

    def approve(
        self, task_id: TaskId, call_id: str, decision: Decision, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[ApproveReply]:
        self._called(context)
        return self._awaited(lambda: self._approve(task_id, call_id, decision), wake)

    def _approve(self, task_id: TaskId, call_id: str, decision: Decision) -> ApproveReply:
        task = self.records.get(task_id)
        if task is None:
            return UnknownTask()
        if task.status not in UNFINISHED:
            return NothingWaits("ended")
        if call_id in self.decisions:
            return NothingWaits("decided")
        if call_id not in self.waiting:
            return NothingWaits("unknown")
        self.decisions[call_id] = decision
        return Decided(task)

    def make_session(
        self, session_id: SessionId | None, metadata: dict[str, str], context: Context
    ) -> SessionMade | SessionDeleting:
        self._called(context)
        session_id = session_id or self.ids.session()
        if session_id in self.deleting:
            return SessionDeleting(session_id)
        existed = session_id in self.session_records
        if not existed:
            at = timestamp(datetime(2026, 1, 1, tzinfo=UTC))
            self.owners[session_id] = context.owner
            self.session_records[session_id] = Session(
                session_id=session_id,
                created_at=at,
                updated_at=at,
                task_count=0,
                last_task=None,
                forked_from=None,
                metadata=metadata,
            )
        return SessionMade(self._session(session_id), existed)

    def delete(
        self, session_id: SessionId, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[Deleted | UnknownSession]:
        self._called(context)
        return self._awaited(lambda: self._delete(session_id), wake)

    def fork(
        self,
        source: SessionId,
        new_id: SessionId | None,
        metadata: dict[str, str] | None,
        context: Context,
        *,
        wake: Callable[[], None],
    ) -> Awaited[ForkReply]:
        self._called(context)
        self.forks.append((source, new_id, metadata))
        return self._awaited(lambda: self.fork_reply, wake)

    def export(
        self, session_id: SessionId, *, owner: Owner, most_bytes: int
    ) -> ExportedSession | SessionTooLarge | None:
        self._called()
        self.export_limits.append(most_bytes)
        return self.exported

    def take_in(
        self, brought: BroughtSession, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[ImportReply]:
        self._called(context)
        self.brought.append(brought)
        return self._awaited(lambda: self.import_reply, wake)

    def _delete(self, session_id: SessionId) -> Deleted | UnknownSession:
        if self.session_records.pop(session_id, None) is None:
            return UnknownSession()
        self.records = {name: task for name, task in self.records.items() if task.session_id != session_id}
        return Deleted()

    def task(self, task_id: TaskId, *, owner: Owner = LOCAL_OWNER) -> Task | None:
        self._called()
        task = self.records.get(task_id)
        return task if task is not None and task.owner == owner else None

    def tasks(
        self,
        *,
        limit: int,
        offset: int,
        session_id: SessionId | None,
        status: Status | None,
        owner: Owner = LOCAL_OWNER,
    ) -> Tasks:
        self._called()
        found = [
            task
            for task in reversed(self.records.values())
            if session_id in (None, task.session_id) and status in (None, task.status) and task.owner == owner
        ]
        return Tasks(tuple(found[offset : offset + limit]), len(found))

    def waiting_calls(
        self, *, limit: int, after: int, session_id: SessionId | None, owner: Owner = LOCAL_OWNER
    ) -> WaitingCalls:
        self._called()
        found = [
            one
            for one in self.listed
            if one.event_id > after
            and session_id in (None, one.session_id)
            and self.task(one.task_id, owner=owner) is not None
        ]
        return WaitingCalls(tuple(found[:limit]), goes_on=len(found) > limit)

    def events(
        self, task_id: TaskId, *, after: int, limit: int, owner: Owner = LOCAL_OWNER
    ) -> tuple[RecordedEvent, ...] | None:
        if self.task(task_id, owner=owner) is None:
            return None
        found = [event for event in self.recorded_events.get(task_id, ()) if event.event_id > after]
        return tuple(found[:limit])

    def session(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> SessionDetail | None:
        self._called()
        if not self.has_session(session_id, owner=owner):
            return None
        return SessionDetail(self._session(session_id), self._tasks_of(session_id))

    def sessions(self, *, limit: int, offset: int, owner: Owner = LOCAL_OWNER) -> Sessions:
        self._called()
        found = [self._session(SessionId(name)) for name in reversed(self.session_records)]
        found = [session for session in found if self.owners[session.session_id] == owner]
        return Sessions(tuple(found[offset : offset + limit]), len(found))

    def has_session(self, session_id: SessionId, *, owner: Owner = LOCAL_OWNER) -> bool:
        self._called()
        return session_id in self.session_records and self.owners[session_id] == owner

    def follow(self, topic: Topic, *, after: int, wake: Callable[[], None]) -> FakeFollowing:
        self._called()
        following = FakeFollowing(topic, after, wake)
        self.followings.append(following)
        return following

    def take(self, following: Following, *, limit: int) -> tuple[RecordedEvent, ...]:
        self._called()
        return following.take(limit)

    def unfollow(self, following: Following) -> None:
        assert isinstance(following, FakeFollowing)
        self.followings.remove(following)

    def watch_end(self, topic: TaskTopic, *, wake: Callable[[], None]) -> Callable[[], None]:
        self._called()
        watch = (topic.task_id, wake)
        self.watches.append(watch)
        return lambda: self.watches.remove(watch)

    def health(self) -> dict[str, Component]:
        return self.components

    def ready(self) -> bool:
        return self.accepts

    def complete(self, task_id: str, answer: str) -> None:
        """End a task with an answer."""
        self.records[task_id] = msgspec.structs.replace(
            self.records[task_id],
            status="completed",
            result=Result(answer=answer, iterations=2, tokens_used=120, stop_reason="final_answer"),
        )

    def record(self, task_id: str, *event_ids: int) -> None:
        """Give a task events with these ids."""
        task = self.records[task_id]
        self.recorded_events[task_id] = tuple(
            recorded(event_id, task_id=task_id, session_id=task.session_id) for event_id in event_ids
        )

    def _awaited(self, do: Callable[[], R], wake: Callable[[], None]) -> Awaited[R]:
        """Do something at once, or when the test says so; return what comes of it."""
        if self.delayed is None:
            reply = do()
            return Awaited(lambda: reply)
        replies: list[R] = []

        def fulfil() -> None:
            replies.append(do())
            wake()

        self.delayed.append(fulfil)
        return Awaited(
            lambda: replies[0] if replies else None, within=5.0, late="It is not known what came of it."
        )

    def _called(self, context: Context | None = None) -> None:
        if context is not None:
            self.contexts.append(context)
        if self.failure is not None:
            raise self.failure

    def _tasks_of(self, session_id: str) -> tuple[Task, ...]:
        return tuple(task for task in self.records.values() if task.session_id == session_id)

    def _session(self, session_id: SessionId) -> Session:
        tasks = self._tasks_of(session_id)
        return msgspec.structs.replace(
            self.session_records[session_id],
            task_count=len(tasks),
            last_task=tasks[-1].task if tasks else None,
        )


def recorded(
    event_id: int, event_type: str = "thinking", *, task_id: str = "task-1", session_id: str = "s"
) -> RecordedEvent:
    """Return an event as it is recorded."""
    return RecordedEvent(
        event_id=event_id,
        event_type=event_type,
        task_id=TaskId(task_id),
        session_id=SessionId(session_id),
        parent_task_id=None,
        timestamp=timestamp(datetime(2026, 1, 1, tzinfo=UTC)),
        body=msgspec.json.encode({"event_type": event_type}),
    )


def _task(task_id: TaskId, session_id: SessionId, new: NewTask, context: Context) -> Task:
    return Task(
        task_id=task_id,
        session_id=session_id,
        session_key=1,
        place=1,
        task=new.task,
        agent_preset=new.agent_preset,
        tool_preset=new.tool_preset,
        model=new.model,
        created_at=timestamp(datetime(2026, 1, 1, tzinfo=UTC)),
        strategy=new.strategy,
        timeout_seconds=new.timeout_seconds,
        max_iterations=new.max_iterations,
        metadata=new.metadata,
        trace_id=context.trace_id,
        owner=context.owner,
    )
