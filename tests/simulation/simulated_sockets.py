"""Sockets of streams, and what waits for them, in a simulation: chance says how much each takes."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from alex_actors.simulation.scheduler import Wait
from alex_http.transport.poller import Poller, Ready
from alex_http.transport.streams import Stream

if TYPE_CHECKING:
    from alex_actors.simulation.world import Simulation

SOCKETS, BELL = "sockets", "the bell of the streams"
"""What the search for every order knows of as used by several: by readers and the thread that sends; by that
thread and whoever wakes it. Feeds are of those who follow, as without HTTP."""


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
        self._wait = Wait("something to send")

    @property
    def watched(self) -> int:
        """How many sockets are watched."""
        return len(self._watched)

    def ring(self) -> None:
        """End the wait that goes on, or the next one at once."""
        self._enter(BELL)
        self._rung = True
        self._scheduler.end(self._wait)

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
            self._wait = bell = Wait("something to send")
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
            self._scheduler.end(self._wait)

    def _enter(self, *resources: str) -> None:
        self._scheduler.perhaps_pause()
        self._touch(*resources)

    def _touch(self, *resources: str) -> None:
        for resource in resources:
            self._scheduler.steps.touch(resource, write=True)
