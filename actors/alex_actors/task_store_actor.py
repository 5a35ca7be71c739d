"""The TaskStoreActor: sole owner of every write to the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from alex_actors.actor import PooledActor
from alex_actors.broadcaster_protocol import Publish
from alex_actors.messages import Promise, tell
from alex_actors.ports import NotMetered
from alex_actors.store.answers import Answers
from alex_actors.store.changes import Change, Dropped, Pending, Poisoned
from alex_actors.store.database import cause_of
from alex_actors.store.erasing import tell_of_erasure
from alex_actors.store.facts import facts_on_record
from alex_actors.store.session_copies import SessionCopies
from alex_actors.store.staging import Keys, Staging, live_task
from alex_actors.store.troubles import RETRY_AFTER, StoreTroubles, ids_of
from alex_actors.store.writer import Superseded
from alex_actors.task_store_protocol import (
    Create,
    EraseSession,
    ForkSession,
    ImportSession,
    MakeSession,
    ReadFailed,
    Record,
    RecordCrash,
    Recover,
    RecoveredStore,
    RemoveOld,
    Revoke,
    StoreFailure,
    TakeStock,
    TaskStoreMessage,
    TellHistory,
    WholeSessions,
    WorkspaceCopied,
    _Commit,
    _Probe,
)
from alex_actors.values import Context, Timestamp, timestamp

if TYPE_CHECKING:
    import pykka
    from structlog.typing import FilteringBoundLogger

    from alex_actors.broadcaster_actor import BroadcasterActor
    from alex_actors.events import RecordedEvent
    from alex_actors.ports import Clock, Meter, Timers, Workspaces
    from alex_actors.store.condition import StoreCondition
    from alex_actors.store.facts import Fact
    from alex_actors.store.reader import StoreReader
    from alex_actors.store.retention import Retention
    from alex_actors.store.writer import StoreWriter

UNRECORDABLE = "The store could not record what became of the task."
"""The error of a task that is ended for that; the log has what was raised."""


class TaskStoreActor(PooledActor):
    """Commits what is in its mailbox in groups, then answers and publishes it.

    The first change after a commit has the actor tell itself to commit: what waits in the mailbox by then
    goes into the same transaction. If the transaction fails for one of the changes, each is tried in one of
    its own, so that one that cannot be recorded does not take the others with it. One that fails before it gets
    to the database would fail whenever it came again: it is dropped, and its task is ended.

    One that takes the place of another that crashed begins with what is committed: it publishes what was not
    published any more. What was not committed is gone: who asked for it is told so, and agents and the session
    actor send again what is not answered.
    """

    staging_class = Staging

    def __init__(
        self,
        *,
        writer: StoreWriter,
        reader: StoreReader,
        broadcaster: pykka.ActorRef[BroadcasterActor],
        clock: Clock,
        timers: Timers,
        workspaces: Workspaces,
        log: FilteringBoundLogger,
        condition: StoreCondition,
        retention: Retention,
        superseded: Callable[[BaseException], None],
        meter: Meter | None = None,
    ) -> None:
        """``superseded`` is told when another server has taken over the database: nothing may run on here."""
        super().__init__()
        self._writer = writer
        self._reader = reader  # reading never waits for another program's lock, as the writer does
        self._answers = Answers(reader=reader)
        self._broadcaster = broadcaster
        self._clock, self._timers = clock, timers
        self._workspaces = workspaces
        self._log = log
        self._condition = condition
        self._retention = retention
        last_session, last_event = reader.last_keys()
        if condition.published is None:
            condition.published = last_event
        self._unpublished = reader.events_after(condition.published)
        erasing = condition.erasing
        if (
            erasing is not None
            and reader.session_key(erasing.session_id, owner=erasing.owner) == erasing.session_key
        ):
            condition.erasing = None  # it was not committed
        self._keys = Keys(last_session=last_session, last_event=last_event)
        self._live = {task.task_id: live_task(task, recorded) for task, recorded in reader.unfinished()}
        self._meter = NotMetered() if meter is None else meter
        self._meter.unfinished(self._live.values())
        self._pending: list[Pending] = []
        self._troubles = troubles = StoreTroubles(
            store=self.actor_ref, writer=writer, reader=reader, timers=timers, log=log, condition=condition,
            superseded=superseded,
        )  # fmt: skip
        self._copies = SessionCopies(
            writer=writer, workspaces=workspaces, clock=clock, log=log, condition=condition, keys=self._keys,
            note_failure=troubles.note_failed_commit,
        )  # fmt: skip

    def on_start(self) -> None:
        """Go on where a store actor that crashed left off."""
        if self._condition.failure is not None:
            self._troubles.note(self._condition.failure)
        self._tell_of_unpublished()
        self._tell_of_erasure()
        self._retention.begin(self.actor_ref)

    def on_receive(self, message: TaskStoreMessage) -> object:
        """Handle a message."""
        match message:
            case Create() | ImportSession() if message.incarnation < self._condition.incarnation:
                return self._refuse(message)
            case Create() | MakeSession():
                return self._wait_for_commit(message, message.later())
            case Record() | RecordCrash():
                self._wait_for_commit(message, None)
            case Revoke():
                self._revoke(message)
            case TakeStock():
                self._take_stock(message)
            case EraseSession():
                self._erase(message)
            case ForkSession() | WorkspaceCopied() | ImportSession() | RemoveOld():
                self._commit()  # what was to be recorded before it
                return self._about_whole_sessions(message)
            case _Commit():
                self._commit()
            case ReadFailed():
                self._troubles.note(message.error)
            case _Probe():
                self._troubles.probe()
            case TellHistory():
                self._look_up(message, lambda: self._answers.history(message))
            case Recover():
                return message.reply(self._recover(resume=message.resume))
            case _:
                assert_never(message)
        return None

    def _about_whole_sessions(self, message: WholeSessions) -> object:
        match message:
            case ForkSession():
                return self._copies.fork(message, self.actor_ref)
            case WorkspaceCopied():
                self._copies.copied(message)
            case ImportSession():
                return self._copies.take_in(message)
            case RemoveOld():
                self._retention.remove_some(self.actor_ref)
            case _:
                assert_never(message)
        return None

    def on_stop(self) -> None:
        """Commit what came in before the stop."""
        self._commit()

    def _wait_for_commit(
        self,
        change: Change,
        promise: Promise[Any] | None,  # Any: of what the change is answered with
    ) -> Promise[Any] | None:  # Any: as above
        if not self._pending:
            tell(self.actor_ref, _Commit(context=change.context.sent_by("TaskStoreActor")))
        self._pending.append(Pending(change, promise))
        return promise

    # Committing.

    def _commit(self) -> None:
        group, self._pending = self._pending, []
        if not group:
            return
        try:
            self._write(group)
        except (OperationalError, Superseded) as error:
            # Locked, full, broken: it would be the same for each alone, and each would wait for as long.
            self._give_up(group, error)
        except (SQLAlchemyError, Poisoned) as error:
            if len(group) == 1:
                self._give_up_one(group[0], error)
            else:
                self._write_one_by_one(group)

    def _write_one_by_one(self, group: list[Pending]) -> None:
        for position, one in enumerate(group):
            try:
                self._write([one])
            except (OperationalError, Superseded) as error:
                self._give_up(group[position:], error)
                return
            except (SQLAlchemyError, Poisoned) as error:
                self._give_up_one(one, error)

    def _write(self, group: list[Pending]) -> None:
        now, began = timestamp(self._clock.now()), self._clock.monotonic()
        named = {one.change.context.session for one in group if isinstance(one.change, Create | MakeSession)}
        with self._writer.transaction() as transaction:
            try:
                keys = transaction.session_keys(named)
                staging = self.staging_class(live=self._live, session_keys=keys, keys=self._keys)
                answers = [self._stage(staging, one, now) for one in group]
                transaction.write(staging.batch)
            except SQLAlchemyError:
                raise
            except Exception as error:  # a crash would take the others with it, and come again
                raise Poisoned from error
        self._committed(staging, messages=len(group), began=began)
        for one, answer in zip(group, answers, strict=True):
            try:
                answer()
            except SQLAlchemyError as error:  # the commit stands
                self._log.error("store.read_failed", error=str(error))
                self._repeat_later(one.change)

    def _stage(self, staging: Staging, one: Pending, now: Timestamp) -> Callable[[], None]:
        """Add a change to the transaction. Returns what answers it once that is committed."""
        match one.change:
            case Create():
                return _answer(one, staging.create(one.change))
            case MakeSession(context=context, metadata=metadata):
                return _answer(one, staging.make_session(context.session, now, metadata))
            case Record() as record:
                count = staging.record(record)
                return lambda: self._answers.recorded(record, count)
            case RecordCrash() as crash:
                status = staging.crash(crash, now)
                return lambda: self._answers.ended(crash, status)
            case Dropped(change=change):
                status = staging.end(change.task_id, now, error=UNRECORDABLE)
                return lambda: self._answers.ended(change, status)

    def _committed(self, staging: Staging, *, messages: int, began: float) -> None:
        """Make the transaction's state this actor's, count it, log its facts, publish its events: in order."""
        if staging.batch:  # that nothing was written says nothing of whether writing works
            self._condition.failure = None
        for task in staging.live.values():
            if task.progress.ended:
                self._live.pop(task.task_id, None)
            else:
                self._live[task.task_id] = task
        self._meter.committed(staging.metered, messages=messages, seconds=self._clock.monotonic() - began)
        self._tell(staging.facts)
        self._publish(staging.events)

    def _publish(self, events: list[RecordedEvent]) -> None:
        if events:
            publish = Publish(context=Context("", sender="TaskStoreActor"), events=tuple(events))
            tell(self._broadcaster, publish)
            self._condition.published = events[-1].event_id

    def _tell_of_unpublished(self) -> None:
        """Log and publish what was committed just before a crash."""
        events, self._unpublished = self._unpublished, []
        self._tell(facts_on_record(events, self._reader))  # reading may fail: first
        self._publish(events)

    def _tell(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            log = self._log.warning if fact.level == "warning" else self._log.info
            log(fact.name, **fact.fields)

    def _give_up(self, group: list[Pending], error: SQLAlchemyError | Superseded) -> None:
        for one in group:
            cause = self._troubles.note_failed_commit(one.change, error)
            if one.promise is not None:
                one.promise.fail(StoreFailure(cause))
            self._repeat_later(one.change)

    def _give_up_one(self, one: Pending, error: SQLAlchemyError | Poisoned) -> None:
        if isinstance(error, Poisoned):
            self._drop(one, error.__cause__)
        else:
            self._give_up([one], error)

    def _drop(self, one: Pending, cause: BaseException | None) -> None:
        """Give up a change that would fail whenever it came again, and end the task that it was about."""
        change, context = one.change, one.change.context
        what = {"receiver": "TaskStoreActor", "type": type(change).__name__} | ids_of(context)
        self._log.error("message.dropped", **what, exc_info=cause)
        if one.promise is not None:
            one.promise.fail(StoreFailure(f"It cannot be recorded: {cause!r}"))
        if isinstance(change, Record | RecordCrash):
            self._write_one_by_one([Pending(Dropped(context, change), None)])
        elif isinstance(change, Dropped):  # its end cannot be recorded either: that is left to the next start
            self._answers.ended(change.change, "failed")

    def _repeat_later(self, change: Change) -> None:
        """Try a change again that nobody else would send again: an agent that crashed is gone."""
        sent = change.change if isinstance(change, Dropped) else change
        if isinstance(sent, RecordCrash):
            self._timers.after(RETRY_AFTER, self.actor_ref, sent)

    # Revoking, and taking stock.

    def _revoke(self, message: Revoke) -> None:
        for one in self._pending:
            if isinstance(one.change, Create) and one.change.task_id == message.task_id:
                self._pending.remove(one)
                if one.promise is not None:
                    one.promise.fail(StoreFailure("its asker gave up"))
                break
        self._look_up(message, lambda: self._answers.settled(message))

    def _look_up(self, message: Revoke | TakeStock | TellHistory, answer: Callable[[], None]) -> None:
        """Answer from what is recorded; later, if it cannot be read now."""
        try:
            answer()
        except SQLAlchemyError as error:
            self._troubles.note(cause_of(error))
            self._timers.after(RETRY_AFTER, self.actor_ref, message)

    def _refuse(self, message: Create | ImportSession) -> Promise[Any]:  # Any: of what it is answered with
        """Refuse what has its place in line from a session actor that is gone: another one may have given it."""
        promise: Promise[Any] = message.later()  # Any: as above
        promise.fail(StoreFailure("The session was confirmed before a crash, and its confirmation is void."))
        return promise

    def _take_stock(self, message: TakeStock) -> None:
        if message.incarnation < self._condition.incarnation:
            return  # it was restarted since
        self._condition.incarnation = message.incarnation
        self._commit()
        self._look_up(message, lambda: self._answers.stock(message))

    # Deleting a session.

    def _erase(self, message: EraseSession) -> None:
        self._commit()  # what was to be recorded before it
        condition, trace_id = self._condition, message.context.trace_id
        try:
            with self._writer.transaction() as transaction:
                condition.erasing = transaction.erase(message.context.session, trace_id=trace_id)
        except (SQLAlchemyError, Superseded) as error:
            self._answers.erase_failed(message, self._troubles.note_failed_commit(message, error))
            return
        if condition.erasing is not None:
            condition.failure = None
        self._tell_of_erasure()
        self._answers.erased(message)

    def _tell_of_erasure(self) -> None:
        """Tell of a session that is deleted: also of one that was just before a crash."""
        erased = self._condition.erasing
        if erased is not None:
            tell_of_erasure(erased, log=self._log, broadcaster=self._broadcaster, workspaces=self._workspaces)
            self._condition.erasing = None

    def _recover(self, *, resume: bool) -> RecoveredStore:
        now, began = timestamp(self._clock.now()), self._clock.monotonic()
        staging = self.staging_class(live={}, session_keys={}, keys=self._keys)
        found = self._reader.unfinished()
        for task, recorded in found:
            live = live_task(task, recorded)
            if resume:
                staging.recover(live)
            else:
                staging.interrupt(live, now)
        with self._writer.transaction() as transaction:
            transaction.write(staging.batch)
        self._committed(staging, messages=1, began=began)
        return RecoveredStore(len(found))


def _answer(one: Pending, answer: object) -> Callable[[], None]:
    promise = one.promise
    if promise is None:
        msg = f"{type(one.change).__name__} was told, and must be asked."
        raise TypeError(msg)
    return lambda: promise.fulfil(answer)
