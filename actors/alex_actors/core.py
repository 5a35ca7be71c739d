"""The actors of a server and who holds a reference to whom: the same wiring for the server and for simulations.

What is outside of them (threads, the database, time, chance, the agents' executor) is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from alex_actors.actor import PooledActor
from alex_actors.agent_launcher import AgentLauncher
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.following import Followings
from alex_actors.messages import ask, tell
from alex_actors.runtime import ActorRuntime
from alex_actors.session_actor import SessionActor
from alex_actors.session_protocol import StoreRestarted
from alex_actors.store.condition import StoreCondition
from alex_actors.store.retention import Retention
from alex_actors.sub_agents import SubAgents
from alex_actors.supervision import RestartPolicy
from alex_actors.task_store_actor import TaskStoreActor
from alex_actors.task_store_protocol import Recover
from alex_actors.values import Context

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from datetime import timedelta

    import pykka
    from structlog.typing import FilteringBoundLogger

    from alex_actors.dispatchers import Spawner
    from alex_actors.ports import Clock, Executor, Ids, Meter, Timers, Workspaces
    from alex_actors.replies import Component
    from alex_actors.store.reader import StoreReader
    from alex_actors.store.writer import StoreWriter
    from alex_actors.supervision import Supervisor

P = TypeVar("P", bound=PooledActor)

RECOVERY_TIMEOUT = 60.0
"""Seconds to end what a previous run left unfinished: at most ``limits.max_unfinished_tasks`` tasks."""


class Core:
    """The BroadcasterActor, the TaskStoreActor, the SessionActor, and what starts an AgentActor for each task.

    The first three are restarted in place when they crash. The ``make_…`` methods make them, at the start and
    after each crash. A test that needs another kind of actor names its class, or overrides one of these.
    """

    broadcaster_class = BroadcasterActor
    store_class = TaskStoreActor
    session_class = SessionActor
    launcher_class = AgentLauncher
    runtime_class = ActorRuntime
    followings_class = Followings
    sub_agents_class = SubAgents

    broadcaster: pykka.ActorRef[BroadcasterActor]
    store: pykka.ActorRef[TaskStoreActor]
    session: pykka.ActorRef[SessionActor]
    launcher: AgentLauncher
    followings: Followings
    retention: Retention
    sub_agents: SubAgents
    """There before any agent runs."""

    def __init__(
        self,
        *,
        broadcasting: Spawner,
        storing: Spawner,
        acting: Spawner,
        writer: StoreWriter,
        reader: StoreReader,
        executor: Executor,
        timers: Timers,
        workspaces: Workspaces,
        clock: Clock,
        ids: Ids,
        log: FilteringBoundLogger,
        max_unfinished: int,
        max_running: int,
        ask_timeout: float,
        cancel_grace: float,
        resume: bool,
        failed: Supervisor,
        keep_ended: timedelta | None = None,
        readers: ThreadPoolExecutor | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Take who runs the broadcaster, the store, and all other actors; the last two numbers are seconds.

        ``resume`` says whether tasks go on that a previous run of the server left unfinished. ``failed`` is told
        of an actor that crashes more often than it is restarted, and of a server that took over the database.
        ``keep_ended`` is for how long tasks are kept that have ended; None: for ever. ``readers`` are the threads
        on which is read what agents ask for; None: those of their event loop. ``meter`` counts what is recorded.
        """
        self._broadcasting, self._storing, self._acting = broadcasting, storing, acting
        self._writer, self._reader = writer, reader
        self._executor = executor
        self._timers = timers
        self._workspaces = workspaces
        self._clock, self._ids, self._log = clock, ids, log
        self._max_unfinished, self._max_running = max_unfinished, max_running
        self._ask_timeout = ask_timeout
        self._cancel_grace = cancel_grace
        self._resume = resume
        self._failed = failed
        self._keep_ended = keep_ended
        self._readers = readers
        self._meter = meter
        self._incarnations = itertools.count(1)
        self._sessions_started = False
        self.condition = StoreCondition()
        self.restarts = {name: RestartPolicy(clock=clock) for name in ("sessions", "store", "broadcaster")}
        """How often which of them is restarted, by the names that ``/health`` has for them."""

    def start(self) -> None:
        """Start the actors, each with those that it knows. Waits for the store to see to what was left unfinished.

        Raises SQLAlchemyError if the store cannot be read, or not be written.
        """
        self.broadcaster = self._broadcasting.spawn(
            _and_at_restarts(self.make_broadcaster, lambda: self.followings.resubscribe_all()),
            supervisor=self._failed,
            restart=self.restarts["broadcaster"],
        )
        self.followings = self.followings_class(reader=self._reader, broadcaster=self.broadcaster)
        self.retention = self.make_retention()
        self.store = self._storing.spawn(
            _and_at_restarts(self.make_store, self._store_restarted),
            supervisor=self._failed,
            restart=self.restarts["store"],
        )
        self.recover()
        self.launcher = self.make_launcher()
        self._acting.spawn(self._make_sessions, supervisor=self._failed, restart=self.restarts["sessions"])

    def recover(self) -> None:
        """Have the store take up what a previous run left unfinished, or end it."""
        recover = Recover(context=Context(self._ids.trace(), sender="Core"), resume=self._resume)
        ask(self.store, recover, timeout=RECOVERY_TIMEOUT)

    def runtime(self, *, health: Callable[[], dict[str, Component]], ready: Callable[[], bool]) -> ActorRuntime:
        """Return what the HTTP layer calls. The core must have been started."""
        return self.runtime_class(
            session=self.session,
            store=self.store,
            reader=self._reader,
            followings=self.followings,
            launch_agent=self.launcher.launch,
            agent_of=self.launcher.agent_of,
            ids=self._ids,
            clock=self._clock,
            log=self._log,
            ask_timeout=self._ask_timeout,
            cancel_grace=self._cancel_grace,
            health=health,
            ready=ready,
        )

    # What is made.

    def make_broadcaster(self) -> BroadcasterActor:
        """Make a broadcaster to whom nobody listens yet."""
        return self.broadcaster_class(log=self._log)

    def make_store(self) -> TaskStoreActor:
        """Make a store actor that goes on from what is committed."""
        return self.store_class(
            writer=self._writer,
            reader=self._reader,
            broadcaster=self.broadcaster,
            clock=self._clock,
            timers=self._timers,
            workspaces=self._workspaces,
            log=self._log,
            condition=self.condition,
            retention=self.retention,
            superseded=self._failed,
            meter=self._meter,
        )

    def make_retention(self) -> Retention:
        """Make what removes old tasks. There is one for all store actors, one after the other."""
        return Retention(
            keep=self._keep_ended,
            writer=self._writer,
            reader=self._reader,
            broadcaster=self.broadcaster,
            workspaces=self._workspaces,
            clock=self._clock,
            timers=self._timers,
            log=self._log,
        )

    def make_launcher(self) -> AgentLauncher:
        """Make what starts the agents' actors. There is one for all session actors, one after the other."""
        return self.launcher_class(
            spawner=self._acting,
            store=self.store,
            executor=self._executor,
            timers=self._timers,
            clock=self._clock,
            log=self._log,
            cancel_grace=self._cancel_grace,
        )

    def make_session(self) -> SessionActor:
        """Make a session actor that goes on from the store and from the agents that are there."""
        return self.session_class(
            store=self.store,
            launcher=self.launcher,
            ids=self._ids,
            clock=self._clock,
            log=self._log,
            incarnation=next(self._incarnations),
            max_unfinished=self._max_unfinished,
            max_running=self._max_running,
        )

    def _make_sessions(self) -> SessionActor:
        """Make a session actor, and with the first what others need of it: agents that go on run at once."""
        session = self.make_session()
        if not self._sessions_started:
            self._sessions_started = True
            self.session = session.actor_ref
            self.sub_agents = self.sub_agents_class(
                session=self.session,
                store=self.store,
                reader=self._reader,
                followings=self.followings,
                launch=self.launcher.launch,
                threads=self._readers,
            )
        return session

    def _store_restarted(self) -> None:
        if self._sessions_started:  # else there is nobody yet whose question could be lost
            tell(self.session, StoreRestarted(context=Context("", sender="Core")))


def _and_at_restarts(make: Callable[[], P], restarted: Callable[[], None]) -> Callable[[], P]:
    """Return a way to make an actor that also calls ``restarted``, each time but the first.

    It is called before there is the new actor: what it sends waits in the mailbox.
    """
    made_before = itertools.count()

    def made() -> P:
        if next(made_before):
            restarted()
        return make()

    return made
