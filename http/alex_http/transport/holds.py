"""Requests that are not answered at once: what an application does to keep one, and when it is called again."""

from __future__ import annotations

import enum
import heapq
import math
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from alex_http.transport.feed import Feed

HOLD = "alex_http.hold"
"""Where a request's ``Hold`` is in its WSGI environment."""

TICK = 0.02
"""Seconds to which a wait is exact. Waits are kept by tick, so that one that is over early costs nothing."""


class Connection(Protocol):
    """What a hold needs of the connection on which its request came."""

    @property
    def ending(self) -> bool:
        """Whether the server is stopping."""

    def again(self) -> None:
        """Have the application called again for the request. From any thread."""

    def remind(self, hold: Hold, seconds: float) -> None:
        """Call ``hold.time_is_over`` in so many seconds. From a worker."""

    def forget(self, hold: Hold) -> None:
        """Do not, if it was not yet. From any thread."""

    def room_for_stream(self) -> bool:
        """Return whether one more stream may be opened from there; if so, it counts from now on."""

    def failed(self, error: Exception) -> None:
        """Take notice of what the application raised at the end of a request. From any thread."""


class _State(enum.Enum):
    CALLED = "a worker runs the application for it, or is about to"
    WAITING = "nobody does"
    OVER = "it is answered, or its client is gone"


class Hold:
    """One request, over all the calls of the application for it.

    Made for the first call. All methods but ``wake`` are for the application, while it is called.
    """

    __slots__ = (
        "_connection", "_lock", "_reminded", "_seconds", "_state", "_told", "_waits", "_woken", "at_the_end",
        "feed", "kept", "overdue", "tick",
    )  # fmt: skip

    def __init__(self, connection: Connection) -> None:
        self.kept: object = None
        """What the application wants to find again when it is called again."""
        self.at_the_end: Callable[[], None] | None = None
        """Called once when the request is over: answered, or its client gone. On any thread; must not block.

        What it raises is logged.
        """
        self.overdue = False
        """Whether the time that it asked for is over."""
        self.feed: Feed | None = None
        """What the reply streams, until somebody takes it."""
        self.tick = 0
        self._connection = connection
        # Who wakes is on any thread, and the worker that parks the request and the loop that sees its client go
        # are on two more: each step looks at the state and changes it, and must not be two steps.
        self._lock = Lock()
        self._state = _State.CALLED
        self._woken = False
        self._waits = False
        self._seconds: float | None = None
        self._reminded = False
        self._told = False  # that the server is stopping

    @property
    def ending(self) -> bool:
        """Whether the server is stopping: better to answer now."""
        return self._connection.ending

    def stream(self, feed: Feed) -> bool:
        """Make this reply a stream, unless there are too many; return whether it is one.

        The application then returns its headers; a body, if it has one, comes before what the feed gives. If it
        answers a HEAD, with a status that is not 2xx, or by raising, the feed is told that it is closed.
        Raises RuntimeError if the request waits, or its reply is a stream already.
        """
        if self._waits or self.feed is not None:
            raise RuntimeError("A reply is a stream once, and not of a call that waits.")
        if not self._connection.room_for_stream():
            return False
        self.feed = feed
        return True

    def wait(self, seconds: float) -> None:
        """Have the application called again after ``wake``, or when the time is over.

        The time begins with the first such call for a request; once it is ``overdue``, only ``wake`` is waited
        for. What the application returns from this call is dropped. If ``wake`` was called since this call began,
        it is called again at once. Raises RuntimeError if the reply is a stream.
        """
        if self.feed is not None:
            raise RuntimeError("A reply that is a stream is not waited for.")
        self._waits = True
        if self._seconds is None:
            self._seconds = seconds

    def wake(self) -> None:
        """Have the application called again if the request waits. From any thread, any number of times."""
        with self._lock:
            if self._state is _State.CALLED:
                self._woken = True
            if self._state is not _State.WAITING:
                return
            self._state = _State.CALLED
        self._connection.again()

    # For the connection.

    @property
    def waits(self) -> bool:
        """Whether the application asked for that in the call that goes on, or the last one."""
        return self._waits

    def called(self) -> None:
        """Take notice that the application is about to be called."""
        self._told = self._connection.ending
        with self._lock:
            self._waits = self._woken = False

    def park(self) -> None:
        """Wait, now that the worker is done with the call."""
        if self._seconds is not None and not self._reminded:
            # First: who is reminded early is woken early. The other way round, one who is woken at once would be
            # reminded for nothing.
            self._reminded = True
            self._connection.remind(self, self._seconds)
        unaware = self._connection.ending and not self._told  # it may want to answer now
        with self._lock:
            if self._state is _State.CALLED and not self._woken and not unaware:
                self._state = _State.WAITING
                return
            over = self._state is _State.OVER
        if over:
            self.over()  # for what the application left to be done meanwhile
        else:
            self._connection.again()

    def take_feed(self) -> Feed | None:
        """Return the feed, to one who asks: who sees the client go and who sends the headers are two threads."""
        with self._lock:
            feed, self.feed = self.feed, None
        return feed

    def time_is_over(self) -> None:
        """Take notice that it has waited for as long as it wanted."""
        self.overdue = True
        self.wake()

    def over(self) -> None:
        """Take notice that the request is answered, or that nobody is there to be answered. May come twice."""
        with self._lock:
            self._state = _State.OVER
            at_the_end, self.at_the_end = self.at_the_end, None
        if self._reminded:
            self._connection.forget(self)
        if at_the_end is not None:
            try:
                at_the_end()
            except Exception as error:  # noqa: BLE001 - whatever it raises, the connection goes on
                self._connection.failed(error)


class Reminded(Protocol):
    """Who can be reminded. Is itself, and equal to nothing else."""

    tick: int


R = TypeVar("R", bound=Reminded)


class Reminders(Generic[R]):
    """Who is to be reminded when, to ``seconds``. Any thread."""

    def __init__(self, seconds: float = TICK) -> None:
        self._seconds = seconds
        # Workers add, whoever wakes drops, and the loop takes what is due: the two collections belong together.
        self._lock = Lock()
        self._all: dict[int, dict[R, None]] = {}
        self._ticks: list[int] = []

    def add(self, reminded: R, at: float) -> None:
        """Remind it at that time, or up to so many seconds later."""
        tick = math.ceil(at / self._seconds)
        with self._lock:
            reminded.tick = tick
            if tick not in self._all:
                self._all[tick] = {}
                heapq.heappush(self._ticks, tick)
            self._all[tick][reminded] = None

    def bring_forward(self, reminded: R, at: float) -> None:
        """Remind it then, if it would be later."""
        if at < (reminded.tick - 1) * self._seconds:
            self.drop(reminded)
            self.add(reminded, at)

    def drop(self, reminded: R) -> None:
        """Do not remind it."""
        with self._lock:
            self._all.get(reminded.tick, {}).pop(reminded, None)

    def due(self, now: float) -> list[R]:
        """Take those whose time has come."""
        due: list[R] = []
        with self._lock:
            while self._ticks and self._ticks[0] * self._seconds <= now:
                due += self._all.pop(heapq.heappop(self._ticks))
        return due

    def next(self) -> float:
        """Return when to look again."""
        with self._lock:
            return self._ticks[0] * self._seconds if self._ticks else math.inf

    def __len__(self) -> int:
        """Return how many there are."""
        with self._lock:
            return sum(map(len, self._all.values()))
