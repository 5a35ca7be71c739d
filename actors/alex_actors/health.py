"""How the parts are: what ``/health`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from alex_actors.mailbox import mailbox_of
from alex_actors.replies import Component

if TYPE_CHECKING:
    from alex_actors.dispatchers import PoolDispatcher
    from alex_actors.executor import AsyncioExecutor
    from alex_actors.task_store_actor import StoreCondition

SLOW_AFTER = 1.0
"""Seconds of lag from which the agents' thread is called degraded: every agent waits for as long."""


class HealthCheck:
    """Looks at the parts without waiting for any."""

    def __init__(
        self,
        *,
        session: pykka.ActorRef[Any],  # Any: only whether it lives, and what waits for it, is looked at
        store: pykka.ActorRef[Any],  # Any: as above
        broadcaster: pykka.ActorRef[Any],  # Any: as above
        store_condition: StoreCondition,
        executor: AsyncioExecutor,
        pool: PoolDispatcher,
    ) -> None:
        self._session = session
        self._store = store
        self._broadcaster = broadcaster
        self._store_condition = store_condition
        self._executor = executor
        self._pool = pool

    def components(self) -> dict[str, Component]:
        """Return the health of every component, by name."""
        return {
            "sessions": _actor(self._session),
            "store": self._store_health(),
            "broadcaster": _actor(self._broadcaster),
            "agents": self._agents_health(),
        }

    def _store_health(self) -> Component:
        failure = self._store_condition.failure
        if failure is not None:
            return Component("down", f"The last commit failed: {failure}", _waiting(self._store))
        return _actor(self._store)

    def _agents_health(self) -> Component:
        lag = self._executor.lag()
        figures = {"running": self._executor.runs, "actors": self._pool.actors, "lag_seconds": round(lag, 3)}
        if not self._executor.is_alive():
            return Component("down", "The agents' thread has ended.", figures)
        if lag > SLOW_AFTER:
            return Component("degraded", "An agent blocks the agents' thread.", figures)
        return Component("ok", None, figures)


def _actor(ref: pykka.ActorRef[Any]) -> Component:  # Any: as above
    if not ref.is_alive():
        return Component("down", "The actor has stopped.", _waiting(ref))
    return Component("ok", None, _waiting(ref))


def _waiting(ref: pykka.ActorRef[Any]) -> dict[str, float | int]:  # Any: as above
    return {"waiting_messages": len(mailbox_of(ref))}
