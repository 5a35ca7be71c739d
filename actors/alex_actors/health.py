"""How the parts are: what ``/health`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from alex_actors.mailbox import mailbox_of
from alex_actors.replies import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alex_actors.dispatchers import PoolDispatcher
    from alex_actors.executor import AsyncioExecutor
    from alex_actors.loop_thread import LoopThread
    from alex_actors.store.condition import StoreCondition
    from alex_actors.store.database_file import OpenedFiles
    from alex_actors.supervision import RestartPolicy

SLOW_AFTER = 1.0
"""Seconds of lag from which the agents' thread is called degraded: every agent waits for as long."""


FULL_AFTER = 10.0
"""Seconds for which all threads for tools are busy until that is called degraded: files take milliseconds."""


class HealthCheck:
    """Looks at the parts without waiting for any."""

    def __init__(
        self,
        *,
        session: pykka.ActorRef[Any],  # Any: only whether it lives, and what waits for it, is looked at
        store: pykka.ActorRef[Any],  # Any: as above
        broadcaster: pykka.ActorRef[Any],  # Any: as above
        store_condition: StoreCondition,
        store_files: OpenedFiles,
        restarts: Mapping[str, RestartPolicy],
        executor: AsyncioExecutor,
        agents_thread: LoopThread,
        pool: PoolDispatcher,
    ) -> None:
        """``restarts`` has the policies of the three actors, by the names of their components."""
        self._session = session
        self._store = store
        self._broadcaster = broadcaster
        self._store_condition = store_condition
        self._store_files = store_files
        self._restarts = restarts
        self._executor = executor
        self._agents_thread = agents_thread
        self._pool = pool

    def components(self) -> dict[str, Component]:
        """Return the health of every component, by name."""
        return {
            "sessions": self._actor(self._session, self._restarts["sessions"]),
            "store": self._store_health(),
            "broadcaster": self._actor(self._broadcaster, self._restarts["broadcaster"]),
            "agents": self._agents_health(),
        }

    def store_failure(self) -> str | None:
        """Return why nothing can be recorded; None if it can. Also while nobody asks for that."""
        failure = self._store_condition.failure
        return self._store_files.changed() if failure is None else f"The last commit failed: {failure}"

    def _store_health(self) -> Component:
        failure = self.store_failure()
        if failure is not None:
            return Component("down", failure, _waiting(self._store))
        return self._actor(self._store, self._restarts["store"])

    def _actor(self, ref: pykka.ActorRef[Any], restarts: RestartPolicy) -> Component:  # Any: as above
        if not ref.is_alive():
            return Component("down", "The actor has stopped.", _waiting(ref))
        if restarts.recent:
            return Component("degraded", "The actor crashed, and was restarted.", _waiting(ref))
        return Component("ok", None, _waiting(ref))

    def _agents_health(self) -> Component:
        thread = self._agents_thread
        lag = thread.lag()
        figures = {
            "running": self._executor.runs,
            "actors": self._pool.actors,
            "lag_seconds": round(lag, 3),
            "tool_threads": thread.tools.busy,
            "function_threads": thread.functions.busy,
        }
        if not thread.is_alive():
            return Component("down", "The agents' thread has ended.", figures)
        troubles = ["An agent blocks the agents' thread."] if lag > SLOW_AFTER else []
        for threads, whose in ((thread.tools, "built-in tools"), (thread.functions, "tools of your own")):
            if threads.full_for() > FULL_AFTER:
                troubles.append(f"All {threads.most} threads of {whose} are busy: the next calls wait.")
        return Component("degraded", " ".join(troubles), figures) if troubles else Component("ok", None, figures)


def _waiting(ref: pykka.ActorRef[Any]) -> dict[str, float | int]:  # Any: as above
    return {"waiting_messages": len(mailbox_of(ref))}
