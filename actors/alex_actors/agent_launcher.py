"""Starts AgentActors, one for each recorded task, and remembers them for as long as they hold a place."""

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
    from alex_actors.values import TaskId


class LaunchedAgent:
    """What a session actor that was restarted has to know of an agent that can tell it nothing any more.

    Each field is written once, before the message that tells of it is sent: so a session actor that reads it
    as not written yet will be sent that message.
    """

    __slots__ = ("agent", "crash", "stopped", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        """As it was when the agent was started."""
        self.agent: pykka.ActorRef[AgentActor] | None = None
        """None until it is about to be told to start: then it will ask for its turn."""
        self.crash: str | None = None
        """How its actor crashed, if it did."""
        self.stopped = False
        """Whether nothing of it runs any more."""


class AgentLauncher:
    """What every AgentActor is given, and who is told if it crashes: the session actor.

    It is called by the HTTP workers and by the session actor, on their threads: what it remembers is a
    dictionary of which single operations are used, and those are atomic. Agents are launched by whoever comes
    first, and forgotten by the session actor alone.
    """

    agent_class = AgentActor

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
        self._launched: dict[TaskId, LaunchedAgent] = {}

    def launch(self, task: Task, session: pykka.ActorRef[SessionActor], *, recorded: int = 1) -> None:
        """Start the AgentActor of a recorded task, and tell it to start. Does nothing if it has one.

        ``recorded`` is how many events the task has: more than its ``task_created`` if it is to go on.
        """
        launched = LaunchedAgent(task)
        if self._launched.setdefault(task.task_id, launched) is not launched:
            return
        try:
            launched.agent = self._spawn(launched, session, recorded)
        except BaseException:
            self.forget(task.task_id)
            raise
        tell(launched.agent, Start(context=self._context(task)))

    def launched(self) -> tuple[LaunchedAgent, ...]:
        """Return all agents that hold a place, in the order in which they were launched."""
        return tuple(self._launched.values())

    def agent_of(self, task_id: TaskId) -> pykka.ActorRef[AgentActor] | None:
        """Return a task's actor; None if it has none yet, or none any more."""
        launched = self._launched.get(task_id)
        return None if launched is None else launched.agent

    def forget(self, task_id: TaskId) -> None:
        """Forget a task's agent: its end is recorded, and it has stopped."""
        self._launched.pop(task_id, None)

    def _spawn(
        self, launched: LaunchedAgent, session: pykka.ActorRef[SessionActor], recorded: int
    ) -> pykka.ActorRef[AgentActor]:
        task = launched.task

        def crashed(error: BaseException) -> None:
            launched.crash = text = f"The task's actor crashed: {failure_line(error)}"
            tell(session, AgentCrashed(context=self._context(task), task_id=task.task_id, error=text))

        def stopped() -> None:
            launched.stopped = True

        return self._spawner.spawn(
            lambda: self.agent_class(
                task=task,
                recorded=recorded,
                session=session,
                store=self._store,
                executor=self._executor,
                timers=self._timers,
                clock=self._clock,
                log=self._log,
                cancel_grace=self._cancel_grace,
                note_stopped=stopped,
            ),
            supervisor=crashed,
        )

    def _context(self, task: Task) -> Context:
        return task.context("AgentLauncher")
