"""Answers agents and the session actor about what they had recorded, once it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alex_actors.agent_protocol import Recorded, RecordRefused, RecordsMissing
from alex_actors.messages import tell
from alex_actors.session_protocol import TaskEnded
from alex_actors.task_store_protocol import Record, RecordCrash

if TYPE_CHECKING:
    from alex_actors.store.reader import StoreReader
    from alex_actors.tasks import Status


class Answers:
    """Tells what became of a Record or a RecordCrash. Reading may fail where writing did: SQLAlchemyError."""

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
            task = self._reader.task(change.task_id)
            if task is None and isinstance(change, Record):
                return
            status = "failed" if task is None else task.status
        context = change.context.sent_by("TaskStoreActor")
        if isinstance(change, Record):
            tell(change.agent, RecordRefused(context=context, status=status))
        else:
            tell(change.session, TaskEnded(context=context, task_id=change.task_id, status=status))
