"""Runs actors in the test's own thread, one message a step, in virtual time: what a test is built on."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import pykka
import structlog
from pykka._envelope import Envelope  # private, and pinned: as in alex_actors.messages
from structlog.typing import EventDict

from alex_actors.actor import PooledActor
from alex_actors.dispatchers import Observer
from alex_actors.mailbox import Mailbox, mailbox_of
from alex_actors.messages import Ask, Message, Promise, ReplyFuture, Tell, tell
from alex_actors.supervision import RestartPolicy, Supervision, Supervisor
from alex_actors.values import SessionId, TaskId

A = TypeVar("A", bound=pykka.Actor)
P = TypeVar("P", bound=PooledActor)
R = TypeVar("R")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every test begins."""

ENOUGH_STEPS = 100_000
"""Steps after which actors that still have messages are taken to send each other messages for ever."""


class FakeClock:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the wall clock's time."""
        return EPOCH + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds since the test began."""
        return self._elapsed

    def advance_to(self, moment: float) -> None:
        """Go on to ``moment``, in seconds since the test began; never back."""
        self._elapsed = max(self._elapsed, moment)


class FakeTimer:
    """A message that is on its way."""

    def __init__(self, due: float, order: int, message: Message, send: Callable[[], None]) -> None:
        self.due = due
        self.message = message
        self.over = False
        self._order = order
        self._send = send

    def __lt__(self, other: FakeTimer) -> bool:
        return (self.due, self._order) < (other.due, other._order)

    def cancel(self) -> None:
        """Do not send it."""
        self.over = True

    def fire(self) -> None:
        """Send it."""
        self.over = True
        self._send()


class FakeTimers:
    """Timers in virtual time: nothing is due until the test says so."""

    def __init__(self, *, clock: FakeClock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._heap: list[FakeTimer] = []

    def after(self, seconds: float, to: pykka.ActorRef[A], message: Tell[A]) -> FakeTimer:
        """Tell ``message`` to an actor in ``seconds``."""
        due = self._clock.monotonic() + seconds
        timer = FakeTimer(due, next(self._order), message, lambda: tell(to, message))
        heapq.heappush(self._heap, timer)
        return timer

    @property
    def pending(self) -> list[Message]:
        """The messages that are on their way, the next one first."""
        return [timer.message for timer in sorted(self._heap) if not timer.over]

    def next_due(self) -> float | None:
        """Return when the next message is due, in seconds since the test began; None if there is none."""
        while self._heap and self._heap[0].over:
            heapq.heappop(self._heap)
        return self._heap[0].due if self._heap else None

    def fire_next(self) -> None:
        """Let the time pass until the next message is due, and send it. There must be one."""
        due = self.next_due()
        assert due is not None, "no timer is set"
        self._clock.advance_to(due)
        heapq.heappop(self._heap).fire()

    def advance(self, seconds: float) -> None:
        """Let this much time pass, and send what is due by then."""
        until = self._clock.monotonic() + seconds
        while (due := self.next_due()) is not None and due <= until:
            self.fire_next()
        self._clock.advance_to(until)


class CountingIds:
    """Names that count up."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def task(self) -> TaskId:
        """Return a new ``task-…``."""
        return TaskId(f"task-{next(self._count):03}")

    def session(self) -> SessionId:
        """Return a new ``session-…``."""
        return SessionId(f"session-{next(self._count):03}")

    def trace(self) -> str:
        """Return a new trace ID."""
        return f"{next(self._count):032x}"


class SteppingFuture(ReplyFuture):
    """An answer; who waits for it lets the actors run meanwhile."""

    def __init__(self, wait: Callable[[SteppingFuture, float | None], None]) -> None:
        super().__init__()
        self._wait = wait
        self.done = False

    def get(self, *, timeout: float | None = None) -> Any:  # Any: as Pykka declares it
        """Return the answer, or raise pykka.Timeout when ``timeout`` seconds of virtual time are over."""
        if not self.done:
            self._wait(self, timeout)
        return super().get(timeout=0)

    def set(self, value: Any | None = None) -> None:  # Any: as Pykka declares it
        """Take the answer, or a promise of it."""
        super().set(value)
        self.done = self.done or not isinstance(value, Promise)

    def set_exception(self, exc_info: Any = None) -> None:  # Any: as Pykka declares it
        """Take a failure."""
        super().set_exception(exc_info)
        self.done = True


