"""Ways to handle idempotency keys, and owners, that each lack one thing that the protocol needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import Listener, Topic
from alex_actors.claims import Claims
from alex_actors.core import Core
from alex_actors.events import RecordedEvent
from alex_actors.messages import ask, tell
from alex_actors.replies import KeyReused, Repeated, SubmitReply
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import ClaimKey, Confirm, ConfirmReply, ReleaseKey, Settle, Settled
from alex_actors.store.erasing import Erasure
from alex_actors.store.writer import Batch, StoreWriter, Transaction
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.tasks import KEYS_ARE_KEPT, IdempotencyKey, NewTask
from alex_actors.values import LOCAL_OWNER, Context, SessionName, TaskId, before, timestamp

# Submits.


class ReleasesTooEarly(ActorRuntime):
    """Releases a key as soon as the session is confirmed, before its task is recorded."""

    def _confirm(self, task_id: TaskId, new: NewTask, context: Context, *, claimed: bool) -> ConfirmReply:
        reply = super()._confirm(task_id, new, context, claimed=claimed)
        if claimed:
            tell(self._session, ReleaseKey(context=context, task_id=task_id))
        return reply


class ReadsTooEarly(ActorRuntime):
    """Reads whether a key was used, and then claims it."""

    def submit(self, new: NewTask, context: Context, *, key: IdempotencyKey | None = None) -> SubmitReply:
        if key is None:
            return super().submit(new, context)
        task_id = self._ids.task()
        with self._settling(task_id, context):
            since = before(timestamp(self._clock.now()), KEYS_ARE_KEPT)
            known = self._reader.submitted_with(key.text, owner=context.owner, since=since)
            ask(self._session, ClaimKey(context=context, task_id=task_id, key=key.text), timeout=self._ask_timeout)
            if known is None:
                reply = self._submit(task_id, new, context, key)
            else:
                reply = Repeated(known[1]) if known[0] == key.fingerprint else KeyReused(key.text)
            tell(self._session, ReleaseKey(context=context, task_id=task_id))
        return reply


class TakesAnyText(ActorRuntime):
    """Answers with a key's task whatever text comes with it."""

    def submit(self, new: NewTask, context: Context, *, key: IdempotencyKey | None = None) -> SubmitReply:
        return super().submit(new, context, key=None if key is None else IdempotencyKey(key.text, ""))


# The session actor.


class KeepsTheClaims(SessionActor):
    """Leaves a key claimed whose submit gave up."""

    def _settle(self, message: Settle) -> None:
        claims, self._claims = self._claims, Claims()
        super()._settle(message)
        self._claims = claims

    def _settled(self, message: Settled) -> None:
        claims, self._claims = self._claims, Claims()
        super()._settled(message)
        self._claims = claims


class TrustsOldClaims(SessionActor):
    """Confirms what was claimed before a crash, though another may have claimed it since."""

    def _confirm(self, message: Confirm) -> ConfirmReply:
        return super()._confirm(msgspec.structs.replace(message, claimed=False))


class MixesOwners(SessionActor):
    """Has all owners' sessions of one ID in one line."""

    def _confirm(self, message: Confirm) -> ConfirmReply:
        context = msgspec.structs.replace(message.context, owner=LOCAL_OWNER)
        return super()._confirm(msgspec.structs.replace(message, context=context))


# The store.


class LeavesTheKeys(Transaction):
    """A transaction that leaves idempotency keys to another one."""

    def __init__(self, inner: Transaction) -> None:
        super().__init__(inner._connection, inner._statements)
        self._inner = inner
        self.left = Batch()

    def write(self, batch: Batch) -> None:
        self.left.keys, batch.keys = batch.keys, []
        self.left.keys_until = batch.keys_until
        self._inner.write(batch)

    def erase(self, session: SessionName, *, trace_id: str) -> Erasure | None:
        return self._inner.erase(session, trace_id=trace_id)


class LateWriter(StoreWriter):
    """Commits tasks, then in another transaction the keys that they came with."""

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._writer.transaction() as inner:
            leaving = LeavesTheKeys(inner)
            yield leaving
        if leaving.left.keys:
            with contextlib.suppress(SQLAlchemyError), self._writer.transaction() as inner:
                inner.write(leaving.left)


class KeysApart(Core):
    """A core that records a task and its key in two transactions."""

    def make_store(self) -> TaskStoreActor:
        if not isinstance(self._writer, LateWriter):
            self._writer = LateWriter(self._writer)
        return super().make_store()


# Streams.


class TellsEverybody(BroadcasterActor):
    """Does not look whose session it is that somebody follows."""

    def _publish(self, event: RecordedEvent) -> None:
        super()._publish(msgspec.structs.replace(event, owner=LOCAL_OWNER))

    def _subscribe(self, topic: Topic, listener: Listener) -> None:
        super()._subscribe(msgspec.structs.replace(topic, owner=LOCAL_OWNER), listener)

    def _unsubscribe(self, topic: Topic, listener: Listener) -> None:
        super()._unsubscribe(msgspec.structs.replace(topic, owner=LOCAL_OWNER), listener)
