"""What the tests of actors, and of what runs them, are made of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pykka
import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict, FilteringBoundLogger

from alex_actors.actor import PooledActor
from alex_actors.dispatchers import Journal, PinnedDispatcher, PoolDispatcher, Spawner
from alex_actors.messages import Ask, Promise, Tell, ask, tell
from alex_actors.values import Context

T = TypeVar("T")

WAIT = 10.0
"""Seconds until a test gives up on what should come at once."""

CONTEXT = Context("4bf92f3577b34da6a3ce929d0e0e4736", "task-1", "session-1", "test")


class CapturedLog:
    """A logger, and what was logged."""

    def __init__(self) -> None:
        self._capture = LogCapture()
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            None, processors=[self._capture], wrapper_class=structlog.make_filtering_bound_logger(0)
        )

    @property
    def lines(self) -> list[EventDict]:
        """Every line, in order."""
        return list(self._capture.entries)

    def events(self) -> list[str]:
        """Return what happened, by name."""
        return [line["event"] for line in self._capture.entries]

    def named(self, event: str) -> list[EventDict]:
        """Return the lines of an event."""
        return [line for line in self._capture.entries if line["event"] == event]

    def clear(self) -> None:
        """Forget all lines: they hold the exceptions that they tell of."""
        self._capture.entries.clear()


class OwnedClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Call(Ask["Scripted", object], frozen=True, kw_only=True):
    """Do this and answer with what it returns."""

    do: Callable[[Scripted, Call], object]

    context: Context = CONTEXT


class Cast(Tell["Scripted"], frozen=True, kw_only=True):
    """Do this."""

    do: Callable[[Scripted], object]

    context: Context = CONTEXT


class Scripted(PooledActor):
    """Does what its messages and its hooks are given to do, and notes its own life."""

    def __init__(
        self,
        *,
        notes: list[str] | None = None,
        name: str = "",
        on_start: Callable[[], object] = lambda: None,
        on_stop: Callable[[], object] = lambda: None,
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self.notes = notes if notes is not None else []
        self.name = name
        self.colour = "red"
        self._hooks = {"start": on_start, "stop": on_stop, "failure": on_failure}

    def on_receive(self, message: Call | Cast) -> object:
        return message.do(self, message) if isinstance(message, Call) else message.do(self)

    def on_start(self) -> None:
        self._note("start")

    def on_stop(self) -> None:
        self._note("stop")

    def on_failure(self, *_exc_info: object) -> None:
        self._note("failure")

    def double(self, number: int) -> int:
        """Serve a proxy."""
        return 2 * number

    def _note(self, hook: str) -> None:
        self.notes.append(f"{self.name}{hook}")
        self._hooks[hook]()


def noting(notes: list[T], note: T) -> Cast:
    """Return a message that adds to some notes."""
    return Cast(do=lambda _: notes.append(note))


def answered(actor: pykka.ActorRef[Scripted]) -> object:
    """Ask for ``"answer"``: when it comes, all that was sent before has been handled."""
    return ask(actor, Call(do=lambda *_: "answer"), timeout=WAIT)


def gone(actor: pykka.ActorRef[Scripted]) -> bool:
    """Return whether an actor turns away who asks; if it does, its hooks have run and its supervisor was told."""
    try:
        answered(actor)
    except pykka.ActorDeadError:
        return True
    return False


class Kept:
    """What a handler that answers later keeps."""

    def __init__(self) -> None:
        self.promise: Promise[object] | None = None

    def keep(self, _actor: Scripted, message: Call) -> Promise[object]:
        self.promise = message.later()
        return self.promise

    def fulfil(self, answer: object) -> None:
        assert self.promise is not None

        self.promise.fulfil(answer)


class Gate:
    """Holds a thread up until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait(self, *_: object) -> None:
        self.reached.set()
        if not self._opened.wait(WAIT):
            msg = "The test did not open the gate."
            raise TimeoutError(msg)

    def hold(self, actor: pykka.ActorRef[Scripted]) -> None:
        """Have an actor wait here, and return when it does."""
        tell(actor, Cast(do=self.wait))
        assert self.reached.wait(WAIT)

    def open(self) -> None:
        self._opened.set()


class Crashes:
    """A supervisor that notes what it is told."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def __call__(self, error: BaseException) -> None:
        self.errors.append(error)


class System:
    """Dispatchers with a log that the test reads, and a supervisor that takes notes."""

    def __init__(self) -> None:
        self.log = CapturedLog()
        self.crashes = Crashes()
        self._gates: list[Gate] = []
        self._dispatchers: list[PoolDispatcher] = []

    def pool(self, threads: int = 2, journal: Journal | None = None) -> PoolDispatcher:
        pool = PoolDispatcher(name="pool", threads=threads, log=self.log.logger, journal=journal)
        self._dispatchers.append(pool)
        return pool

    def pinned(self) -> PinnedDispatcher:
        pinned = PinnedDispatcher(name="pinned", log=self.log.logger)
        self._dispatchers.append(pinned)
        return pinned

    def gate(self) -> Gate:
        gate = Gate()
        self._gates.append(gate)
        return gate

    def spawn(self, spawner: Spawner, make: Callable[[], Scripted] = Scripted) -> pykka.ActorRef[Scripted]:
        return spawner.spawn(make, supervisor=self.crashes)

    def close(self) -> None:
        """Stop everything. For the end of a test."""
        for gate in self._gates:
            gate.open()
        for dispatcher in self._dispatchers:
            assert dispatcher.stop(timeout=WAIT)
