"""What writes into a trace besides messages: logs, and the ends of actors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from alex_actors.actor import HandlerExit
from alex_actors.diagrams.trace import Fact
from alex_actors.simulation.mailboxes import simulated
from alex_actors.simulation.strands import stops_the_run
from alex_actors.supervision import Supervision

if TYPE_CHECKING:
    from pykka._envelope import Envelope  # private, and pinned: as in alex_actors.supervision
    from structlog.typing import EventDict, FilteringBoundLogger

    from alex_actors.actor import PooledActor
    from alex_actors.simulation.scheduler import Scheduler


def log_into(scheduler: Scheduler, *, heard: Callable[[], bool] = lambda: True) -> FilteringBoundLogger:
    """Return a logger whose lines are entries of the trace, while it is ``heard``."""

    def state(_logger: object, _method: str, line: EventDict) -> EventDict:
        name = line.pop("event")
        if heard():
            scheduler.trace.add("logged", scheduler.speaker, Fact(name, dict(line)))
        raise structlog.DropEvent

    log: FilteringBoundLogger = structlog.wrap_logger(
        None, processors=[state], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return log


class TracedSupervision(Supervision):
    """Supervision that writes down who crashed, was restarted or stopped."""

    def __init__(self, *, scheduler: Scheduler) -> None:
        super().__init__(log=log_into(scheduler))
        self._trace = scheduler.trace

    def stopped(self, actor: PooledActor) -> None:
        """Forget an actor that has stopped."""
        self._trace.add("stopped", simulated(actor.actor_inbox).label, "")
        super().stopped(actor)

    def crashed(
        self,
        actor: PooledActor,
        error: BaseException,
        envelope: Envelope[Any] | None,  # Any: of whatever message
    ) -> bool:
        """Do what is to be done about a crash. What is no failure of the actor goes on."""
        cause = error.__cause__ if isinstance(error, HandlerExit) else error
        if cause is not None and stops_the_run(cause):
            raise cause
        label = simulated(actor.actor_inbox).label
        self._trace.add("crashed", label, error)
        before = actor.replaced
        again = super().crashed(actor, error, envelope)
        if actor.replaced and not before:
            self._trace.add("restarted", label, "")
        return again