class Crashes:
    """Notes each crash that is logged."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.lines: list[EventDict] = []

    def __call__(self, _logger: object, _level: str, line: EventDict) -> EventDict:
        """Take a line, and have nothing printed."""
        self.lines.append(line)
        if line["event"] == "actor.crashed":
            self.errors.append(line["exc_info"])
        raise structlog.DropEvent


class SteppingDispatcher:
    """Runs all actors in the calling thread: a step is one message of one actor.

    Which actor is next is first come, first served; with ``random``, any that has a message. The observer is
    told of each message before it is handled, and may raise: then the actor crashes on it. ``wait`` lets
    somebody else do the steps while an answer is awaited; without it, who waits does them.
    """

    def __init__(
        self,
        *,
        clock: FakeClock,
        timers: FakeTimers,
        random: Random | None = None,
        observer: Observer | None = None,
        wait: Callable[[SteppingFuture, float | None], None] | None = None,
    ) -> None:
        self._clock = clock
        self._timers = timers
        self._random = random
        self._observer = observer
        self._wait = wait or self.drive
        self._ready: list[Mailbox] = []
        self._held: list[Mailbox] = []
        self._log = Crashes()
        self._unforeseen: list[BaseException] = []
        self.supervision = Supervision(log=structlog.wrap_logger(None, processors=[self._log]))
        self.dead_letters: list[object] = []

    def spawn(
        self,
        make: Callable[[], P],
        *,
        supervisor: Supervisor | None = None,
        restart: RestartPolicy | None = None,
    ) -> pykka.ActorRef[P]:
        """Make an actor, start it and return its ref. Without a supervisor, its crash is the test's."""
        supervisor = supervisor or self._unforeseen.append
        return self.supervision.spawn(self, make, supervisor=supervisor, restart=restart)

    @property
    def actors(self) -> list[PooledActor]:
        """Who is alive."""
        return [actor for ref in self.supervision.refs() if (actor := mailbox_of(ref).actor) is not None]

    @property
    def crashes(self) -> list[BaseException]:
        """What actors crashed of."""
        return self._log.errors

    @property
    def lines(self) -> list[EventDict]:
        """What was logged of crashes."""
        return self._log.lines

    def post(self, to: pykka.ActorRef[A], message: Ask[A, R]) -> SteppingFuture:
        """Ask without waiting."""
        future = self.future()
        mailbox_of(to).put(Envelope(message, reply_to=future))
        return future

    # Steps.

    @property
    def idle(self) -> bool:
        """Whether no actor has anything to do."""
        return not self._ready

    def step(self) -> bool:
        """Let one actor handle one message. Returns whether there was one."""
        if not self._ready:
            return False
        index = 0 if self._random is None else self._random.randrange(len(self._ready))
        self._run(self._ready.pop(index))
        return True

    def handle(self, ref: pykka.ActorRef[Any]) -> None:  # Any: of whatever actor
        """Let this actor handle its next message, before all others. There must be one."""
        mailbox = mailbox_of(ref)
        self._ready.remove(mailbox)
        self._run(mailbox)

    def hold(self, ref: pykka.ActorRef[Any]) -> None:  # Any: as above
        """Let this actor handle nothing any more, as if it were too busy."""
        self._held.append(mailbox_of(ref))
        self._ready = [mailbox for mailbox in self._ready if mailbox not in self._held]

    def run(self) -> None:
        """Let all actors handle their messages, until there are none."""
        for _ in range(ENOUGH_STEPS):
            if not self.step():
                return
        msg = f"Still busy after {ENOUGH_STEPS} steps."
        raise AssertionError(msg)

    def advance(self, seconds: float) -> None:
        """Let time pass, with all actors handling their messages before and after each timer."""
        until = self._clock.monotonic() + seconds
        self.run()
        while (due := self._timers.next_due()) is not None and due <= until:
            self._timers.fire_next()
            self.run()
        self._clock.advance_to(until)

    def drive(self, future: SteppingFuture, timeout: float | None) -> None:
        """Step until there is an answer, or ``timeout`` seconds of virtual time are over."""
        until = float("inf") if timeout is None else self._clock.monotonic() + timeout
        while not future.done:
            if self.step():
                continue
            due = self._timers.next_due()
            if due is None or due > until:
                assert timeout is not None, "a wait that nothing can end"
                self._clock.advance_to(until)
                return
            self._timers.fire_next()

    def _run(self, mailbox: Mailbox) -> None:
        mailbox.run(1)
        if self._unforeseen:
            msg = "an actor crashed"
            raise AssertionError(msg) from self._unforeseen[0]

    # The dispatcher's side of a mailbox.

    def ready(self, mailbox: Mailbox, /) -> None:
        """Have the mailbox run in one of the next steps."""
        if mailbox not in self._held:
            self._ready.append(mailbox)

    def future(self) -> SteppingFuture:
        """Return a future whose waiter lets the actors run."""
        return SteppingFuture(self._wait)

    def handling(self, actor: PooledActor, message: object, /) -> None:
        """Tell the observer, if there is one."""
        if self._observer is not None:
            self._observer(actor, message)

    def undelivered(self, actor: str, message: object, /) -> None:
        """Keep a message that came too late."""
        self.dead_letters.append(message)


class Recorder(PooledActor):
    """Stands in for an actor, and keeps what it is sent. Asks wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Any] = []  # Any: messages to whatever actor it stands in for

    def on_receive(self, message: Message) -> object:
        """Keep a message."""
        self.received.append(message)
        return message.later() if isinstance(message, Ask) else None


class StandIn:
    """A recorder, as whatever actor a test needs."""

    def __init__(self, dispatcher: SteppingDispatcher) -> None:
        self._recorder = Recorder()
        self.ref: pykka.ActorRef[Any] = dispatcher.spawn(lambda: self._recorder)  # Any: as whatever actor

    @property
    def received(self) -> list[Any]:  # Any: messages of whatever protocol
        """What it was sent, in order."""
        return self._recorder.received

    def take(self) -> list[Any]:  # Any: as above
        """Return what it was sent since the last time."""
        taken = self._recorder.received
        self._recorder.received = []
        return taken
