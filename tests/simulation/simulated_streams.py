"""The server's event streams over simulated sockets: chance says what one takes, and who goes on meanwhile."""

from __future__ import annotations

import math
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from alex_actors.simulation.runtime import STREAMS
from alex_actors.simulation.scheduler import Strand, Wait
from alex_http.feeds import EventFeed, Frames
from alex_http.transport.poller import Poller, Ready
from alex_http.transport.streams import Feed, Reason, Stream, Streams

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.simulation.world import Simulation

SOCKETS, BELL = "sockets", "the bell of the streams"
"""What the search for every order knows of as used by several: by readers and the thread that sends; by that
thread and whoever wakes it. Feeds are of those who follow, as without HTTP."""

READERS = 2
"""Who reads for feeds that block: as many as in the server."""

MANY = 10_000
"""More streams than any run has."""

MOST_PENDING = 65_536
"""Bytes that wait for one reader, beside a frame."""

ONE_THREAD = "A feed is called by one thread at a time, and no more once it was told that it is closed."
BOUNDED = "What waits for a reader is at most 64 KiB, and one frame."
NOTHING_OPEN = "A stream that is over leaves nothing behind: no socket, no feed, no entry in any table."


class SimulatedSocket:
    """A connection that a stream is sent on: what the server calls on its side, and what the reader does on its.

    Of ``send`` chance decides how much is taken, up to ``capacity`` bytes that the reader has not read yet.
    """

    def __init__(self, simulation: Simulation, *, capacity: int, generous: bool) -> None:
        """``generous``: it takes whatever there is room for."""
        self._simulation = simulation
        self._scheduler = simulation.scheduler
        self._capacity = capacity
        self._generous = generous
        self._buffer = bytearray()
        self._reset = self._said_end = self._left = False
        self._arrived: Wait | None = None
        self.closed = False
        """Whether the server has closed it."""
        self.news: Callable[[SimulatedSocket], None] = lambda _socket: None
        """Called when the server might be able to read or write."""

    # The server's side.

    @property
    def readable(self) -> bool:
        """Whether the server would hear something: that its reader has gone."""
        return self._left or self._reset

    @property
    def writable(self) -> bool:
        """Whether there is room, or sending would fail at once."""
        return self._reset or self._left or len(self._buffer) < self._capacity

    def setsockopt(self, *_option: int) -> None:
        """Do nothing. Raises OSError if it is reset, as the system does."""
        self._check_open()

    def send(self, data: bytes) -> int:
        """Take some of it. Raises BlockingIOError if it takes nothing, ConnectionError if nobody is there."""
        self._enter()
        self._check_open()
        room = len(data) if self._left else min(len(data), self._capacity - len(self._buffer))
        taken = self._draw(room)
        if not taken:
            raise BlockingIOError
        if not self._left:  # else the system drops it
            self._buffer += data[:taken]
            self._tell_reader()
        return taken

    def recv(self, _size: int) -> bytes:
        """Return nothing, once the reader has gone. Raises BlockingIOError before, ConnectionError if reset."""
        self._enter()
        self._check_open()
        if not self._left:
            raise BlockingIOError
        return b""

    def shutdown(self, _how: int) -> None:
        """Say that this is all."""
        self._enter()
        self._check_open()
        self._said_end = True
        self._tell_reader()

    def close(self) -> None:
        """Close the server's side."""
        self._enter()
        self.closed = self._said_end = True
        self._tell_reader()

    def _check_open(self) -> None:
        if self._reset:
            raise ConnectionResetError

    def _draw(self, room: int) -> int:
        if self._generous or room < 2:
            return room
        match self._simulation.decisions.pick(5):
            case 1:
                return 0
            case 2:
                return 1
            case 3:
                return 1 + self._simulation.decisions.pick(room - 1)
            case _:
                return room

    # The reader's side.

    def read(self, size: int, *, patience: float) -> bytes | None:
        """Wait for bytes; nothing at the end of the stream, None if none came in so many seconds."""
        self._enter()
        if not (self._buffer or self.over):
            self._arrived = arrived = Wait("bytes of a stream")
            self._scheduler.wait_for(arrived, timeout=patience)
            self._arrived = None
            self._touch()
        if not (self._buffer or self.over):
            return None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self.news(self)
        return data

    def leave(self) -> None:
        """Close the reader's side, as one who has heard enough."""
        self._enter()
        self._left = True
        self._buffer.clear()
        self.news(self)

    def reset(self, keep: int = 0) -> None:
        """Break the connection. Of what is on its way, ``keep`` bytes arrive."""
        self._touch()
        self._reset = True
        del self._buffer[keep:]
        self._tell_reader()
        self.news(self)

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self._said_end or self._reset

    @property
    def waiting(self) -> int:
        """How many bytes are on their way."""
        return len(self._buffer)

    def _tell_reader(self) -> None:
        if self._arrived is not None:
            self._scheduler.end(self._arrived)

    def _enter(self) -> None:
        self._scheduler.perhaps_pause()
        self._touch()

    def _touch(self) -> None:
        self._scheduler.steps.touch(SOCKETS, write=True)


