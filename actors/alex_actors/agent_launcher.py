"""Starts AgentActors: one for each recorded task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pykka

from alex_actors.agent_actor import AgentActor
from alex_actors.agent_protocol import Start
from alex_actors.messages import tell
from alex_actors.session_protocol import AgentCrashed
from alex_actors.text import failure_line
from alex_actors.values import Context

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.dispatchers import Spawner
    from alex_actors.ports import Clock, Executor, Timers
    from alex_actors.session_actor import SessionActor
    from alex_actors.task_store_actor import TaskStoreActor
    from alex_actors.tasks import Task


class AgentLauncher:
    """What every AgentActor is given, and who is told if it crashes: the session actor."""

    def __init__(
        self,
        *,
        spawner: Spawner,
        store: pykka.ActorRef[TaskStoreActor],
        executor: Executor,
        timers: Timers,
        clock: Clock,
        log: FilteringBoundLogger,
        cancel_grace: float,
    ) -> None:
        self._spawner = spawner
        self._store = store
        self._executor = executor
        self._timers = timers
        self._clock = clock
        self._log = log
        self._cancel_grace = cancel_grace

    def launch(self, task: Task, session: pykka.ActorRef[SessionActor]) -> None:
        """Start the AgentActor of a recorded task, and tell it to start."""
        context = Context(task.trace_id, task.task_id, task.session_id, "AgentLauncher")

        def crashed(error: BaseException) -> None:
            text = f"The task's actor crashed: {failure_line(error)}"
            tell(session, AgentCrashed(context=context, task_id=task.task_id, error=text))

        agent = self._spawner.spawn(
            lambda: AgentActor(
                task=task,
                session=session,
                store=self._store,
                executor=self._executor,
                timers=self._timers,
                clock=self._clock,
                log=self._log,
                cancel_grace=self._cancel_grace,
            ),
            supervisor=crashed,
        )
        tell(agent, Start(context=context))
