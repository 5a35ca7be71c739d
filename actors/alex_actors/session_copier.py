"""The calls of the runtime that make a session from another one: fork, export, import."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from alex_actors.messages import ask, ask_later
from alex_actors.replies import (
    Awaited,
    ForkReply,
    ImportReply,
    SessionDeleting,
    SessionForked,
    SessionImported,
    UnknownSession,
)
from alex_actors.session_protocol import AdmitSession, Admitted
from alex_actors.task_store_protocol import ForkSession, ImportSession
from alex_actors.values import Context, Owner, SessionId, TaskId

if TYPE_CHECKING:
    import pykka

    from alex_actors.copies import BroughtSession
    from alex_actors.replies import ExportedSession, SessionTooLarge
    from alex_actors.session_actor import SessionActor
    from alex_actors.store.reader import StoreReader
    from alex_actors.task_store_actor import TaskStoreActor

R = TypeVar("R")

GuardedBlock: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Turns what is not a client's fault into Unavailable, with this advice."""

COPIED_WITHIN = 60.0
"""Seconds that a fork or an import is waited for: a large workspace takes some."""

TRY_AGAIN = "Try again in a moment."
LOOK_FIRST = "Look whether the session is there before you try again."
LATE = "The session is not there yet, and will be soon unless something fails. Look whether it is."


class SessionCopier:
    """Asks the session actor whether a session may be made, then the store actor to make it."""

    def __init__(
        self,
        *,
        session: pykka.ActorRef[SessionActor],
        store: pykka.ActorRef[TaskStoreActor],
        reader: StoreReader,
        ask_timeout: float,
        unavailable: GuardedBlock,
    ) -> None:
        self._session = session
        self._store = store
        self._reader = reader
        self._ask_timeout = ask_timeout
        self._unavailable = unavailable

    def fork(
        self,
        source: SessionId,
        new_id: SessionId | None,
        metadata: dict[str, str] | None,
        context: Context,
        *,
        wake: Callable[[], None],
    ) -> Awaited[ForkReply]:
        """Make a session with a copy of another one's messages and workspace. The reply comes when it is there."""
        context = context.about(TaskId(""), source)
        with self._unavailable(TRY_AGAIN):
            if self._reader.session_key(source, owner=context.owner) is None:
                return Awaited(UnknownSession)
            old, new = self._admit(source, context), self._admit(new_id, context)
        if isinstance(old, SessionDeleting):
            return _known(old)
        if isinstance(new, SessionDeleting):
            return _known(new)
        message = ForkSession(context=context, new_id=new.session_id, metadata=metadata)
        answer = ask_later(self._store, message, wake=wake)

        def poll() -> ForkReply | None:
            with self._unavailable(LOOK_FIRST):
                stored = answer.poll()
                if not isinstance(stored, str):
                    return stored
                detail = self._reader.session(stored, owner=context.owner)
            # It may be deleted already, by somebody who saw it in the list.
            return SessionDeleting(stored) if detail is None else SessionForked(detail)

        return Awaited(poll, within=COPIED_WITHIN, late=LATE)

    def export(
        self, session_id: SessionId, *, owner: Owner, most_bytes: int
    ) -> ExportedSession | SessionTooLarge | None:
        """Return all that is recorded of a session, as of one moment, unless it has more than an import takes."""
        with self._unavailable(TRY_AGAIN):
            return self._reader.whole_session(session_id, owner=owner, most_bytes=most_bytes)

    def take_in(
        self, brought: BroughtSession, context: Context, *, wake: Callable[[], None]
    ) -> Awaited[ImportReply]:
        """Record a session that was exported. The reply comes when that is done."""
        context = context.about(TaskId(""), brought.session.session_id)
        with self._unavailable(TRY_AGAIN):
            admitted = self._admit(brought.session.session_id, context, places=len(brought.tasks))
        if isinstance(admitted, SessionDeleting):
            return _known(admitted)
        message = ImportSession(
            context=context,
            brought=brought,
            first_place=admitted.first_place,
            incarnation=admitted.incarnation,
        )
        answer = ask_later(self._store, message, wake=wake)

        def poll() -> ImportReply | None:
            with self._unavailable(LOOK_FIRST):
                stored = answer.poll()
                if not isinstance(stored, str):
                    return stored
                detail = self._reader.session(stored, owner=context.owner)
            return SessionDeleting(stored) if detail is None else SessionImported(detail)  # as above

        return Awaited(poll, within=COPIED_WITHIN, late=LATE)

    def _admit(
        self, session_id: SessionId | None, context: Context, *, places: int = 0
    ) -> Admitted | SessionDeleting:
        admit = AdmitSession(context=context, session_id=session_id, places=places)
        return ask(self._session, admit, timeout=self._ask_timeout)


def _known(reply: R) -> Awaited[R]:
    """Return a reply that is there already."""
    return Awaited(lambda: reply)
