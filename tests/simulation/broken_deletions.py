"""Ways to delete a session that each lack one thing that the protocol needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pykka
from sqlalchemy import delete

from alex_actors.broadcaster_protocol import PublishDeleted
from alex_actors.core import Core
from alex_actors.deletions import Deletions
from alex_actors.following import Following
from alex_actors.messages import Promise, tell
from alex_actors.replies import Deleted
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import Confirm, ConfirmReply, DeleteSession
from alex_actors.store.erasing import Erasure
from alex_actors.store.schema import events, tasks
from alex_actors.store.writer import Batch, StoreWriter, Transaction
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import EraseSession
from alex_actors.values import SessionName

# The session actor.


class DoesNotWaitForAgents(SessionActor):
    """Has a session deleted while its agents still stop."""

    def _delete(self, message: DeleteSession, promise: Promise[Deleted]) -> None:
        super()._delete(message, promise)
        me: pykka.ActorRef[Any] = self.actor_ref  # Any: of the class that is expected
        self._deletions.nothing_runs(message.context.session, me)


class CancelsNobody(SessionActor):
    """Waits until the tasks of a session that is to be deleted end by themselves."""

    def _delete(self, message: DeleteSession, promise: Promise[Deleted]) -> None:
        self._deletions.begin(message, promise)
        if not self._lines.of(message.context.session):
            me: pykka.ActorRef[Any] = self.actor_ref  # Any: of the class that is expected
            self._deletions.nothing_runs(message.context.session, me)


class TakesMoreMeanwhile(SessionActor):
    """Confirms tasks in a session that is being deleted."""

    def _confirm(self, message: Confirm) -> ConfirmReply:
        confirming = self._confirming
        deletions, confirming._deletions = confirming._deletions, Deletions(store=self._store)
        try:
            return super()._confirm(message)
        finally:
            confirming._deletions = deletions


class TellsOnce(SessionActor):
    """Does not have a store that was restarted delete what the other was to delete."""

    def _tell_store_again(self) -> None:
        deletions, self._deletions = self._deletions, Deletions(store=self._store)
        super()._tell_store_again()
        self._deletions = deletions


# The store.


class PublishesDeletionFirst(TaskStoreActor):
    """Says that a session is deleted, and then deletes it."""

    def _erase(self, message: EraseSession) -> None:
        if message.context.sender != "TaskStoreActor":
            context = message.context.sent_by("TaskStoreActor")
            tell(self._broadcaster, PublishDeleted(context=context, session_id=message.session_id, task_ids=()))
            again = EraseSession(
                context=context, session_id=message.session_id, deletion=message.deletion, session=message.session
            )
            me: pykka.ActorRef[Any] = self.actor_ref  # Any: of the class that is expected
            tell(me, again)
        else:
            super()._erase(message)


class DeletesInSilence(TaskStoreActor):
    """Tells nobody that a session is deleted."""

    def _tell_of_erasure(self) -> None:
        self._condition.erasing = None


class ForgetsItsDeletion(TaskStoreActor):
    """Does not tell after a restart of a session that was deleted just before it."""

    def __init__(self, **given: Any) -> None:  # Any: as TaskStoreActor has them
        super().__init__(**given)
        self._condition.erasing = None


class KeepsTheSession(Transaction):
    """A transaction that deletes tasks and events, and leaves their session."""

    def __init__(self, inner: Transaction) -> None:
        super().__init__(inner._connection, inner._statements)
        self._inner = inner

    def write(self, batch: Batch) -> None:
        self._inner.write(batch)

    def erase(self, session: SessionName, *, trace_id: str) -> Erasure | None:
        key = self.session_keys([session]).get(session)
        for table in (events, tasks):
            self._connection.execute(delete(table).where(table.c.session_key == key))
        return None if key is None else Erasure(*session, key, (), trace_id)


class KeepingWriter(StoreWriter):
    """A writer with such transactions."""

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._writer.transaction() as transaction:
            yield KeepsTheSession(transaction)


class LeavesTheSession(Core):
    """A core that leaves the sessions that it deletes, without their tasks."""

    def make_store(self) -> TaskStoreActor:
        if not isinstance(self._writer, KeepingWriter):
            self._writer = KeepingWriter(self._writer)
        return super().make_store()


# Streams.


class HearsNoEnd(Following):
    """Goes on when its session is deleted."""

    def deleted(self) -> None:
        pass
