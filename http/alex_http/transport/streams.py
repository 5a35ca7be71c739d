"""Streams: one thread that sends, to each reader as it can take it, what its feed gives.

A stream has left waitress with its headers sent. Its socket belongs to this thread alone, which is why no lock
guards it: it is the only one that sends, and the only one that closes. From other threads come new streams,
``wake``, and what feeds gave that had to read for it.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

from alex_http.transport.poller import Poller

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

T = TypeVar("T")

LONGEST_SLEEP = 1.0
"""Seconds. It is woken for all that it must see."""

HEARTBEAT = 10.0
"""Seconds without anything sent after which a feed's heartbeat is: the contract says 15 at most."""

STALL = 30.0
"""Seconds in which a reader that has something to read takes nothing, until it is cut off."""

LINGER = 5.0
"""Seconds that a reader has, after the end, to close: closing first may take from it what it has not read."""

SEND_BUFFER = 65_536
"""Bytes that the kernel keeps for one reader. Left alone it goes to megabytes, for each that does not read."""

RECEIVE = 65_536
"""Bytes of what a reader still sends that are read and dropped at a time."""

Reason: TypeAlias = Literal["ended", "gone", "stalled", "stopping", "failed"]
"""Why a stream is closed: its feed ended, its reader went, or stopped reading; the server stops; the feed failed."""


class Feed(Protocol):
    """What one stream sends. Asked for more only when there is room: what it was asked for is all that is kept.

    Called by one thread at a time: the streams' thread, or the one that reads for it.
    """

    @property
    def blocking(self) -> bool:
        """Whether ``take`` may take its time: then another thread calls it."""

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""

    def begin(self, wake: Callable[[], None]) -> None:
        """Get ready. ``wake`` is to be called, from any thread, when after nothing there may be something."""

    def take(self) -> bytes:
        """Return what is to be sent next; nothing, if there is nothing now."""

    def heartbeat(self) -> bytes:
        """Return what is sent when there is nothing to be sent."""

    def closed(self, reason: Reason) -> None:
        """Take notice that this was the last call."""


class Stream:
    """One reader: open, then ending (it has everything, and is to close), then closed."""

    __slots__ = (
        "_streams", "address", "away", "failed", "feed", "missed", "offset", "pending", "read", "reason",
        "sent_at", "slow", "sock", "woken",
    )  # fmt: skip

    def __init__(self, streams: Streams, sock: socket.socket, feed: Feed, address: str) -> None:
        self._streams = streams
        self.sock: socket.socket | None = sock  # None: closed
        self.feed = feed
        self.address = address
        self.reason: Reason | None = None  # None: open
        self.pending = b""
        self.offset = 0  # how much of it is sent: a frame that many readers get is not copied for each
        self.sent_at = 0.0
        self.slow = False  # its socket is watched for room
        self.away = False  # another thread reads from its feed
        self.read: bytes | None = None  # what that brought
        self.missed = False  # it was woken meanwhile
        self.failed = False  # its feed has
        self.woken = False

    def wake(self) -> None:
        """Have the feed asked again. From any thread."""
        if not self.woken:
            self.woken = True
            self._streams.call(self)


