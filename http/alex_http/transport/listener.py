"""The listening socket, and the connections that it took: how many, and how long their clients are waited for."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]  # waitress has no types
from waitress.wasyncore import dispatcher  # type: ignore[import-untyped]  # waitress has no types

from alex_http.transport.channels import Channel
from alex_http.transport.holds import Hold, Reminders
from alex_http.transport.limits import Limits, Memory
from alex_http.transport.loops import Loop
from alex_http.transport.ports import Clock, Log
from alex_http.transport.proxies import Networks, Proxies, address_of, counted_as
from alex_http.transport.replies import Refuse, RefusedRequest
from alex_http.transport.streams import Streams
from alex_http.transport.workers import Workers

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accepting a connection fails with until something else is closed. The connection stays in the queue."""
PAUSE = 1.0
"""Seconds without accepting after that. The socket stays ready: trying again at once is a loop without an end."""
BATCH = 64
"""Connections that are accepted in one turn. waitress takes one: of thousands that come at once, the last one
waits for as many turns."""
GLANCE = 0.25
"""Seconds to which it is known that a client is overdue."""
LONGEST_UNSEEN = 10.0
"""Seconds until a connection is looked at again whose client is not overdue: workers do not tell what they do."""


class Listener(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """The listening socket and its channels. Unless it says otherwise, for the thread that turns the loop."""

    channel_class = Channel
    will_close = False

    def __init__(
        self,
        *,
        app: Callable[..., Any],  # a WSGI application
        sock: socket.socket,
        adj: Adjustments,
        loop: Loop,
        workers: Workers,
        streams: Streams,
        refuse: Refuse,
        limits: Limits,
        max_body: int,
        patience: float,
        clock: Clock,
        log: Log,
    ) -> None:
        self.refuse = refuse
        self.limits = limits
        self.max_body = max_body
        self.memory = Memory(limits.memory_bytes)
        self.large_memory = Memory(limits.large_memory_bytes)
        self.proxies = Proxies(limits.trusted_proxies)
        self.patience = patience
        self.streams = streams
        self.clock = clock
        self.draining = False
        self._loop = loop
        self._uncounted = Networks((*limits.uncounted, *limits.trusted_proxies))
        self._connections: Counter[str] = Counter()
        self._turned_away = b""
        self._turned_away_until = -math.inf
        """How long that reply is good for, on the clock that never goes back."""
        self._deadlines: Reminders[Channel] = Reminders(GLANCE)
        self._reminders: Reminders[Hold] = Reminders()
        self._sleeps_until = math.inf
        """When the loop looks at the reminders next, on the clock that never goes back; later at the latest."""
        self._log = log
        self._accept_from: float | None = None
        """When to accept again, on the clock that never goes back; None if the last time went well."""
        sockinfo = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(
            app, map=loop, _sock=sock, dispatcher=workers, adj=adj, sockinfo=sockinfo, bind_socket=False
        )

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The open connections."""
        return tuple(self.active_channels.values())

    @property
    def descriptor(self) -> int | None:
        """The file descriptor; None once it is closed."""
        descriptor: int | None = self._fileno  # waitress has no types
        return descriptor

    def turn(self, timeout: float) -> None:
        """Wait, at most so many seconds, until something happens or a reminder is due, and see to it."""
        self._loop.look_at(self)  # whether it accepts depends on the time, and on the others
        timeout = self._remind_due(timeout)
        self._see_who_is_overdue()
        self._loop.turn(timeout)

    def changed(self, channel: Channel) -> None:
        """Take notice that a channel may wait for something else than before. From any thread."""
        if self._loop.changed(channel) or self.draining:  # a stop waits for channels to be done
            self.wake()

    def pull_trigger(self) -> None:
        """Do nothing. waitress' channels call it after each request; ours say themselves what changed."""

    def wake(self) -> None:
        """Make the loop look up. May be called from any thread, and from a signal handler: it takes no lock."""
        self.trigger.pull_trigger()

    def remind(self, hold: Hold, seconds: float) -> None:
        """Have a hold's time be over in so many seconds. From any thread."""
        at = self.clock.monotonic() + seconds
        self._reminders.add(hold, at)
        if at < self._sleeps_until:
            self.wake()

    def forget(self, hold: Hold) -> None:
        """Do not, if it was not yet. From any thread."""
        self._reminders.drop(hold)

    @property
    def waiting(self) -> int:
        """How many requests wait to be answered."""
        return len(self._reminders)

    def _remind_due(self, timeout: float) -> float:
        """Tell the holds whose time is over; return how many seconds the loop may sleep."""
        self._sleeps_until = math.inf  # from here on, one that is added wakes the loop, so that none is overlooked
        now = self.clock.monotonic()
        for hold in self._reminders.due(now):
            hold.time_is_over()
        self._sleeps_until = until = min(now + timeout, self._reminders.next())
        return max(0.0, until - now)

    # How long clients are waited for.

    def arrived(self, channel: Channel) -> None:
        """Take notice of a new connection."""
        self._connections[counted_as(channel.peer)] += 1
        at = channel.due()
        self._deadlines.add(channel, self.clock.monotonic() if at is None else at)

    def departed(self, channel: Channel) -> None:
        """Take notice that one is closed, or a stream's now."""
        self._deadlines.drop(channel)
        address = counted_as(channel.peer)
        self._connections[address] -= 1
        if not self._connections[address]:
            del self._connections[address]

    def expect(self, channel: Channel) -> None:
        """Take notice that a channel's client may be overdue earlier than before."""
        at = channel.due()
        if at is not None:
            self._deadlines.bring_forward(channel, at)

    def _see_who_is_overdue(self) -> None:
        """See to those whose clients are. A turn costs what is due, not what is open."""
        now = self.clock.monotonic()
        for channel in self._deadlines.due(now):
            at = channel.due()
            if at is not None and at <= now:
                channel.overdue()
            if channel.connected:
                later = now + LONGEST_UNSEEN
                self._deadlines.add(channel, later if at is None or at <= now else min(at, later))

    # Who comes in.

    def readable(self) -> bool:
        """Return whether to wait for connections."""
        ready = bool(super().readable())  # first: it is where waitress calls maintenance
        return ready and (self._accept_from is None or self.clock.monotonic() >= self._accept_from)

    def handle_accept(self) -> None:
        """Accept what waits, up to a batch of it: then those that are open have their turn."""
        for _ in range(BATCH):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before or not self.readable():
                return

    def accept(self) -> tuple[socket.socket, Any] | None:  # an address has the form of its family
        """Accept a connection, if there is one and there is room for it. Raises OSError.

        Those whose clients have too many are told so, at once and by this thread, whose turn that does not end.
        """
        for _ in range(BATCH):
            accepted = self._accept()
            if accepted is None or not accepted[1] or self._may_come_in(str(accepted[1][0])):
                return accepted
            self._turn_away(accepted[0], str(accepted[1][0]))
        return None

    def _may_come_in(self, name: str) -> bool:
        most = self.limits.connections_per_address
        return self._connections[counted_as(name)] < most or self._uncounted.have(address_of(f"[{name}]"))

    def _turn_away(self, sock: socket.socket, address: str) -> None:
        """Say that these are too many, as far as the socket takes it, and close.

        Of a flood, all of a second get the same reply: each costs no line in the log, and no JSON.
        """
        now, most = self.clock.monotonic(), self.limits.connections_per_address
        if now >= self._turned_away_until:
            self._turned_away_until = now + PAUSE
            self._log.warning("http.too_many_connections", address=address, limit=most)
            why = "Its client has too many connections"
            status, headers, body = self.refuse(RefusedRequest(503, why, {}, most, address))
            headers = [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]
            lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
            self._turned_away = "\r\n".join(lines).encode("latin-1") + body
        with sock, contextlib.suppress(OSError):
            sock.settimeout(0)
            sock.send(self._turned_away)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(self.adj.recv_bytes)  # closing with something unread is a reset, before the reply is read

    def _accept(self) -> tuple[socket.socket, Any] | None:  # as above
        try:
            accepted: tuple[socket.socket, Any] | None = super().accept()  # as above
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            if self._accept_from is None:  # once: a shortage may last, and a line a second fills a disk
                self._log.error("http.no_room", error=error.strerror, connections=len(self.active_channels))
            self._accept_from = self.clock.monotonic() + PAUSE
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
        """Do nothing. waitress looks at every connection twice a minute; here each is looked at when it is due."""
