"""The listening socket, and the connections that it took."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]  # waitress has no types
from waitress.wasyncore import dispatcher  # type: ignore[import-untyped]  # waitress has no types

from alex_actors.ports import Clock
from alex_http.transport.channels import Channel, Refuse
from alex_http.transport.holds import Hold, Reminders
from alex_http.transport.streams import Streams
from alex_http.transport.workers import Workers

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accepting a connection fails with until something else is closed. The connection stays in the queue."""
PAUSE = 1.0
"""Seconds without accepting after that. The socket stays ready: trying again at once is a loop without an end."""


class Listener(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """The listening socket and its channels. All but ``wake`` belongs to the thread that runs the loop."""

    channel_class = Channel

    def __init__(
        self,
        *,
        app: Callable[..., Any],  # a WSGI application
        sock: socket.socket,
        adj: Adjustments,
        workers: Workers,
        streams: Streams,
        refuse: Refuse,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self.refuse = refuse
        self.streams = streams
        self.draining = False
        self._reminders = Reminders()
        self._log = log
        self._clock = clock
        self._accept_from: float | None = None
        """When to accept again, on the clock that never goes back; None if the last time went well."""
        sockinfo = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(app, _sock=sock, dispatcher=workers, adj=adj, sockinfo=sockinfo, bind_socket=False)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The open connections."""
        return tuple(self.active_channels.values())

    @property
    def sockets(self) -> dict[int, Any]:  # waitress has no types
        """What the loop watches, by file descriptor."""
        watched: dict[int, Any] = self._map  # waitress has no types
        return watched

    def wake(self) -> None:
        """Make the loop look up. May be called from any thread, and from a signal handler: it takes no lock."""
        self.trigger.pull_trigger()

    def remind(self, hold: Hold, seconds: float) -> None:
        """Have a hold's time be over in so many seconds. From any thread."""
        self._reminders.add(hold, self._clock.monotonic() + seconds)
        self.wake()  # it may be the next thing that happens

    def forget(self, hold: Hold) -> None:
        """Do not, if it was not yet. From any thread."""
        self._reminders.drop(hold)

    def remind_due(self) -> float:
        """Tell the holds whose time is over; return in how many seconds the next one is."""
        now = self._clock.monotonic()
        for hold in self._reminders.due(now):
            hold.time_is_over()
        return max(0.0, self._reminders.next() - now)

    def readable(self) -> bool:
        """Return whether to wait for connections."""
        ready = bool(super().readable())  # first: it is where waitress calls maintenance
        return ready and (self._accept_from is None or self._clock.monotonic() >= self._accept_from)

    def accept(self) -> tuple[socket.socket, Any] | None:  # an address has the form of its family
        """Accept a connection, if there is one and there is room for it. Raises OSError."""
        try:
            accepted: tuple[socket.socket, Any] | None = super().accept()  # as above
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            if self._accept_from is None:  # once: a shortage may last, and a line a second fills a disk
                self._log.error("http.no_room", error=error.strerror, connections=len(self.active_channels))
            self._accept_from = self._clock.monotonic() + PAUSE
            return None
        if accepted is not None:
            self._accept_from = None
        return accepted

    def stop_accepting(self) -> None:
        """Close the listening socket: from now on, connections are refused, and what waits is answered."""
        self.draining = True
        dispatcher.close(self)
        for channel in self.channels:
            channel.answer_now()

    def close_idle(self) -> bool:
        """Close the connections on which nothing is under way; return whether there are others."""
        for channel in self.channels:
            if not channel.busy:
                channel.handle_close()
        return bool(self.active_channels)

    def close_all(self) -> None:
        """Close every connection, whatever goes on there."""
        for channel in self.channels:
            channel.handle_close()

    def maintenance(self, now: float) -> None:
        """Close the connections that were silent for too long.

        waitress marks them to be closed when they can be written to, which one that stopped reading never is.
        """
        for channel in self.channels:
            silent = not channel.requests and channel.last_activity < now - self.adj.channel_timeout
            if silent or channel.will_close:
                channel.handle_close()
