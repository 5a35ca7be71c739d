"""Turns messages into the changes of one transaction: everything is checked here, before any SQL.

A row that SQLite refused would fail the whole group with it, and a savepoint for each message costs four
fifths of the throughput. So nothing gets this far that could be refused for its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from alex_actors import ends
from alex_actors.events import RecordedEvent, Stamped, TaskCreated, stamp
from alex_actors.projection import Progress, advance, progress_of
from alex_actors.store.facts import Fact, asked_since, fact_of
from alex_actors.store.rows import row_of_event, row_of_session, row_of_task
from alex_actors.store.writer import Batch
from alex_actors.tasks import KEYS_ARE_KEPT, IdempotencyKey, Status, Task
from alex_actors.values import Owner, SessionId, SessionName, TaskId, Timestamp, Value, before

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alex_actors.ports import MeteredEvent
    from alex_actors.task_store_protocol import Create, Record, RecordCrash


class LiveTask(Value, frozen=True):
    """What the store keeps in memory of an unfinished task."""

    task_id: TaskId
    session_id: SessionId
    parent_task_id: TaskId | None
    place: int
    session_key: int
    trace_id: str
    model: str
    created_at: Timestamp
    owner: Owner
    recorded: int
    """How many events it has."""
    progress: Progress
    asked: Timestamp | None = None
    """Since when its model is asked, if it is."""


def live_task(task: Task, recorded: int) -> LiveTask:
    """Return what is kept in memory of a task."""
    return LiveTask(
        task_id=task.task_id,
        session_id=task.session_id,
        parent_task_id=task.parent_task_id,
        place=task.place,
        session_key=task.session_key,
        trace_id=task.trace_id,
        model=task.model,
        created_at=task.created_at,
        owner=task.owner,
        recorded=recorded,
        progress=progress_of(task),
    )


class Keys:
    """The next keys to give. They only grow: what a failed transaction took is not used again."""

    def __init__(self, *, last_session: int, last_event: int) -> None:
        self._session = last_session
        self._event = last_event

    def session(self) -> int:
        """Return a session key that was never used."""
        self._session += 1
        return self._session

    def event(self) -> int:
        """Return an event id above all others."""
        self._event += 1
        return self._event

    @property
    def last_event(self) -> int:
        """The last event id that was given."""
        return self._event


class Staging:
    """The transaction that is being put together, over the state that is committed."""

    def __init__(
        self, *, live: Mapping[TaskId, LiveTask], session_keys: dict[SessionName, int], keys: Keys
    ) -> None:
        self._committed = live
        self._session_keys = session_keys
        self._keys = keys
        self.batch = Batch()
        self.live: dict[TaskId, LiveTask] = {}
        self.events: list[RecordedEvent] = []
        self.facts: list[Fact] = []
        self.metered: list[MeteredEvent] = []

    def create(self, message: Create) -> Task:
        """Add a task, its session if it is new, and its first event."""
        new, at = message.new, message.confirmed_at
        key = self._session_key(message.context.session, at, {})
        self._touch(key, at)
        task = Task(
            task_id=message.task_id,
            session_id=message.session_id,
            session_key=key,
            place=message.place,
            task=new.task,
            agent_preset=new.agent_preset,
            tool_preset=new.tool_preset,
            model=new.model,
            parent_task_id=new.parent_task_id,
            created_at=at,
            strategy=new.strategy,
            timeout_seconds=new.timeout_seconds,
            max_iterations=new.max_iterations,
            metadata=new.metadata,
            trace_id=message.context.trace_id,
            owner=message.context.owner,
        )
        self.batch.new_tasks.append(row_of_task(task))
        if message.key is not None:
            self._keep_key(message.key, task)
        self._add_events(live_task(task, recorded=0), (stamp(at, TaskCreated(task=new.task)),))
        return task

    def make_session(self, session: SessionName, at: Timestamp, metadata: dict[str, str]) -> bool:
        """Add a session unless it is there. Returns whether it was."""
        existed = session in self._session_keys
        self._session_key(session, at, metadata)
        return existed

    def record(self, message: Record) -> int | None:
        """Add those of a task's events that are not recorded yet; none if some before them were lost.

        Returns how many events the task then has; None if it has ended, and takes no more.
        """
        task = self._live(message.task_id)
        if task is None or task.progress.ended:
            return None
        if message.first <= task.recorded:
            task = self._add_events(task, message.events[task.recorded - message.first :])
        return task.recorded

    def crash(self, message: RecordCrash, at: Timestamp) -> Status | None:
        """End a task whose agent crashed. Returns its terminal status; None if it ended before."""
        return self.end(message.task_id, at, error=message.error)

    def end(self, task_id: TaskId, at: Timestamp, *, error: str) -> Status | None:
        """End a task as failed, unless it has ended. Returns its terminal status; None if it ended before."""
        task = self._live(task_id)
        if task is None:
            return None
        if not task.progress.ended:
            task = self.fail(task, at, error=error, reason="error")
        return task.progress.status

    def recover(self, task: LiveTask) -> None:
        """Take up a task that a previous run of the server left unfinished."""
        ids = {"task_id": task.task_id, "session_id": task.session_id, "trace_id": task.trace_id}
        parent = {} if task.parent_task_id is None else {"parent_task_id": task.parent_task_id}
        self.facts.append(Fact("task.recovered", {**ids, **parent}))

    def interrupt(self, task: LiveTask, at: Timestamp) -> None:
        """End a task that a previous run of the server left unfinished."""
        self.recover(task)
        self.fail(task, at, error="The server was stopped before the task had ended.", reason="interrupted")

    def fail(
        self, task: LiveTask, at: Timestamp, *, error: str, reason: Literal["error", "interrupted"]
    ) -> LiveTask:
        """End a task as failed."""
        event = ends.failed(task.progress, at, error, reason)
        return self._add_events(task, (stamp(at, event),))

    def _live(self, task_id: TaskId) -> LiveTask | None:
        return self.live.get(task_id) or self._committed.get(task_id)

    def _keep_key(self, key: IdempotencyKey, task: Task) -> None:
        row = {"idempotency_key": key.text, "fingerprint": key.fingerprint, "created_at": task.created_at}
        self.batch.keys.append({"owner": task.owner, "place": task.place} | row)
        self.batch.keys_until = before(task.created_at, KEYS_ARE_KEPT)

    def _session_key(self, session: SessionName, at: Timestamp, metadata: dict[str, str]) -> int:
        key = self._session_keys.get(session)
        if key is None:
            key = self._session_keys[session] = self._keys.session()
            self.batch.new_sessions.append(
                row_of_session(session_key=key, session=session, at=at, metadata=metadata)
            )
        return key

    def _touch(self, session_key: int, at: Timestamp) -> None:
        self.batch.touched[session_key] = max(at, self.batch.touched.get(session_key, at))

    def _add_events(self, task: LiveTask, stamped: tuple[Stamped, ...]) -> LiveTask:
        progress, recorded, asked = task.progress, task.recorded, task.asked
        for one in stamped:
            if progress.ended:
                break
            asked = asked_since(asked, one.event_type, one.at)
            self._add_event(task, one, asked)
            self.metered.append((task, progress, one, recorded))
            progress = advance(progress, one.at, one.event)
            recorded += 1
        if recorded == task.recorded:
            return task
        if task.recorded > 0:
            self.batch.progress[task.place] = progress  # a new task's row is inserted with it
        if progress.ended:
            self._touch(task.session_key, stamped[-1].at)
        task = msgspec.structs.replace(task, recorded=recorded, progress=progress, asked=asked)
        self.live[task.task_id] = task
        return task

    def _add_event(self, task: LiveTask, one: Stamped, asked: Timestamp | None) -> None:
        event = RecordedEvent(
            event_id=self._keys.event(),
            event_type=one.event_type,
            task_id=task.task_id,
            session_id=task.session_id,
            parent_task_id=task.parent_task_id,
            timestamp=one.at,
            body=one.body,
            owner=task.owner,
        )
        self.events.append(event)
        self.batch.events.append(row_of_event(event, place=task.place, session_key=task.session_key))
        fact = fact_of(event, one.event, trace_id=task.trace_id, model=task.model, asked=asked)
        if fact is not None:
            self.facts.append(fact)
