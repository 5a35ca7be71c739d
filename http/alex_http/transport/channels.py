"""Where a connection differs from waitress': how it refuses, drains, closes, waits, and is not waited for.

waitress answers what its parser refuses as plain text, resets the connection of a client that is still sending,
never closes one that stopped reading or sends a byte now and then, has no way to stop that lets requests finish,
and keeps a worker until a reply is complete. Its classes are made to be subclassed (``channel_class``,
``task_class``, ``error_task_class``, ``parser_class``); what is private of it and used here is why its minor
version is pinned.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]  # waitress has no types

from alex_http.transport.holds import Hold
from alex_http.transport.limits import KEPT_ALIVE, LEAST_RATE, LINGER, LONGEST_BODY
from alex_http.transport.parser import Parser
from alex_http.transport.proxies import counted_as
from alex_http.transport.replies import Parked, RefusalTask, RequestTask

PATIENCE = 30.0
"""Seconds for which a worker waits for a client that has more than 16 MiB to read before it goes on."""


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection. It goes through: open, then closing or lingering, then closed."""

    task_class = RequestTask
    error_task_class = RefusalTask

    linger_when_flushed = False
    """A request on it was refused before it was read to the end. Closing at once would reset the connection,
    and the reply with it."""
    lingering = False
    """All is said; what still comes is dropped."""

    behind = False
    """A worker wrote more than the socket took: the loop must send the rest."""

    connected: bool
    socket: Any  # as wasyncore has it: a socket, or None
    request: Parser | None
    requests: list[Parser]

    hold: Hold | None = None
    """Of the request that is being answered."""
    last_reply = False
    """The connection is closed after the reply."""
    parked = False
    """Nobody works on that request: it waits, and all that can happen is that its client goes."""
    leaving = False
    """The reply is a stream, and its headers are written: the loop's thread alone sees to it."""

    tick = 0
    """When the loop looks whether it is overdue."""

    def __init__(
        self,
        server: Any,  # the listener, which knows this class
        sock: socket.socket,
        addr: tuple[Any, ...] | None,  # an address has the form of its family
        adj: Adjustments,
        map: dict[int, Any] | None = None,  # noqa: A002 - waitress' name; as above
    ) -> None:
        self.peer = self.client = str(addr[0]) if addr else ""  # macOS has none of a client that is gone already
        """Who is at the other end, and for whom that asks, if it is a proxy that is trusted to tell."""
        self.scheme = "http"
        """As which the client sees it: ``https`` if such a proxy says so."""
        self._quiet_since = server.clock.monotonic()
        self._may_be_quiet = server.limits.header_seconds
        self._asked_since: float | None = None  # when the first byte came that is not answered
        self._sending_body_since: float | None = None  # and the whole headers
        self._taken = 0  # bytes of replies since it was quiet
        super().__init__(server, sock, addr, adj, map=map)
        server.arrived(self)

    def parser_class(self, adj: Adjustments) -> Parser:
        """Return what reads the next request. waitress calls it as the class that it is there."""
        server = self.server
        return Parser(
            adj, limits=server.limits, max_body=server.max_body,
            memory=server.memory, large_memory=server.large_memory,
        )  # fmt: skip

    def del_channel(self, map: dict[int, Any] | None = None) -> None:  # noqa: A002 - as above
        """Take it out of what is waited for."""
        super().del_channel(map)
        self.server.departed(self)

    @property
    def descriptor(self) -> int | None:
        """The file descriptor; None once it is closed."""
        descriptor: int | None = self._fileno  # waitress has no types
        return descriptor

    @property
    def busy(self) -> bool:
        """Whether a request on it is being answered, or a reply is on its way."""
        return bool(self.requests or (self.total_outbufs_len and not self.lingering))

    @property
    def ending(self) -> bool:
        """Whether the server is stopping."""
        return bool(self.server.draining)

    def again(self) -> None:
        """Have the application called once more for the request. From any thread."""
        self.server.add_task(self)

    def remind(self, hold: Hold, seconds: float) -> None:
        """Tell a hold in so many seconds that its time is over."""
        self.server.remind(hold, seconds)

    def forget(self, hold: Hold) -> None:
        """Do not, if it was not told yet."""
        self.server.forget(hold)

    def room_for_stream(self) -> bool:
        """Return whether one more stream may be opened from here; if so, it counts from now on."""
        admitted = bool(self.server.streams.admit(counted_as(self.client)))
        self.last_reply = not admitted  # who is refused for lack of room is not to take up more of it
        return admitted

    def answer_now(self) -> None:
        """Have a request that waits looked at, since the server is stopping."""
        if self.parked and self.hold is not None:
            self.hold.wake()

    def service(self) -> None:
        """Call the application for a request, for the first time or once more. For a worker."""
        hold = self.hold
        if self.parked and hold is not None:
            self.parked = False
            self.requests[0].get_body_stream().seek(0)  # the application may read it again
        else:
            headers, proxies = self.requests[0].headers, self.server.proxies
            self.client = proxies.client(self.peer, headers.get("X_FORWARDED_FOR"))
            self.scheme = proxies.scheme(self.peer, headers.get("X_FORWARDED_PROTO"))
            self.hold = hold = Hold(self)
        try:
            super().service()
        except Parked:
            if hold.feed is not None:
                self._begin_to_leave(hold)
                return
            self.parked = True
            hold.park()
        except BaseException:  # what refuses has failed as well: nobody would answer any more
            self._finish(hold)
            self.cancel()
            raise
        else:
            self._finish(hold)
            self._answered()
        self.server.changed(self)

    def failed(self, error: Exception) -> None:
        """Log what the application raised at the end of a request. From any thread."""
        self.logger.error("Exception at the end of a request", exc_info=error)

    def _finish(self, hold: Hold) -> None:
        """Say to whoever waits to answer that it is over, and to a feed that it is not needed. Any thread."""
        feed = hold.take_feed()
        if feed is not None:
            self.server.streams.drop(feed, counted_as(self.client))
        hold.over()

    def cancel(self) -> None:
        """Close it, without an answer to what it asked. From any thread."""
        for request in self.requests:
            request.release()
        super().cancel()
        self.server.changed(self)  # waitress waits for the client to take something: one that is stuck never does

    def send_continue(self) -> None:
        """Ask for the body that a client holds back, if there is one and it will be taken.

        waitress alone asks for a body that it refused already, and for one that is not to come.
        """
        request = self.request
        if request is None or (request.error is None and request.body_rcv is not None):
            super().send_continue()
        else:
            request.expect_continue = False

    def readable(self) -> bool:
        """Return whether to wait for data."""
        if self.parked:  # that its client goes can only be read; what that sends ahead is read once
            return not self.will_close and len(self.requests) <= 1
        return self.lingering or bool(super().readable())

    def writable(self) -> bool:
        """Return whether to wait until something can be sent.

        A worker sends what it writes itself, without the GIL but with the lock. waitress would find the socket
        writable all the while and the lock taken, and spin: a worker then gets the GIL back after the switch
        interval of 5 ms, which took a server at 64 connections from 4000 requests a second to 200.
        """
        if self.requests and not self.behind:
            return bool(self.will_close or self.close_when_flushed)
        return bool(super().writable())

    def write_soon(self, data: bytes) -> int:
        """Send or keep what a worker wrote; return how many bytes that were. Raises ClientDisconnected."""
        written: int = super().write_soon(data)
        self.behind = self.total_outbufs_len > 0
        if self.behind:
            self.server.changed(self)
        return written

    def _flush_some(self, do_close: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - as waitress has it
        """Send what the socket takes; return whether that was anything. Raises OSError.

        waitress' loop does so without the lock if no request is being answered. A worker that is done with one,
        and asks for the next one's body, may be sending at that time: its client would get the same bytes twice.
        Nor does it close a connection that failed: a worker must not, and the loop will be told of it.
        """
        with self.outbuf_lock:
            sent = bool(super()._flush_some(do_close=False))
            if sent and not self.total_outbufs_len:
                self._quiet_since = self.server.clock.monotonic()
            return sent

    def send(self, data: bytes, *, do_close: bool = True) -> int:
        """Send what the socket takes; return how many bytes that were. Raises OSError."""
        sent: int = super().send(data, do_close=do_close)
        self._taken += sent
        return sent

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Wait until the client has taken enough of what was written, but not for ever.

        waitress waits without an end: as many clients as there are workers, which ask for much and read nothing,
        would be the end of the server.
        """
        most = self.adj.outbuf_high_watermark
        if self.total_outbufs_len <= most:
            return
        deadline = time.monotonic() + self.server.patience
        with self.outbuf_lock:
            self._flush_exception(self._flush_some, do_close=False)
            while self.connected and self.total_outbufs_len > most:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.cancel()
                    return
                self.behind = True
                self.server.changed(self)
                self.outbuf_lock.wait(left)

    def handle_read(self) -> None:
        """Take what came. At its end, ``recv`` closes the channel."""
        if not self.lingering:
            super().handle_read()
            return
        try:
            self.recv(self.adj.recv_bytes)
        except OSError:
            self.handle_close()

    def handle_write(self) -> None:
        """Send what there is, and close if that was asked for."""
        if not (self.linger_when_flushed and self.close_when_flushed):
            super().handle_write()
            if self.leaving and self.connected:
                self._leave()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self._linger()

    def handle_close(self) -> None:
        """Close, and say so to whoever waits to answer."""
        super().handle_close()
        if self.request is not None:
            self.request.close()
        if self.leaving:
            self._leave()
        elif self.hold is not None:
            self.hold.over()

    def _begin_to_leave(self, hold: Hold) -> None:
        """Hand over to the loop's thread. For a worker.

        This says so, then looks whether the client is gone; ``handle_close`` notes that it is, then looks here.
        So one of the two sees the other's, also if the loop does not turn any more.
        """
        self._answered()
        self.leaving = True
        if self.connected:
            self.server.trigger.pull_trigger(self._leave)
        else:
            self._finish(hold)

    def _leave(self) -> None:
        """Give the socket to the streams once the headers are sent: this channel is over. On the loop's thread."""
        hold = self.hold
        if hold is None:
            return
        with self.requests_lock:  # what was sent ahead is not answered; and one who does not read is silent now
            for request in self.requests:
                request.close()
            self.requests = []
        if self.connected and self.total_outbufs_len:
            self.server.changed(self)
            return
        feed = hold.take_feed() if self.connected else None
        if feed is not None:
            self.del_channel()
            self.connected = False
            sock, self.socket = self.socket, None
            self.server.streams.adopt(sock, feed, counted_as(self.client))
        self._finish(hold)
        self.hold = None  # each has the other: without this, what is over would stay until garbage is collected

    def _linger(self) -> None:
        self.close_when_flushed = False
        self.lingering = True
        self._quiet_since = self.server.clock.monotonic()
        self.server.expect(self)
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone
            self.handle_close()

    # How long it is waited for.

    def received(self, data: bytes) -> bool:
        """Take what came of requests; from the first byte of one, its client has so much time to send it all."""
        if self._asked_since is None:
            self._asked_since = self.server.clock.monotonic()
        taken = bool(super().received(data))
        request = self.request
        if request is not None:
            if request.headers_finished and self._sending_body_since is None:
                self._sending_body_since = self.server.clock.monotonic()
            self.server.expect(self)
        return taken

    def _answered(self) -> None:
        """Take notice that a reply is written: from now on its client is waited for. For a worker."""
        self._quiet_since = now = self.server.clock.monotonic()
        self._may_be_quiet = KEPT_ALIVE
        self._taken = 0
        # What is there of the next request was sent ahead, and its client had no part in the delay.
        self._asked_since = None if self.request is None else now
        self._sending_body_since = None

    def due(self) -> float | None:
        """Return when its client is overdue, if nothing more comes; None while the client is not waited for."""
        limits, quiet, request = self.server.limits, self._quiet_since, self.request
        if self.will_close:
            return float(quiet)
        if self.lingering:
            return float(quiet + LINGER)
        if self.requests:
            return None
        if self.total_outbufs_len:
            return float(quiet + limits.body_seconds + self._taken / LEAST_RATE)
        if request is None and self._asked_since is None:
            return float(quiet + self._may_be_quiet)
        if request is None or not request.headers_finished:  # empty lines are no request, nor a sign of life
            return float((self._asked_since or quiet) + limits.header_seconds)
        begun = self._sending_body_since or quiet
        within = limits.body_seconds + request.body_bytes_received / LEAST_RATE
        return float(begun + min(within, max(limits.body_seconds, LONGEST_BODY)))

    def overdue(self) -> None:
        """Close it; say why first, if there is half a request that can be answered."""
        request = self.request
        waited = not (self.will_close or self.lingering or self.requests or self.total_outbufs_len)
        if request is None or not waited:
            self.handle_close()
            return
        with self.requests_lock:
            request.refuse(408, "It was not whole in time")
            self.requests.append(request)
            self.request = None
        self.server.add_task(self)
