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

from alex_http.transport.feed import Feed as Feed
from alex_http.transport.feed import Reason as Reason
from alex_http.transport.poller import Poller
from alex_http.transport.ports import Log

LONGEST_SLEEP = 1.0
"""Seconds. It is woken for all that it must see."""

HEARTBEAT = 10.0
"""Seconds without anything sent until a feed's heartbeat is: many a proxy gives up after thirty."""

STALL = 30.0
"""Seconds in which a reader that has something to read takes nothing, until it is cut off."""

LINGER = 5.0
"""Seconds that a reader has, after the end, to close: closing first may take from it what it has not read."""

LAST_CALL = 1.0
"""Seconds without progress that are left to a reader when the server stops."""

SEND_BUFFER = 65_536
"""Bytes that the kernel keeps for one reader. Left alone it goes to megabytes, for each that does not read."""

RECEIVE = 65_536
"""Bytes of what a reader still sends that are read and dropped at a time."""

TURN = 16
"""What one stream may send at a time: a reader and its feed may both be fast and without end, and others wait."""


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
        self.pending: bytes | memoryview = b""
        self.offset = 0  # how much of it is sent: a frame that many readers get is not copied for each
        self.sent_at = 0.0
        self.slow = False  # its socket is watched for room
        self.away = False  # another thread reads from its feed
        self.read: bytes | memoryview | None = None  # what that brought
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
        log: Log,
        most: int,
        most_per_address: int,
        poller: Poller | None = None,
    ) -> None:
        """``now`` is seconds that never go back.

        ``read`` has a function called, sooner or later, on a thread that may block.
        """
        self._now = now
        self._read = read
        self._log = log
        self._most = most
        self._most_per_address = most_per_address
        self._poller = Poller() if poller is None else poller
        # Workers count a stream in, its thread counts it out: looking and counting must be one step.
        self._lock = Lock()
        self._by_address: Counter[str] = Counter()
        self._open = 0
        self._streams: dict[Stream, None] = {}
        self._away = 0  # how many are being read for
        self._due: list[tuple[float, int, Stream]] = []  # when to look at which, though nothing happened
        self._numbers = itertools.count()
        self._new: deque[Stream] = deque()
        self._calls: deque[Stream] = deque()
        self._asleep = False
        self._ending = False
        self._all_told = False
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
        self._tell(feed, "gone")

    def call(self, stream: Stream) -> None:
        """Have a stream looked at."""
        self._calls.append(stream)
        self._ring()

    def end_all(self) -> None:
        """End all streams, and those that are still to come, with the frame that is being sent."""
        self._ending = True
        self._poller.ring()

    def close(self) -> None:
        """Have ``run`` return, and close what is open. It returns when nobody reads for a stream any more."""
        self._ending = self._closed = True
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
            self._attend(self._new.popleft(), self._begin)
        for stream in tuple(self._streams):
            self._close(stream, "stopping")
        while self._away:
            self.turn(LONGEST_SLEEP)
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
                self._attend(stream, self._hear)
            if writable:
                self._attend(stream, self._resume)
        self._asleep = False
        for _ in range(len(self._new)):
            self._attend(self._new.popleft(), self._begin)
        for _ in range(len(self._calls)):  # not those that come meanwhile: the sockets have their turn
            self._attend(self._calls.popleft(), self._answer)
        if self._ending and not self._all_told:
            self._all_told = True  # who has something to take, or is read for, is told after that
            for stream in tuple(self._streams):
                self._look_again(stream, self._now() + LAST_CALL)
                self._attend(stream, self._advance)
        now = self._now()
        while self._due and self._due[0][0] <= now:
            self._attend(heapq.heappop(self._due)[2], self._check)

    def _attend(self, stream: Stream, step: Callable[[Stream], None]) -> None:
        """See to one stream. What fails there, in its feed or here, ends it and no other."""
        try:
            step(stream)
        except Exception as error:  # noqa: BLE001 - whatever a feed raises, the others go on
            self._log.error("stream.failed", exc_info=error)
            if stream.reason is not None or stream.slow:
                self._close(stream, stream.reason or "failed")
            else:
                stream.pending = b""
                self._end(stream, "failed")

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
            stream.feed.begin(stream.wake)
        self._advance(stream)

    def _resume(self, stream: Stream) -> None:
        """Send on, now that there is room."""
        self._flush(stream)
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
            self._away -= 1
            missed, stream.missed = stream.missed, False
            if stream.reason is not None:
                self._tell_closed(stream)
            elif data:  # a heartbeat may have been sent meanwhile, and not be through
                self._send(stream, b"".join((stream.pending[stream.offset :], data)) if stream.pending else data)
            elif not (missed or stream.failed or stream.feed.ended or self._ending):
                return  # it calls when there is something
        self._advance(stream)

    def _advance(self, stream: Stream) -> None:
        """Send until the reader has enough, or there is nothing more."""
        feed = stream.feed
        for _ in range(TURN):
            if stream.sock is None or stream.reason or stream.pending or stream.away:
                return
            if stream.failed:
                self._end(stream, "failed")
            elif feed.ended:
                self._end(stream, "ended")
            elif self._ending:
                self._end(stream, "stopping")
            elif feed.blocking:
                self._read(partial(self._read_for, stream))
                stream.away = True
                self._away += 1
            elif data := feed.take():
                self._send(stream, data)
            elif not feed.ended:
                return
        self._calls.append(stream)

    def _read_for(self, stream: Stream) -> None:
        """Read from a feed that blocks. On a thread for that."""
        read: bytes | memoryview = b""
        if stream.sock is not None:
            try:
                read = stream.feed.take()
            except Exception as error:  # noqa: BLE001 - as above
                self._log.error("stream.failed", exc_info=error)
                stream.failed = True
        stream.read = read
        self.call(stream)

    def _send(self, stream: Stream, data: bytes | memoryview) -> None:
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

    def _check(self, stream: Stream) -> None:
        """Send a heartbeat, or close what was waited for long enough, if it is time for that."""
        if stream.sock is None:
            return
        now = self._now()
        limit = LINGER if stream.reason is not None else STALL if stream.pending else HEARTBEAT
        if self._ending:
            limit = LAST_CALL
        if now < stream.sent_at + limit:
            self._look_again(stream, min(now + HEARTBEAT, stream.sent_at + limit))
        elif stream.reason is not None or stream.pending:
            self._close(stream, "stopping" if self._ending else "stalled")
        else:
            self._send(stream, stream.feed.heartbeat())
            self._look_again(stream, stream.sent_at + HEARTBEAT)
            self._advance(stream)  # a feed that could not read tries again

    def _look_again(self, stream: Stream, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), stream))

    # Its end.

    def _end(self, stream: Stream, reason: Reason) -> None:
        """Tell a reader that this is the end, now that it has everything; it is to close first."""
        if stream.sock is None:
            return
        stream.reason = reason
        stream.sent_at = now = self._now()
        self._look_again(stream, now + (LAST_CALL if self._ending else LINGER))
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
        sock.close()  # the kernel goes on to offer what it has, and then the end: a reset may be lost
        del self._streams[stream]
        self._count_out(stream.address)
        stream.pending = b""
        if stream.reason is None:
            stream.reason = reason
            self._tell_closed(stream)

    def _tell_closed(self, stream: Stream) -> None:
        """Tell a feed that it is not needed any more, unless somebody reads from it: it is told after that."""
        if stream.reason is not None and not stream.away:
            self._tell(stream.feed, stream.reason)

    def _tell(self, feed: Feed, reason: Reason) -> None:
        try:
            feed.closed(reason)
        except Exception as error:  # noqa: BLE001 - as above
            self._log.error("stream.failed", exc_info=error)
