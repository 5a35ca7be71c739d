"""The server's event streams in a simulation: their thread and those who read for them, over simulated sockets."""

from __future__ import annotations

import math
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from alex_actors.simulation.runtime import STREAMS
from alex_actors.simulation.scheduler import Strand
from alex_http.feeds import EventFeed, Frames
from alex_http.transport.streams import Feed, Reason, Stream, Streams
from tests.simulation.simulated_sockets import BELL, SimulatedPoller, SimulatedSocket

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.simulation.world import Simulation

READERS = 2
"""Who reads for feeds that block: as many as in the server."""

MANY = 10_000
"""More streams than any run has."""

MOST_PENDING = 65_536
"""Bytes that wait for one reader, beside a frame."""

ONE_THREAD = "A feed is called by one thread at a time, and no more once it was told that it is closed."
BOUNDED = "What waits for a reader is at most 64 KiB, and one frame."
NOTHING_OPEN = "A stream that is over leaves nothing behind: no socket, no feed, no entry in any table."


class InterruptedStreams(Streams):
    """The server's streams, whose thread others can come between, and whose memory is looked at."""

    simulation: Simulation

    def turn(self, longest: float) -> None:
        """Wait until there is something to do, for as long as it takes: it is woken for all that it must see."""
        super().turn(math.inf)

    def admit_all(self) -> None:
        """Have room for as many as come."""
        self._most = self._most_per_address = MANY

    def sizes(self) -> dict[str, int]:
        """Return how much there is in its tables."""
        return {
            "open": len(self), "streams": len(self._streams), "addresses": len(self._by_address),
            "due": len(self._due), "new": len(self._new), "calls": len(self._calls),
        }  # fmt: skip

    def _ring(self) -> None:
        self.simulation.scheduler.perhaps_pause()
        self.simulation.touch(BELL, write=True)
        super()._ring()

    def _flush(self, stream: Stream) -> None:
        beside = bytes(stream.pending).rfind(b"\n\n", 0, -2)
        self.simulation.check(beside <= MOST_PENDING, BOUNDED, f"{beside} bytes wait, and one frame.")
        super()._flush(stream)


class WatchedFeed:
    """A feed, of which it is seen that it is called as is agreed; others may go on before and after each call."""

    def __init__(self, feed: Feed, simulation: Simulation, *, pace: Callable[[], float]) -> None:
        """``pace`` says how many virtual seconds each half of a look at the store takes."""
        self.feed = feed
        self._simulation = simulation
        self._pace = pace
        self._called = ""
        self.over = False
        """Whether it was told that it is closed."""

    @property
    def blocking(self) -> bool:
        """Whether ``take`` may take its time."""
        self._touch()
        return self.feed.blocking

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self.feed.ended

    def begin(self, wake: Callable[[], None]) -> None:
        """Get ready."""
        with self._alone("begin"):
            self.feed.begin(wake)

    def take(self) -> bytes | memoryview:
        """Return what is to be sent next."""
        with self._alone("take"):
            if not self.feed.blocking:
                return self.feed.take()
            self._take_time()
            data = self.feed.take()
            self._take_time()
            return data

    def _take_time(self) -> None:
        if seconds := self._pace():
            self._simulation.sleep(seconds)

    def heartbeat(self) -> bytes:
        """Return what is sent when there is nothing to be sent: at any time, also while it is read from."""
        self._simulation.check(not self.over, ONE_THREAD, "A heartbeat is wanted, and it is over.")
        return self.feed.heartbeat()

    def closed(self, reason: Reason) -> None:
        """Take notice that this was the last call."""
        with self._alone("closed"):
            self.feed.closed(reason)
        self.over = True

    @contextmanager
    def _alone(self, call: str) -> Iterator[None]:
        at_the_time = f"while {self._called} is" if self._called else "when it is over"
        self._simulation.check(not (self._called or self.over), ONE_THREAD, f"{call} is called {at_the_time}.")
        self._called = call
        self._touch()
        self._simulation.scheduler.perhaps_pause()
        try:
            yield
        finally:
            self._simulation.scheduler.perhaps_pause()
            self._touch()
            self._called = ""

    def _touch(self) -> None:
        self._simulation.scheduler.steps.touch(STREAMS, write=True)


class ReadingThreads:
    """Those who read for feeds that block: a few, who take what is to be done in order."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._waiting: deque[Callable[[], None]] = deque()
        unique = simulation.scheduler.unique
        self.strands = tuple(Strand(unique("reading"), self._work) for _ in range(READERS))
        self._idle = list(self.strands)

    def submit(self, call: Callable[[], None]) -> None:
        """Have one of them make a call, some time."""
        self._simulation.scheduler.steps.touch(STREAMS, write=True)
        self._waiting.append(call)
        if self._idle:
            self._simulation.scheduler.ready(self._idle.pop())

    def _work(self) -> None:
        scheduler = self._simulation.scheduler
        me = scheduler.current
        while self._waiting:
            call = self._waiting.popleft()
            scheduler.steps.touch(STREAMS, write=True)
            call()
        if me is not None:
            self._idle.append(me)


class StreamSide:
    """The streams of one process: their thread, those who read for them, and what they have open."""

    def __init__(
        self,
        simulation: Simulation,
        *,
        log: FilteringBoundLogger,
        streams: type[InterruptedStreams] = InterruptedStreams,
        feed: type[WatchedFeed] = WatchedFeed,
        frames: type[Frames] = Frames,
        most: int = MANY,
        pace: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._simulation = simulation
        self._feed = feed
        self._frames = frames()
        self._pace = pace
        self._reading = ReadingThreads(simulation)
        self._poller = SimulatedPoller(simulation)
        self.streams = streams(
            now=simulation.clock.monotonic, read=self._reading.submit, log=log, most=most, most_per_address=most,
            poller=self._poller,
        )  # fmt: skip
        self.streams.simulation = simulation
        self._thread = Strand(simulation.scheduler.unique("streams"), self.streams.run)
        self._sockets: list[SimulatedSocket] = []
        self._feeds: list[WatchedFeed] = []
        simulation.scheduler.ready(self._thread)

    def adopt(self, sock: SimulatedSocket, feed: Feed, address: str) -> None:
        """Take over a socket whose headers are sent."""
        self._sockets.append(sock)
        self.streams.adopt(cast(socket.socket, sock), self._watched(feed), address)  # it has what they use of one

    def drop(self, feed: Feed, address: str) -> None:
        """Take notice that a stream did not come to be."""
        self.streams.drop(self._watched(feed), address)

    def kill(self, keep: Callable[[int], int]) -> None:
        """Drop it all as it stands. ``keep`` says how much of what is on its way to a reader still arrives."""
        self._simulation.scheduler.abandon((self._thread, *self._reading.strands).__contains__)
        for sock in self._sockets:
            if not sock.closed:
                sock.reset(keep(sock.waiting))

    def leftovers(self) -> dict[str, int]:
        """Return what is still there, by what it is; nothing when all streams are over."""
        kept = {
            "sockets": sum(not sock.closed for sock in self._sockets),
            "feeds": sum(not feed.over for feed in self._feeds),
            "watched": self._poller.watched,
            **self.streams.sizes(),
        }
        return {name: size for name, size in kept.items() if size}

    def _watched(self, feed: Feed) -> WatchedFeed:
        if isinstance(feed, EventFeed):
            feed._frames = self._frames  # those of the application outlive the process, which is simulated
        watched = self._feed(feed, self._simulation, pace=self._pace)
        self._feeds.append(watched)
        return watched
