"""What runs actors: a pool of threads for many, a thread of its own for one."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import pykka

from alex_actors.actor import PooledActor
from alex_actors.messages import Message, ReplyFuture
from alex_actors.supervision import RestartPolicy, Supervision, Supervisor

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.mailbox import Mailbox

P = TypeVar("P", bound=PooledActor)


class Journal(Protocol):
    """Is told of each typed message that was handled."""

    def handled(self, actor: PooledActor, message: Message, *, waited: float, took: float) -> None:
        """Take note of it: how many seconds it waited in the mailbox, and how many its handling took."""


class Handled(NamedTuple):
    """What actors have done."""

    messages: int
    seconds: float
    """Of handling them, by the wall clock."""


BUDGET = 64
"""Messages that an actor may handle before the next one has its turn: a hand-over costs about 1 µs, so that
64 make it small beside the handling, and an actor with a full mailbox holds up others for less than 1 ms."""


class Spawner(Protocol):
    """Starts actors. Which dispatcher that is, is decided where the system is composed."""

    def spawn(
        self, make: Callable[[], P], *, supervisor: Supervisor, restart: RestartPolicy | None = None
    ) -> pykka.ActorRef[P]:
        """Make an actor, start it and return its ref.

        If it crashes, another is made in its place, under the same ref, as often as ``restart`` allows; then, or
        without it, the supervisor is told, and the actor has stopped.
        """


class PoolDispatcher:
    """Runs any number of actors on a few threads. An actor costs no thread, only the memory of its state.

    Handlers must not block. One that does holds one of the threads, and the others serve everybody else.
    """

    def __init__(
        self,
        *,
        name: str,
        threads: int,
        log: FilteringBoundLogger,
        journal: Journal | None = None,
    ) -> None:
        self._log = log
        self._journal = journal
        self.timed = journal is not None
        # One of each thread's own, by the names of the actors' classes: nobody waits for who reads them.
        self._tallies: list[dict[str, Handled]] = [{} for _ in range(threads)]
        self._ready: queue.SimpleQueue[Mailbox | None] = queue.SimpleQueue()
        self.supervision = Supervision(log=log)
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, args=(tally,), name=f"{name}-{n}", daemon=True)
            for n, tally in enumerate(self._tallies)
        ]
        for thread in self._threads:
            thread.start()

    def spawn(
        self, make: Callable[[], P], *, supervisor: Supervisor, restart: RestartPolicy | None = None
    ) -> pykka.ActorRef[P]:
        """Make an actor, start it and return its ref. It is restarted as often as ``restart`` allows."""
        return self.supervision.spawn(self, make, supervisor=supervisor, restart=restart)

    @property
    def actors(self) -> int:
        """How many actors there are."""
        return len(self.supervision)

    def handled_so_far(self) -> dict[str, Handled]:
        """Return what its actors have done since the start, by class. A turn that is not over does not count."""
        total: dict[str, Handled] = {}
        for tally in self._tallies:
            for name, more in tally.copy().items():
                before = total.get(name, Handled(0, 0.0))
                total[name] = Handled(before.messages + more.messages, before.seconds + more.seconds)
        return total

    def stop(self, *, timeout: float) -> bool:
        """Tell all actors to stop, the last started first, and end the threads; return whether all did in time.

        ``timeout`` in seconds, for all of it. One that blocks holds up no other.
        """
        deadline = time.monotonic() + timeout
        stops = [ref.stop(block=False) for ref in reversed(self.supervision.refs())]
        in_time = True
        for stop in stops:
            try:
                stop.get(timeout=max(0.0, deadline - time.monotonic()))
            except pykka.Timeout:
                in_time = False
        self._stopped = True
        self._ready.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            in_time = in_time and not thread.is_alive()
        self._turn_away()
        return in_time

    def ready(self, mailbox: Mailbox, /) -> None:
        """Have the mailbox run by the next free thread; if there are none any more, turn away who is in it."""
        self._ready.put(mailbox)
        if self._stopped:  # looked at after the put: stop() may come in between
            self._turn_away()

    def future(self) -> pykka.Future[Any]:  # Any: Pykka's futures carry any answer
        """Return a future that threads can wait for."""
        return ReplyFuture()

    def handling(self, actor: PooledActor, message: object, /) -> None:
        """Do nothing: the journal is told afterwards."""

    def handled(self, actor: PooledActor, message: object, /, *, waited: float, took: float) -> None:
        """Have a typed message noted in the journal, if there is one."""
        if self._journal is not None and isinstance(message, Message):
            self._journal.handled(actor, message, waited=waited, took=took)

    def undelivered(self, actor: str, message: object, /) -> None:
        """Log a message that came too late."""
        self._log.debug("message.undelivered", receiver=actor, type=type(message).__name__)

    def _work(self, tally: dict[str, Handled]) -> None:
        while (mailbox := self._ready.get()) is not None:
            began = time.perf_counter()
            try:
                handled = mailbox.run(BUDGET)
                before = tally.get(mailbox.name, Handled(0, 0.0))
                seconds = before.seconds + time.perf_counter() - began
                tally[mailbox.name] = Handled(before.messages + handled, seconds)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must serve the others
                self._log.critical("dispatcher.failed", exc_info=error)
        self._ready.put(None)  # for the next thread

    def _turn_away(self) -> None:
        """Close every mailbox that waits for a thread."""
        with contextlib.suppress(queue.Empty):
            while True:
                mailbox = self._ready.get_nowait()
                if mailbox is not None:
                    mailbox.close()
        self._ready.put(None)  # one may have been taken from a thread that has not ended yet


class PinnedDispatcher(PoolDispatcher):
    """A thread for one actor, whose handlers may block: on a disk, say."""

    def __init__(self, *, name: str, log: FilteringBoundLogger, journal: Journal | None = None) -> None:
        super().__init__(name=name, threads=1, log=log, journal=journal)

    def spawn(
        self, make: Callable[[], P], *, supervisor: Supervisor, restart: RestartPolicy | None = None
    ) -> pykka.ActorRef[P]:
        """Make the actor, start it and return its ref. Raises RuntimeError if there is one already."""
        if self.actors:
            msg = "A pinned dispatcher runs one actor: a second would wait whenever the first blocks."
            raise RuntimeError(msg)
        return super().spawn(make, supervisor=supervisor, restart=restart)
