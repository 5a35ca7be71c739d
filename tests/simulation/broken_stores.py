"""Store actors that each lack one thing that the protocol needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from alex_actors.agent_protocol import Recorded
from alex_actors.broadcaster_protocol import Publish
from alex_actors.core import Core
from alex_actors.events import RecordedEvent
from alex_actors.messages import Promise, tell
from alex_actors.projection import Progress
from alex_actors.store.changes import Change, Pending
from alex_actors.store.erasing import Erasure
from alex_actors.store.staging import Keys, Staging, live_task
from alex_actors.store.writer import Batch, StoreWriter, Transaction
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import Create, Record, RecordCrash, TakeStock
from alex_actors.values import Context, SessionName, Timestamp
from tests.simulation.broken_sessions import ForgetsTheUnfinished

# Too early.


class AnswersCreateFirst(TaskStoreActor):
    """Answers for a task before it is committed."""

    def _wait_for_commit(
        self,
        change: Change,
        promise: Promise[Any] | None,  # Any: as TaskStoreActor has it
    ) -> Promise[Any] | None:  # Any: as above
        if not isinstance(change, Create) or promise is None:
            return super()._wait_for_commit(change, promise)
        keys = Keys(last_session=0, last_event=0)
        promise.fulfil(Staging(live={}, session_keys={}, keys=keys).create(change))
        super()._wait_for_commit(change, change.later())
        return promise


class AnswersRecordFirst(TaskStoreActor):
    """Answers for events before they are committed."""

    def _wait_for_commit(
        self,
        change: Change,
        promise: Promise[Any] | None,  # Any: as TaskStoreActor has it
    ) -> Promise[Any] | None:  # Any: as above
        if isinstance(change, Record):
            tell(change.agent, Recorded(context=change.context, count=change.first + len(change.events)))
        return super()._wait_for_commit(change, promise)


class PublishesFirst(TaskStoreActor):
    """Publishes events while their transaction is open."""

    def _stage(self, staging: Staging, one: Pending, now: Timestamp) -> Callable[[], None]:
        before = len(staging.events)
        answer = super()._stage(staging, one, now)
        if events := tuple(staging.events[before:]):
            tell(self._broadcaster, Publish(context=Context("", sender="TaskStoreActor"), events=events))
        return answer

    def _publish(self, events: list[RecordedEvent]) -> None:
        if events:
            self._condition.published = events[-1].event_id


# Too much, too little.


class TakesRepeats(Staging):
    """Records a Record that comes again once more."""

    def record(self, message: Record) -> int | None:
        task = self._live(message.task_id)
        if task is None or task.progress.ended:
            return None
        if message.first > task.recorded:
            return task.recorded
        self._add_events(task, message.events)
        return message.first + len(message.events)


class TakesGaps(Staging):
    """Records events although some before them were lost."""

    def record(self, message: Record) -> int | None:
        task = self._live(message.task_id)
        if task is None or task.progress.ended:
            return None
        return self._add_events(task, message.events[max(0, task.recorded - message.first) :]).recorded


class TakesMoreAfterTheEnd(TaskStoreActor):
    """Takes up a task again that has ended, and records what comes of it."""

    def _stage(self, staging: Staging, one: Pending, now: Timestamp) -> Callable[[], None]:
        change = one.change
        if isinstance(change, Record | RecordCrash) and change.task_id not in self._live | staging.live:
            self._take_up(change)
        return super()._stage(staging, one, now)

    def _take_up(self, change: Record | RecordCrash) -> None:
        task, events = self._reader.task(change.task_id), self._reader.events(change.task_id, after=0, limit=1000)
        if task is None or events is None:
            return
        if isinstance(change, RecordCrash) or change.first + len(change.events) > len(events):
            self._live[task.task_id] = live_task(task, len(events))


class Torn(Transaction):
    """A transaction that leaves the tasks' states to another one."""

    def __init__(self, inner: Transaction) -> None:
        super().__init__(inner._connection, inner._statements)
        self._inner = inner
        self.states: dict[int, Progress] = {}

    def erase(self, session: SessionName, *, trace_id: str) -> Erasure | None:
        return self._inner.erase(session, trace_id=trace_id)

    def write(self, batch: Batch) -> None:
        self.states, batch.progress = batch.progress, {}
        self._inner.write(batch)


class TornWriter(StoreWriter):
    """Commits events, then in another transaction the states that they make."""

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._writer.transaction() as transaction:
            torn = Torn(transaction)
            yield torn
        if torn.states:
            with self._writer.transaction() as transaction:
                batch = Batch()
                batch.progress = torn.states
                transaction.write(batch)


class TwoCommits(Core):
    """A core that writes a task's events and its state in two transactions."""

    def make_store(self) -> TaskStoreActor:
        if not isinstance(self._writer, TornWriter):
            self._writer = TornWriter(self._writer)
        return super().make_store()


# Ids.


class Swapped(Keys):
    """Gives the second of each two ids first."""

    def event(self) -> int:
        return super().event() - 1 ^ 1


class SwapsIds(TaskStoreActor):
    """Gives events ids that do not grow."""

    def __init__(self, **given: Any) -> None:  # Any: as TaskStoreActor has them
        super().__init__(**given)
        self._keys = Swapped(last_session=self._keys._session, last_event=self._keys._event // 2 * 2 + 2)


# Restarts.


class PublishesNoMore(TaskStoreActor):
    """Does not publish after a restart what was committed before it."""

    def _tell_of_unpublished(self) -> None:
        self._unpublished = []


class CountsAnew(TaskStoreActor):
    """Counts from nothing after a restart."""

    def __init__(self, **given: Any) -> None:  # Any: as above
        super().__init__(**given)
        for task_id, task in self._live.items():
            progress = Progress(status=task.progress.status, started_at=task.progress.started_at)
            self._live[task_id] = msgspec.structs.replace(task, progress=progress)


class FencesNobody(TaskStoreActor):
    """Records what a session actor confirmed that is gone, place and all."""

    def _take_stock(self, message: TakeStock) -> None:
        super()._take_stock(message)
        self._condition.incarnation = 0


class RestartsInSilence(Core):
    """A core in which the session actor does not hear that the store was restarted."""

    def _store_restarted(self) -> None:
        pass


class RecoversNothing(Core):
    """A core that leaves alone what a previous run left unfinished."""

    def recover(self) -> None:
        pass


class ForgetsItsTasks(RecoversNothing):
    """A core that takes no notice of what is unfinished when it starts."""

    session_class = ForgetsTheUnfinished