def _simulated(sock: socket.socket) -> SimulatedSocket:
    return cast(SimulatedSocket, sock)  # here are no others


class SimulatedPoller(Poller):
    """Watches simulated sockets. A ring that is lost stays lost: nobody looks by himself after a second."""

    def __init__(self, simulation: Simulation) -> None:
        self._scheduler = simulation.scheduler
        self._watched: dict[SimulatedSocket, Stream] = {}
        self._wanting_room: dict[SimulatedSocket, None] = {}
        self._rung = False
        self._bell = Wait("something to send")

    @property
    def watched(self) -> int:
        """How many sockets are watched."""
        return len(self._watched)

    def ring(self) -> None:
        """End the wait that goes on, or the next one at once."""
        self._enter(BELL)
        self._rung = True
        self._scheduler.end(self._bell)

    def watch(self, sock: socket.socket, stream: Stream) -> None:
        """Watch whether a socket can be read."""
        self._enter(SOCKETS)
        self._watched[_simulated(sock)] = stream
        _simulated(sock).news = self._hear

    def watch_for_room(self, sock: socket.socket, stream: Stream, *, wanted: bool) -> None:
        """Watch whether it can be written, too; or not any more."""
        self._enter(SOCKETS)
        if wanted:
            self._wanting_room[_simulated(sock)] = None
        else:
            del self._wanting_room[_simulated(sock)]

    def forget(self, sock: socket.socket) -> None:
        """Watch it no more."""
        self._enter(SOCKETS)
        del self._watched[_simulated(sock)]
        self._wanting_room.pop(_simulated(sock), None)

    def wait(self, timeout: float) -> Iterator[Ready]:
        """Wait, at most so many virtual seconds, until one can be read or written; give all that can."""
        self._enter(BELL, SOCKETS)
        ready = self._ready()
        if not (ready or self._rung or timeout <= 0):
            self._bell = bell = Wait("something to send")
            self._scheduler.wait_for(bell, timeout=None if timeout == math.inf else timeout)
            self._touch(BELL, SOCKETS)
            ready = self._ready()
        self._rung = False
        yield from ready

    def close(self) -> None:
        """Do nothing."""

    def _ready(self) -> list[Ready]:
        looked_at = [(sock, *self._look_at(sock)) for sock in self._watched]
        return [Ready(self._watched[sock], read, write) for sock, read, write in looked_at if read or write]

    def _look_at(self, sock: SimulatedSocket) -> tuple[bool, bool]:
        return sock.readable, sock in self._wanting_room and sock.writable

    def _hear(self, sock: SimulatedSocket) -> None:
        if sock in self._watched and any(self._look_at(sock)):
            self._scheduler.end(self._bell)

    def _enter(self, *resources: str) -> None:
        self._scheduler.perhaps_pause()
        self._touch(*resources)

    def _touch(self, *resources: str) -> None:
        for resource in resources:
            self._scheduler.steps.touch(resource, write=True)


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
        tables = (self._streams, self._by_address, self._due, self._new, self._calls)
        names = ("streams", "addresses", "due", "new", "calls")
        return {"open": len(self), **{name: len(table) for name, table in zip(names, tables, strict=True)}}

    def _ring(self) -> None:
        self.simulation.scheduler.perhaps_pause()
        self.simulation.touch(BELL, write=True)
        super()._ring()

    def _flush(self, stream: Stream) -> None:
        beside = stream.pending.rfind(b"\n\n", 0, -2)
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

    def take(self) -> bytes:
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
