"""The smallest feed that there is: what somebody pushes, from another thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from alex_actors.simulation.runtime import STREAMS
from alex_actors.simulation.traced import log_into
from tests.simulation.simulated_streams import InterruptedStreams, SimulatedSocket, StreamSide

if TYPE_CHECKING:
    from alex_actors.simulation.world import Simulation
    from alex_http.transport.streams import Reason

ADDRESS = "127.0.0.1"
PIECES = (b"a", b"")


class PushedFeed:
    """Gives what was pushed; nothing more after an empty piece."""

    def __init__(self, simulation: Simulation, *, blocking: bool) -> None:
        self._simulation = simulation
        self._pieces: deque[bytes] = deque()
        self._wake: Callable[[], None] = lambda: None
        self.blocking = blocking
        self.ended = False
        self.reasons: list[Reason] = []
        """With which it was closed."""

    def push(self, piece: bytes) -> None:
        """Have a piece sent, some time."""
        self._simulation.scheduler.perhaps_pause()
        self._simulation.touch(STREAMS, write=True)
        self._pieces.append(piece)
        self._wake()

    def begin(self, wake: Callable[[], None]) -> None:
        """Remember whom to wake."""
        self._wake = wake

    def take(self) -> bytes:
        """Return the next piece, if there is one."""
        piece = self._pieces.popleft() if self._pieces else None
        self.ended = piece == b""
        return piece or b""

    def heartbeat(self) -> bytes:
        """Return a byte."""
        return b"."

    def closed(self, reason: Reason) -> None:
        """Remember why."""
        self.reasons.append(reason)


def push_and_read(
    simulation: Simulation, *, blocking: bool, streams: type[InterruptedStreams] = InterruptedStreams
) -> None:
    """One pushes three pieces, the last of them the end; another one reads until then."""
    side = StreamSide(simulation, log=log_into(simulation.scheduler), streams=streams)
    simulation.sleep(0.0)  # the thread that sends has begun to wait
    feed = PushedFeed(simulation, blocking=blocking)
    sock = SimulatedSocket(simulation, capacity=1000, generous=True)
    received: list[bytes] = []

    def push() -> None:
        for piece in PIECES:
            feed.push(piece)

    def read() -> None:
        side.adopt(sock, feed, ADDRESS)
        received.extend(iter(partial(sock.read, 1000, patience=9.0), b""))
        sock.leave()

    assert side.streams.admit(ADDRESS)
    simulation.client("writer", push)
    reader = simulation.client("reader", read)
    reader.result()
    side.streams.close()
    simulation.at_the_end(lambda: simulation.check(feed.reasons == ["ended"], "It is closed once.", f"{feed.reasons}"))
    simulation.check(b"".join(received) == b"".join(PIECES), "All that is pushed arrives, in order, once.", f"It is {received}.")
