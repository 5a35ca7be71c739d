"""Retention: removes what ended longer ago than it is to be kept, a little at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from alex_actors.broadcaster_protocol import PublishDeleted, PublishRemoved, TaskTopic
from alex_actors.messages import tell
from alex_actors.store.database import cause_of
from alex_actors.store.writer import Superseded
from alex_actors.task_store_protocol import RemoveOld
from alex_actors.values import Context, before, timestamp

if TYPE_CHECKING:
    from datetime import timedelta

    import pykka
    from structlog.typing import FilteringBoundLogger

    from alex_actors.broadcaster_actor import BroadcasterActor
    from alex_actors.ports import Clock, Timer, Timers, Workspaces
    from alex_actors.store.reader import StoreReader
    from alex_actors.store.retiring import OldSession, OldTask
    from alex_actors.store.writer import StoreWriter
    from alex_actors.task_store_actor import TaskStoreActor

SOON = 1.0
"""Seconds from the start of the server until the first look: it has other things to do first."""
EVERY = 3600.0
"""Seconds from one time that all was removed to the next. What is kept for days is not missed for an hour."""

MOST_TASKS = 50
MOST_EVENTS = 2_000
"""What is removed at once at most, but for a task with more events: 2,000 took 15 ms, for which commits wait."""
SESSIONS_AT_ONCE = 10_000
"""Keys of sessions that are looked through at once."""


class Retention:
    """Removes tasks that ended longer ago than ``keep``, then sessions without anything that were not used since.

    One is made for all store actors, one after the other; each step is a message to the one that is there, which
    does its other work between two of them. ``keep`` is None: nothing is ever removed.
    """

    def __init__(
        self,
        *,
        keep: timedelta | None,
        writer: StoreWriter,
        reader: StoreReader,
        broadcaster: pykka.ActorRef[BroadcasterActor],
        workspaces: Workspaces,
        clock: Clock,
        timers: Timers,
        log: FilteringBoundLogger,
    ) -> None:
        self._keep = keep
        self._writer = writer
        self._reader = reader
        self._broadcaster = broadcaster
        self._workspaces = workspaces
        self._clock = clock
        self._timers = timers
        self._log = log
        self._timer: Timer | None = None
        self._after = 0  # the session key up to which this round has come

    def begin(self, store: pykka.ActorRef[TaskStoreActor]) -> None:
        """Have it all begin, or go on after a crash: then not at once, since it may be a step that crashed."""
        if self._keep is not None:
            self._later(store, SOON if self._timer is None else EVERY)

    def remove_some(self, store: pykka.ActorRef[TaskStoreActor]) -> None:
        """Remove a few tasks, or sessions if no such task is left; and see to it that the rest is, too."""
        if self._keep is None:
            return
        until = before(timestamp(self._clock.now()), self._keep)
        sessions: list[OldSession] = []
        try:
            last, _ = self._reader.last_keys()
            with self._writer.transaction() as transaction:
                tasks = transaction.remove_ended(until, most_tasks=MOST_TASKS, most_events=MOST_EVENTS)
                if not tasks:
                    sessions = transaction.remove_unused(until, after=self._after, span=SESSIONS_AT_ONCE)
        except (SQLAlchemyError, Superseded) as error:
            self._log.error("retention.failed", error=cause_of(error))
            self._later(store, EVERY)
            return
        self._tell_of(tasks, sessions)
        if not tasks:
            self._after += SESSIONS_AT_ONCE
        if tasks or self._after < last:
            tell(store, RemoveOld(context=Context("", sender="TaskStoreActor")))
        else:
            self._after = 0
            self._later(store, EVERY)

    def _tell_of(self, tasks: list[OldTask], sessions: list[OldSession]) -> None:
        if tasks or sessions:
            self._log.info("retention.removed", tasks=len(tasks), sessions=len(sessions))
        if tasks:
            topics = tuple(TaskTopic(one.task_id, one.owner) for one in tasks)
            tell(self._broadcaster, PublishRemoved(context=Context("", sender="TaskStoreActor"), topics=topics))
        for one in sessions:
            context = Context("", session_id=one.session_id, sender="TaskStoreActor", owner=one.owner)
            tell(self._broadcaster, PublishDeleted(context=context, session_id=one.session_id, task_ids=()))
            self._workspaces.discard(one.session_key)

    def _later(self, store: pykka.ActorRef[TaskStoreActor], seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()  # of no effect if it was sent
        remove = RemoveOld(context=Context("", sender="TaskStoreActor"))
        self._timer = self._timers.after(seconds, store, remove)
