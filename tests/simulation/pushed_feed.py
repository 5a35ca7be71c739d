"""The smallest feed that there is: what somebody pushes, from another thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from alex_actors.simulation.runtime import STREAMS
from alex_actors.simulation.traced import log_into
from tests.simulation.simulated_sockets import SimulatedSocket
from tests.simulation.simulated_streams import InterruptedStreams, StreamSide

if TYPE_CHECKING:
    from alex_actors.simulation.world import Simulation
    from alex_http.transport.streams import Reason

ADDRESS = "127.0.0.1"
PIECES = (b"a", b"")

ARRIVES = "All that is pushed arrives in time, in order, once."
CLOSED = "A feed is told once that its stream has ended."


class PushedFeed:
    """Gives what was pushed; nothing more after an empty piece."""

    blocking = False

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._pieces: deque[bytes] = deque()
        self._wake: Callable[[], None] = lambda: None
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


def push_and_read(simulation: Simulation, *, streams: type[InterruptedStreams] = InterruptedStreams) -> None:
    """Somebody opens a stream and pushes a piece, then the end, while the thread that sends does its work."""
    side = StreamSide(simulation, log=log_into(simulation.scheduler), streams=streams)
    simulation.sleep(0.0)  # the thread has begun to wait
    feed = PushedFeed(simulation)
    sock = SimulatedSocket(simulation, capacity=1000, generous=True)
    assert side.streams.admit(ADDRESS)

    def open_and_push() -> None:
        side.adopt(sock, feed, ADDRESS)
        for piece in PIECES:
            feed.push(piece)

    simulation.client("writer", open_and_push).result()
    received = []
    while data := sock.read(1000, patience=9.0):  # None: it is too late
        received.append(data)
    sock.leave()
    side.streams.close()
    simulation.check(b"".join(received) == b"".join(PIECES), ARRIVES, f"It is {received}.")
    simulation.at_the_end(lambda: simulation.check(feed.reasons == ["ended"], CLOSED, f"It was: {feed.reasons}."))
