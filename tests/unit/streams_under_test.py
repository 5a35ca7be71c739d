"""Streams without a thread, over sockets, a clock and feeds that are the test's."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

from alex_http.transport.feed import Reason
from alex_http.transport.poller import Poller, Ready
from alex_http.transport.streams import Stream, Streams
from tests.unit.fake_runtime import Log


class FakeSocket:
    """Takes as many bytes as there is room for; is read as the test says."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.taken = bytearray()
        self.sends = 0
        self.incoming: deque[bytes | OSError] = deque()  # b"": the reader has closed
        self.sending_fails: OSError | None = None
        self.shutdown_fails: OSError | None = None
        self.is_shut_down = self.is_closed = False

    def setsockopt(self, *_option: int) -> None:
        pass

    def send(self, data: bytes | memoryview) -> int:
        self.sends += 1
        if self.sending_fails is not None:
            raise self.sending_fails
        taken = min(self.room, memoryview(data).nbytes)
        if not taken:
            raise BlockingIOError
        self.room -= taken
        self.taken += data[:taken]
        return taken

    def recv(self, _size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        match self.incoming.popleft():
            case bytes(data):
                return data
            case error:
                raise error

    def shutdown(self, _how: int) -> None:
        if self.shutdown_fails is not None:
            raise self.shutdown_fails
        self.is_shut_down = True

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True

    def text(self) -> str:
        """Return what was sent since the last time."""
        text = self.taken.decode()
        self.taken.clear()
        return text


class FakePoller(Poller):
    """Finds ready what the sockets say is."""

    def __init__(self) -> None:
        self.watched: dict[FakeSocket, Stream] = {}
        self.wanting_room: set[FakeSocket] = set()
        self.has_room_for_more = True
        self.rings = 0
        self.waits: list[float] = []
        self.is_closed = False
        self.while_waiting: Callable[[], None] = lambda: None

    def ring(self) -> None:
        self.rings += 1

    def watch(self, sock: socket.socket, stream: Stream) -> None:
        if not self.has_room_for_more:
            raise OSError("no space left")
        self.watched[fake(sock)] = stream

    def watch_for_room(self, sock: socket.socket, stream: Stream, *, wanted: bool) -> None:
        assert self.watched[fake(sock)] is stream
        assert wanted is (fake(sock) not in self.wanting_room)
        (self.wanting_room.add if wanted else self.wanting_room.remove)(fake(sock))

    def forget(self, sock: socket.socket) -> None:
        self.watched.pop(fake(sock), None)
        self.wanting_room.discard(fake(sock))

    def wait(self, timeout: float) -> Iterator[Ready]:
        self.waits.append(timeout)
        self.while_waiting()
        for sock, stream in tuple(self.watched.items()):
            ready = Ready(
                stream,
                readable=bool(sock.incoming),
                writable=sock in self.wanting_room and (sock.room > 0 or sock.sending_fails is not None),
            )
            if ready.readable or ready.writable:
                yield ready

    def close(self) -> None:
        self.is_closed = True


class ScriptedFeed:
    """Gives what the test put there, and notes how it is called."""

    def __init__(self, *given: bytes) -> None:
        self.given = deque(given)
        self.beats = 0
        self.is_blocking = self.is_ended = False
        self.fails_in: set[str] = set()
        self.calls: list[str] = []
        self.wake: Callable[[], None] = lambda: None
        self.reasons: list[Reason] = []
        self.error = ZeroDivisionError("the feed's")

    @property
    def blocking(self) -> bool:
        self._called("blocking")
        return self.is_blocking

    @property
    def ended(self) -> bool:
        self._called("ended")
        return self.is_ended

    def begin(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self._called("begin")

    def take(self) -> bytes:
        self._called("take")
        return self.given.popleft() if self.given else b""

    def heartbeat(self) -> bytes:
        self._called("heartbeat")
        self.beats += 1
        return b"<beat>"

    def closed(self, reason: Reason) -> None:
        self.reasons.append(reason)
        self._called("closed")

    def bring(self, *given: bytes) -> None:
        """Give more, and say so."""
        self.given += given
        self.wake()

    def end(self) -> None:
        """Say that this is all."""
        self.is_ended = True
        self.wake()

    def _called(self, name: str) -> None:
        assert name == "closed" or not self.reasons, f"{name} is called after closed."
        self.calls.append(name)
        if name in self.fails_in:
            raise self.error


class Sending:
    """Streams, of which the test takes each turn of their thread, and of those who read for them."""

    def __init__(self, *, most: int = 100, most_per_address: int = 100) -> None:
        self.time = 1000.0
        self.log = Log()
        self.poller = FakePoller()
        self.reads: deque[Callable[[], None]] = deque()
        self.streams = Streams(
            now=lambda: self.time,
            read=self.reads.append,
            log=self.log.logger,
            most=most,
            most_per_address=most_per_address,
            poller=self.poller,
        )

    def open(self, feed: ScriptedFeed, *, room: int = 1_000_000, address: str = "there") -> FakeSocket:
        """Open a stream, and take the turns that it needs."""
        sock = FakeSocket(room)
        assert self.streams.admit(address)
        self.adopt(sock, feed, address)
        self.turn()
        return sock

    def adopt(self, sock: FakeSocket, feed: ScriptedFeed, address: str = "there") -> None:
        """Hand over a socket."""
        self.streams.adopt(cast(socket.socket, sock), feed, address)  # it has what they use of one

    def turn(self) -> None:
        """Take turns until there is nothing to be done at once."""
        self.streams.turn(60.0)
        while self.streams._calls or self.streams._new:
            self.streams.turn(60.0)

    def read(self) -> None:
        """Let those who read for feeds do what is to be done; then take turns."""
        self.turn()
        while self.reads:
            self.reads.popleft()()
            self.turn()

    def pass_time(self, seconds: float, *, steps: int = 1) -> None:
        """Let time pass, with turns meanwhile."""
        for _ in range(steps):
            self.time += seconds / steps
            self.turn()

    def leftovers(self) -> dict[str, int]:
        """Return what is left in its tables, without what is empty."""
        it = self.streams
        tables = {
            "open": len(it),
            "streams": len(it._streams),
            "addresses": len(it._by_address),
            "due": len(it._due),
            "new": len(it._new),
            "calls": len(it._calls),
            "away": it._away,
            "watched": len(self.poller.watched),
            "wanting room": len(self.poller.wanting_room),
        }
        return {name: size for name, size in tables.items() if size}


def fake(sock: socket.socket) -> FakeSocket:
    """Return a socket as what it is here."""
    return cast(FakeSocket, sock)  # there are no others
