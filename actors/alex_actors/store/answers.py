"""Answers agents and the session actor: about what they had recorded or deleted, and what there is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from alex_actors.agent_protocol import History, Recorded, RecordRefused, RecordsMissing
from alex_actors.messages import tell
from alex_actors.session_protocol import EraseFailed, SessionErased, Settled, Stock, TaskEnded, UnfinishedTask
from alex_actors.task_store_protocol import EraseSession, Record, RecordCrash, Revoke, TakeStock, TellHistory

if TYPE_CHECKING:
    from alex_actors.store.reader import StoreReader
    from alex_actors.tasks import Status


class Answers:
    """Tells what became of what was told. Reading may fail where writing did: SQLAlchemyError."""

    def __init__(self, *, reader: StoreReader) -> None:
        self._reader = reader

    def recorded(self, record: Record, count: int | None) -> None:
        """Say how many events the task has; None: it takes no more."""
        context = record.context.sent_by("TaskStoreActor")
        if count is None:
            self.ended(record, None)
        elif count < record.first:
            tell(record.agent, RecordsMissing(context=context, count=count))
        else:
            tell(record.agent, Recorded(context=context, count=count))

    def ended(self, change: Record | RecordCrash, status: Status | None) -> None:
        """Say how the task has ended; None: as its record says."""
        if status is None:
            task = self._reader.task(change.task_id, owner=change.context.owner)
            status = "failed" if task is None else task.status  # it was deleted with its session
        context = change.context.sent_by("TaskStoreActor")
        if isinstance(change, Record):
            tell(change.agent, RecordRefused(context=context, status=status))
        else:
            tell(change.session, TaskEnded(context=context, task_id=change.task_id, status=status))

    def settled(self, message: Revoke) -> None:
        """Say whether the task is recorded."""
        task = self._reader.task(message.task_id, owner=message.context.owner)
        context = message.context.sent_by("TaskStoreActor")
        tell(message.session, Settled(context=context, task_id=message.task_id, task=task))

    def history(self, message: TellHistory) -> None:
        """Say what is recorded of a task."""
        events = self._reader.events(message.task_id, owner=message.context.owner, after=0, limit=sys.maxsize)
        context = message.context.sent_by("TaskStoreActor")
        tell(message.agent, History(context=context, bodies=tuple(event.body for event in events or ())))

    def stock(self, message: TakeStock) -> None:
        """Say what is unfinished."""
        found, last_place = self._reader.unfinished(), self._reader.last_place()
        unfinished = tuple(UnfinishedTask(task, recorded) for task, recorded in found)
        stock = Stock(
            context=message.context.sent_by("TaskStoreActor"),
            incarnation=message.incarnation,
            unfinished=unfinished,
            last_place=last_place,
        )
        tell(message.session, stock)

    def erased(self, message: EraseSession) -> None:
        """Say that nothing of the session is recorded any more."""
        context = message.context.sent_by("TaskStoreActor")
        erased = SessionErased(context=context, session_id=message.session_id, deletion=message.deletion)
        tell(message.session, erased)

    def erase_failed(self, message: EraseSession, error: str) -> None:
        """Say that the session is there as it was."""
        failed = EraseFailed(
            context=message.context.sent_by("TaskStoreActor"),
            session_id=message.session_id,
            deletion=message.deletion,
            error=error,
        )
        tell(message.session, failed)
