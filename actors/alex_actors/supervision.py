"""What becomes of an actor that crashes: it is restarted in place, or its supervisor is told of its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from alex_actors.messages import Message

if TYPE_CHECKING:
    import pykka
    from pykka._envelope import Envelope  # private, and pinned: what a mailbox holds
    from structlog.typing import FilteringBoundLogger

    from alex_actors.actor import PooledActor
    from alex_actors.mailbox import Dispatcher
    from alex_actors.ports import Clock

    P = TypeVar("P", bound=PooledActor)

Supervisor: TypeAlias = Callable[[BaseException], None]
"""Told of its actor's crash, on the thread on which it crashed. Must not block."""

RESTARTS = 3
"""Restarts within the window. A message that crashes its actor takes two; what goes on crashing after three is
no passing fault, and an actor that only ever starts looks alive and does nothing."""

WINDOW = 60.0
"""Seconds: far longer than three restarts of something broken take, and short enough that chance crashes, days
apart, never add up."""


class RestartPolicy:
    """How often an actor is restarted: at most ``limit`` times within ``window`` seconds, as Akka counts them.

    Asked on the thread that runs the actor; ``recent`` may be read on any.
    """

    def __init__(self, *, clock: Clock, limit: int = RESTARTS, window: float = WINDOW) -> None:
        self._clock = clock
        self._limit = limit
        self._window = window
        self._restarts: tuple[float, ...] = ()  # replaced as a whole: others read it
        self.in_all = 0
        """How many restarts there were since the start."""

    @property
    def recent(self) -> int:
        """How many restarts there were within the window."""
        since = self._clock.monotonic() - self._window
        return sum(restart > since for restart in self._restarts)

    def take(self) -> bool:
        """Return whether the actor may be restarted once more, and count it."""
        now = self._clock.monotonic()
        recent = tuple(restart for restart in self._restarts if restart > now - self._window)
        if len(recent) >= self._limit:
            return False
        self._restarts = (*recent, now)
        self.in_all += 1
        return True


class _Life:
    """What is known of an actor while it is supervised."""

    __slots__ = ("make", "ref", "restart", "supervisor", "suspect")

    def __init__(
        self,
        ref: pykka.ActorRef[Any],  # Any: actors of all classes
        make: Callable[[], PooledActor],
        supervisor: Supervisor,
        restart: RestartPolicy | None,
    ) -> None:
        self.ref = ref
        self.make = make
        self.supervisor = supervisor
        self.restart = restart
        self.suspect: Envelope[Any] | None = None  # Any: whatever the actor last crashed on


class Supervision:
    """All actors of a dispatcher, and what is done when one of them crashes. Each dispatcher owns one.

    An actor is restarted on the thread on which it crashed, in the middle of its turn: nobody else runs it
    then, so that no lock is needed.
    """

    def __init__(self, *, log: FilteringBoundLogger) -> None:
        self._log = log
        self._lives: dict[str, _Life] = {}

    def __len__(self) -> int:
        """Return how many actors there are."""
        return len(self._lives)

    def refs(self) -> list[pykka.ActorRef[Any]]:  # Any: actors of all classes
        """Return the actors, the first started first."""
        return [life.ref for life in tuple(self._lives.values())]

    def spawn(
        self,
        dispatcher: Dispatcher,
        make: Callable[[], P],
        *,
        supervisor: Supervisor,
        restart: RestartPolicy | None,
    ) -> pykka.ActorRef[P]:
        """Make an actor and have it run by ``dispatcher``."""
        actor = make()
        self.add(actor.actor_ref, make, supervisor=supervisor, restart=restart)
        actor.actor_inbox.start(actor, dispatcher)
        return actor.actor_ref

    def add(
        self,
        ref: pykka.ActorRef[Any],  # Any: as above
        make: Callable[[], PooledActor],
        *,
        supervisor: Supervisor,
        restart: RestartPolicy | None,
    ) -> None:
        """Supervise an actor that is made, and not started yet."""
        self._lives[ref.actor_urn] = _Life(ref, make, supervisor, restart)

    def stopped(self, actor: PooledActor) -> None:
        """Forget an actor that has stopped."""
        self._lives.pop(actor.actor_urn, None)

    def crashed(
        self,
        actor: PooledActor,
        error: BaseException,
        envelope: Envelope[Any] | None,  # Any: of whatever message
    ) -> bool:
        """Log a crash, and restart the actor or tell its supervisor. Returns whether the message comes again.

        ``envelope`` has the message that it crashed on, if it was one.
        """
        self._log_crash(actor, error)
        if actor.replaced:  # it failed once more, in on_failure: who took its place goes on
            return False
        life = self._lives.get(actor.actor_urn)
        while life is not None and life.restart is not None and not actor.actor_stopped.is_set():
            if not life.restart.take():
                break
            try:
                successor = life.make()
            except BaseException as failure:  # noqa: BLE001 - whatever it is, it is this actor's crash
                self._log_crash(actor, failure)
                error = failure
                continue
            return self._replace(life, actor, successor, envelope)
        self._end(actor, error)
        return False

    def _replace(
        self,
        life: _Life,
        actor: PooledActor,
        successor: PooledActor,
        envelope: Envelope[Any] | None,  # Any: as above
    ) -> bool:
        mailbox = actor.actor_inbox
        again = envelope is not None and envelope is not life.suspect
        if envelope is not None and again:
            life.suspect = envelope
            mailbox.put_back(envelope)
        elif envelope is not None:
            life.suspect = None
            self._log_dropped(actor, envelope.message)
        recent = 0 if life.restart is None else life.restart.recent
        self._log.warning("actor.restarted", actor=type(actor).__name__, restarts=recent)
        successor.take_over(actor)
        return again

    def _end(self, actor: PooledActor, error: BaseException) -> None:
        actor.actor_stopped.set()
        life = self._lives.pop(actor.actor_urn, None)
        if life is None:
            return
        try:
            life.supervisor(error)
        except Exception as failure:  # noqa: BLE001 - the actor's askers must hear of its end all the same
            self._log.critical("supervisor.failed", actor=type(actor).__name__, exc_info=failure)

    def _log_crash(self, actor: PooledActor, error: BaseException) -> None:
        self._log.error("actor.crashed", actor=type(actor).__name__, exc_info=error)

    def _log_dropped(self, actor: PooledActor, message: object) -> None:
        ids: dict[str, str] = {}
        if isinstance(message, Message):
            context = message.context
            ids = {"task_id": context.task_id, "session_id": context.session_id, "trace_id": context.trace_id}
        known = {name: value for name, value in ids.items() if value}
        self._log.error("message.dropped", receiver=type(actor).__name__, type=type(message).__name__, **known)
