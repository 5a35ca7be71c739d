"""The sessions that are being deleted, and who waits for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from alex_actors.messages import tell
from alex_actors.replies import Deleted
from alex_actors.session_protocol import EraseFailed, SessionErased
from alex_actors.task_store_protocol import EraseSession, StoreFailure
from alex_actors.values import SessionId

if TYPE_CHECKING:
    import pykka

    from alex_actors.messages import Promise
    from alex_actors.session_actor import SessionActor
    from alex_actors.session_protocol import DeleteSession
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.values import Context, SessionName


class Deletion:
    """A session's deletion, from the first that asks for it until the store has answered."""

    __slots__ = ("context", "number", "promises", "told")

    def __init__(self, number: int, context: Context) -> None:
        self.number = number
        """Tells it from one before it of the same session, which the store may answer twice."""
        self.context = context
        """Of who asked first; names the session."""
        self.promises: list[Promise[Deleted]] = []
        self.told = False
        """Whether the store was told: nothing of the session runs any more."""


class Deletions:
    """All of them. They belong to a session actor, and are forgotten with it: who waits gets its failure."""

    def __init__(self, *, store: pykka.ActorRef[TaskStoreActor]) -> None:
        self._store = store
        self._by_session: dict[SessionName, Deletion] = {}
        self._begun = 0

    def __contains__(self, session: SessionName) -> bool:
        """Return whether a session is being deleted."""
        return session in self._by_session

    def begin(self, message: DeleteSession, promise: Promise[Deleted]) -> bool:
        """Begin a session's deletion, or wait for the one that has begun. Returns whether it is a new one."""
        deletion = self._by_session.get(message.context.session)
        new = deletion is None
        if deletion is None:
            self._begun += 1
            context = message.context.sent_by("SessionActor")
            deletion = Deletion(self._begun, context)
            self._by_session[context.session] = deletion
        deletion.promises.append(promise)
        return new

    def nothing_runs(self, name: SessionName, session: pykka.ActorRef[SessionActor]) -> None:
        """Have the store delete what is recorded of a session, if it is being deleted."""
        if name in self._by_session:
            self._tell(self._by_session[name], session)

    def tell_again(self, session: pykka.ActorRef[SessionActor]) -> None:
        """Tell the store again what it has not answered."""
        for deletion in self._by_session.values():
            if deletion.told:
                self._tell(deletion, session)

    def answered(self, message: SessionErased | EraseFailed) -> None:
        """Answer who waits for a deletion, as the store did."""
        deletion = self._by_session.get(message.context.session)
        if deletion is None or deletion.number != message.deletion:
            return
        del self._by_session[message.context.session]
        for promise in deletion.promises:
            match message:
                case SessionErased():
                    promise.fulfil(Deleted())
                case EraseFailed():
                    promise.fail(StoreFailure(message.error))
                case _:
                    assert_never(message)

    def _tell(self, deletion: Deletion, session: pykka.ActorRef[SessionActor]) -> None:
        deletion.told = True
        context = deletion.context
        erase = EraseSession(
            context=context, session_id=SessionId(context.session_id), deletion=deletion.number, session=session
        )
        tell(self._store, erase)
