"""Waits until something can be sent, is sent to us, or somebody rings: the system's best way (epoll, kqueue)."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from alex_http.transport.streams import Stream

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Ready(NamedTuple):
    """A stream whose socket can be read, or written, or both."""

    stream: Stream
    readable: bool
    writable: bool


class Poller:
    """Watches the sockets of streams. All but ``ring`` is for one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.settimeout(0)
        self._ear.settimeout(0)
        self._selector.register(self._ear, READ, None)

    def ring(self) -> None:
        """End the wait that goes on, or the next one at once. From any thread."""
        with contextlib.suppress(OSError):  # full: it will end; closed: nobody waits any more
            self._bell.send(b"!")

    def watch(self, sock: socket.socket, stream: Stream) -> None:
        """Watch whether a socket can be read."""
        self._selector.register(sock, READ, stream)

    def watch_for_room(self, sock: socket.socket, stream: Stream, *, wanted: bool) -> None:
        """Watch whether it can be written, too; or not any more."""
        self._selector.modify(sock, READ | WRITE if wanted else READ, stream)

    def forget(self, sock: socket.socket) -> None:
        """Watch it no more. It may not be watched: the system may not have had room for that."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(sock)

    def wait(self, timeout: float) -> Iterator[Ready]:
        """Wait, at most ``timeout`` seconds, until one can be read or written; give all that can."""
        for key, mask in self._selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._ear.recv(4096)
            else:
                yield Ready(key.data, bool(mask & READ), bool(mask & WRITE))

    def close(self) -> None:
        """Free what it took of the system."""
        self._selector.close()
        self._bell.close()
        self._ear.close()