class Streams:
    """All streams. ``run`` is their thread."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        read: Callable[[Callable[[], None]], object],
        log: FilteringBoundLogger,
        most: int,
        most_per_address: int,
        poller: Poller | None = None,
    ) -> None:
        """``now`` is seconds that never go back; ``read`` has a function called on a thread that may block."""
        self._now = now
        self._read = read
        self._log = log
        self._most = most
        self._most_per_address = most_per_address
        self._poller = poller or Poller()
        # Workers count a stream in, its thread counts it out: looking and counting must be one step.
        self._lock = Lock()
        self._by_address: Counter[str] = Counter()
        self._open = 0
        self._streams: dict[Stream, None] = {}
        self._due: list[tuple[float, int, Stream]] = []  # when to look at which, though nothing happened
        self._numbers = itertools.count()
        self._new: deque[Stream] = deque()
        self._calls: deque[Stream] = deque()
        self._asleep = False
        self._ending = False
        self._closed = False

    # From any thread.

    def admit(self, address: str) -> bool:
        """Count one more stream, if there is room for it."""
        with self._lock:
            if self._open >= self._most or self._by_address[address] >= self._most_per_address:
                return False
            self._open += 1
            self._by_address[address] += 1
            return True

    def adopt(self, sock: socket.socket, feed: Feed, address: str) -> None:
        """Take over a socket whose headers are sent. It was admitted."""
        self._new.append(Stream(self, sock, feed, address))
        self._ring()

    def drop(self, feed: Feed, address: str) -> None:
        """Take notice that one that was admitted did not come to be."""
        self._count_out(address)
        feed.closed("gone")

    def call(self, stream: Stream) -> None:
        """Have a stream looked at."""
        self._calls.append(stream)
        self._ring()

    def end_all(self) -> None:
        """End all streams, and those that are still to come, with the frame that is being sent."""
        self._ending = True
        self._poller.ring()

    def close(self) -> None:
        """Have ``run`` return, and close what is open."""
        self._closed = True
        self._poller.ring()

    def __len__(self) -> int:
        """Return how many there are, with those whose headers are being sent."""
        return self._open

    def _ring(self) -> None:
        # The thread says that it sleeps, then looks for calls; who calls leaves the call, then looks whether the
        # thread sleeps. So one of the two sees the other's, and most calls cost no system call.
        if self._asleep:
            self._asleep = False
            self._poller.ring()

    def _count_out(self, address: str) -> None:
        with self._lock:
            self._open -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    # On its thread.

    def run(self) -> None:
        """Send until ``close``."""
        while not self._closed:
            self.turn(LONGEST_SLEEP)
        while self._new:
            self._begin(self._new.popleft())
        for stream in tuple(self._streams):
            self._close(stream, "stopping")
        self._poller.close()

    def turn(self, longest: float) -> None:
        """Wait, at most so many seconds, until there is something to do, and do it."""
        self._asleep = True
        if self._new or self._calls:
            self._asleep, longest = False, 0.0
        elif self._due:
            longest = min(longest, max(0.0, self._due[0][0] - self._now()))
        for stream, readable, writable in self._poller.wait(longest):
            if readable:
                self._hear(stream)
            if writable:
                self._flush(stream)
                self._advance(stream)
        self._asleep = False
        for _ in range(len(self._new)):
            self._begin(self._new.popleft())
        for _ in range(len(self._calls)):  # not those that come meanwhile: the sockets have their turn
            self._answer(self._calls.popleft())
        if self._ending:
            for stream in tuple(self._streams):
                self._advance(stream)
        self._look_at_due()

    def _begin(self, stream: Stream) -> None:
        sock = stream.sock
        if sock is None:
            return
        with contextlib.suppress(OSError):  # the reader is gone already: sending will tell
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._streams[stream] = None
        self._poller.watch(sock, stream)
        stream.sent_at = now = self._now()
        self._look_again(stream, now + HEARTBEAT)
        if not self._ending:
            self._guard(stream, lambda: stream.feed.begin(stream.wake))
        self._advance(stream)

    def _answer(self, stream: Stream) -> None:
        """Look at a stream that called, or whose feed was read from."""
        stream.woken = False
        data = stream.read
        if stream.away and data is None:
            stream.missed = True  # what it called for may not be in what is being read
            return
        if data is not None:
            stream.read, stream.away = None, False
            missed, stream.missed = stream.missed, False
            if stream.reason is not None:
                self._tell_closed(stream)
            elif data:
                self._send(stream, data)
            elif not (missed or stream.failed or stream.feed.ended):
                return  # it calls when there is something
        self._advance(stream)

    def _advance(self, stream: Stream) -> None:
        """Send until the reader has enough, or there is nothing more."""
        feed = stream.feed
        while stream.sock is not None and not (stream.reason or stream.pending or stream.away):
            if stream.failed:
                self._end(stream, "failed")
            elif feed.ended:
                self._end(stream, "ended")
            elif self._ending:
                self._end(stream, "stopping")
            elif feed.blocking:
                stream.away = True
                self._read(partial(self._read_for, stream))
            elif data := self._guard(stream, feed.take):
                self._send(stream, data)
            elif not (stream.failed or feed.ended):
                return

    def _read_for(self, stream: Stream) -> None:
        """Read from a feed that blocks. On a thread for that."""
        stream.read = self._guard(stream, stream.feed.take) or b""
        self.call(stream)

    def _guard(self, stream: Stream, call: Callable[[], T]) -> T | None:
        """Call a feed. One that fails ends its own stream and no other."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - whatever a feed raises, the others go on
            self._log.error("stream.failed", exc_info=error)
            stream.failed = True
            return None

    def _send(self, stream: Stream, data: bytes) -> None:
        stream.sent_at = self._now()
        stream.pending, stream.offset = data, 0
        self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        """Send on with what the reader has not taken yet."""
        sock, size = stream.sock, len(stream.pending)
        if sock is None or not size:
            return
        try:
            sent = sock.send(memoryview(stream.pending)[stream.offset :] if stream.offset else stream.pending)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(stream, "gone")
            return
        if sent:
            stream.sent_at = self._now()
            stream.offset += sent
        if stream.offset == size:
            stream.pending = b""
        if bool(stream.pending) is not stream.slow:
            stream.slow = not stream.slow
            self._poller.watch_for_room(sock, stream, wanted=stream.slow)

    def _hear(self, stream: Stream) -> None:
        """Drop what a reader sends; take notice if it goes."""
        if stream.sock is None:
            return
        try:
            gone = not stream.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._close(stream, "gone")

    def _look_at_due(self) -> None:
        """Send heartbeats, and close what was waited for long enough."""
        now = self._now()
        while self._due and self._due[0][0] <= now:
            stream = heapq.heappop(self._due)[2]
            limit = LINGER if stream.reason is not None else STALL if stream.pending else HEARTBEAT
            if now - stream.sent_at < limit:
                pass
            elif stream.reason is not None or stream.pending:
                self._close(stream, "stalled")
            else:
                self._send(stream, self._guard(stream, stream.feed.heartbeat) or b"")
                self._advance(stream)  # a feed that could not read tries again
            if stream.sock is not None:
                self._look_again(stream, min(now + HEARTBEAT, max(now, stream.sent_at) + limit))

    def _look_again(self, stream: Stream, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), stream))

    # Its end.

    def _end(self, stream: Stream, reason: Reason) -> None:
        """Tell a reader that this is the end, now that it has everything; it is to close first."""
        if stream.sock is None:
            return
        stream.reason = reason
        stream.sent_at = self._now()
        self._tell_closed(stream)
        try:
            stream.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(stream, reason)

    def _close(self, stream: Stream, reason: Reason) -> None:
        sock, stream.sock = stream.sock, None
        if sock is None:
            return
        self._poller.forget(sock)
        sock.close()
        del self._streams[stream]
        self._count_out(stream.address)
        stream.pending = b""
        if stream.reason is None:
            stream.reason = reason
            self._tell_closed(stream)

    def _tell_closed(self, stream: Stream) -> None:
        """Tell a feed that it is not needed any more, unless somebody reads from it: it is told after that."""
        reason = stream.reason
        if reason is not None and not stream.away:
            self._guard(stream, lambda: stream.feed.closed(reason))
