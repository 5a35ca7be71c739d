"""What the store actor does when the store fails: says so, and looks from time to time whether it works again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from alex_actors.store.database import cause_of
from alex_actors.store.writer import Superseded
from alex_actors.task_store_protocol import _Probe
from alex_actors.values import Context

if TYPE_CHECKING:
    import pykka
    from structlog.typing import FilteringBoundLogger

    from alex_actors.ports import Timers
    from alex_actors.store.changes import Change
    from alex_actors.store.condition import StoreCondition
    from alex_actors.store.reader import StoreReader
    from alex_actors.store.writer import StoreWriter
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.task_store_protocol import EraseSession, ForkSession, ImportSession

RETRY_AFTER = 5.0
"""Seconds until what the store could not do, and nobody else would ask for again, is tried again."""


class StoreTroubles:
    """Belongs to a store actor. ``superseded`` is told when another server has taken over the database."""

    def __init__(
        self,
        *,
        store: pykka.ActorRef[TaskStoreActor],
        writer: StoreWriter,
        reader: StoreReader,
        timers: Timers,
        log: FilteringBoundLogger,
        condition: StoreCondition,
        superseded: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._reader = reader
        self._timers = timers
        self._log = log
        self._condition = condition
        self._superseded = superseded
        self._probing = False

    def note_failed_commit(
        self, change: Change | EraseSession | ForkSession | ImportSession, error: SQLAlchemyError | Superseded
    ) -> str:
        """Log what could not be committed. Returns why."""
        cause = cause_of(error)
        if isinstance(error, OperationalError | Superseded):  # else one row was refused: the store works
            self.note(cause)
        if isinstance(error, Superseded):
            self._superseded(error)
        name, ids = type(change).__name__, ids_of(change.context)
        self._log.error("store.commit_failed", change=name, **ids, error=cause)
        return cause

    def note(self, cause: str) -> None:
        """Say that the store fails, and see to it that it is said when it does no more."""
        self._condition.failure = cause
        if not self._probing:
            self._probing = True
            self._probe_later()

    def probe(self) -> None:
        """Look whether the store works again, unless something was committed meanwhile."""
        if self._condition.failure is not None:
            try:
                with self._writer.transaction() as transaction:
                    transaction.write_nothing_new()
                self._reader.sessions(limit=1, offset=0)
            except (SQLAlchemyError, Superseded):
                self._probe_later()
                return
            self._condition.failure = None
        self._probing = False

    def _probe_later(self) -> None:
        probe = _Probe(context=Context("", sender="TaskStoreActor"))
        self._timers.after(RETRY_AFTER, self._store, probe)


def ids_of(context: Context) -> dict[str, str]:
    """Return what the log says of whose work a message is."""
    return {"task_id": context.task_id, "session_id": context.session_id, "trace_id": context.trace_id}
