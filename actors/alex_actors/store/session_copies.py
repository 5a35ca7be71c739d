"""Sessions that are made from others: forks, which wait for a copy of their workspace, and imports."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.messages import tell
from alex_actors.replies import SessionExists, TaskExists, UnknownSession, WorkspaceTooLarge
from alex_actors.store.copying import Fork, add_brought
from alex_actors.store.writer import Batch, Superseded
from alex_actors.task_store_protocol import (
    ForkSession,
    ImportSession,
    StoredFork,
    StoredImport,
    StoreFailure,
    WorkspaceCopied,
)
from alex_actors.trees import TreeTooLarge
from alex_actors.values import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka
    from structlog.typing import FilteringBoundLogger

    from alex_actors.messages import Promise
    from alex_actors.ports import Clock, Workspaces
    from alex_actors.store.condition import StoreCondition
    from alex_actors.store.staging import Keys
    from alex_actors.store.writer import StoreWriter
    from alex_actors.task_store_actor import TaskStoreActor

NoteFailure: TypeAlias = "Callable[[ForkSession | ImportSession, SQLAlchemyError | Superseded], str]"
"""Takes notice that something could not be committed, and returns why."""


class SessionCopies:
    """Forks and imports. They belong to a store actor, and are forgotten with it: who waits gets its failure.

    A fork's key is used up before its workspace is copied under it: whatever crashes then, no other session ever
    finds these files, and the next start removes them.
    """

    def __init__(
        self,
        *,
        writer: StoreWriter,
        workspaces: Workspaces,
        clock: Clock,
        log: FilteringBoundLogger,
        condition: StoreCondition,
        keys: Keys,
        note_failure: NoteFailure,
    ) -> None:
        self._writer = writer
        self._workspaces = workspaces
        self._clock = clock
        self._log = log
        self._condition = condition
        self._keys = keys
        self._note_failure = note_failure
        self._forks: dict[int, tuple[Fork, ForkSession, Promise[StoredFork]]] = {}

    def fork(self, message: ForkSession, store: pykka.ActorRef[TaskStoreActor]) -> Promise[StoredFork]:
        """Begin a fork: have the workspace copied for it."""
        promise = message.later()
        source, new = message.context.session, (message.context.owner, message.new_id)
        try:
            with self._writer.transaction() as transaction:
                found = transaction.session_keys((source, new))
                refusal = _refusal(source in found, new in found, message)
                if refusal is not None:
                    promise.fulfil(refusal)
                    return promise
                new_key = self._keys.session()
                transaction.reserve(new_key)
        except (SQLAlchemyError, Superseded) as error:
            promise.fail(StoreFailure(self._note_failure(message, error)))
            return promise
        fork = Fork(source=source, source_key=found[source], new=new, new_key=new_key, metadata=message.metadata)
        self._forks[new_key] = (fork, message, promise)
        context = message.context.sent_by("workspaces")

        def done(error: Exception | None) -> None:
            told = None if error is None else str(error)
            too_large = isinstance(error, TreeTooLarge)
            tell(store, WorkspaceCopied(context=context, new_key=new_key, error=told, too_large=too_large))

        self._workspaces.copy(fork.source_key, new_key, done)
        return promise

    def copied(self, copied: WorkspaceCopied) -> None:
        """Record a fork whose workspace is there, and answer who asked for it."""
        if copied.new_key not in self._forks:
            self._workspaces.discard(copied.new_key)  # begun by a store actor that has crashed
            return
        fork, message, promise = self._forks.pop(copied.new_key)
        if copied.too_large:
            promise.fulfil(WorkspaceTooLarge())
            return
        if copied.error is not None:
            promise.fail(StoreFailure(f"The workspace could not be copied: {copied.error}"))
            return
        try:
            with self._writer.transaction() as transaction:
                found = transaction.session_keys((fork.source, fork.new))
                there = found.get(fork.source) == fork.source_key  # else it was deleted meanwhile
                refusal = _refusal(there, fork.new in found, message)
                if refusal is None:
                    transaction.fork(fork, timestamp(self._clock.now()))
        except (SQLAlchemyError, Superseded) as error:
            self._workspaces.discard(fork.new_key)
            promise.fail(StoreFailure(self._note_failure(message, error)))
            return
        if refusal is not None:
            self._workspaces.discard(fork.new_key)
            promise.fulfil(refusal)
            return
        self._log_made("session.forked", message, session_id=message.new_id, forked_from=fork.source[1])
        promise.fulfil(message.new_id)

    def take_in(self, message: ImportSession) -> Promise[StoredImport]:
        """Record a session with all that it brings, in a transaction of its own."""
        promise = message.later()
        session, brought, owner = message.context.session, message.brought, message.context.owner
        batch = Batch()
        try:
            with self._writer.transaction() as transaction:
                if session in transaction.session_keys((session,)):
                    promise.fulfil(SessionExists(session[1]))
                    return promise
                task_ids = [one.task.task_id for one in brought.tasks]
                existing = transaction.existing_task(owner, task_ids)
                if existing is not None:
                    promise.fulfil(TaskExists(existing))
                    return promise
                rows = add_brought(
                    batch, brought, owner,
                    first_place=message.first_place, keys=self._keys, trace_id=message.context.trace_id,
                )  # fmt: skip
                transaction.write(batch)
                transaction.add_messages(rows)
        except (SQLAlchemyError, Superseded) as error:
            promise.fail(StoreFailure(self._note_failure(message, error)))
            return promise
        if batch.events:  # nobody follows what is only there now: it counts as published
            self._condition.published = self._keys.last_event
        self._log_made("session.imported", message, session_id=session[1], tasks=len(brought.tasks))
        promise.fulfil(session[1])
        return promise

    def _log_made(self, fact: str, message: ForkSession | ImportSession, **more: object) -> None:
        self._log.info(fact, trace_id=message.context.trace_id, **more)


def _refusal(there: bool, exists: bool, message: ForkSession) -> StoredFork | None:  # noqa: FBT001 - two facts
    """Return why a session cannot be forked, None if it can."""
    if not there:
        return UnknownSession()
    return SessionExists(message.new_id) if exists else None
