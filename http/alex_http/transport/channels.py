"""Where a connection differs from waitress': how it refuses, drains, closes, and waits.

waitress answers what its parser refuses as plain text, resets the connection of a client that is still sending,
never closes one that stopped reading, has no way to stop that lets requests finish, and keeps a worker until a
reply is complete. Its classes are made to be subclassed (``channel_class``, ``task_class``, ``error_task_class``,
``parser_class``); what is private of it and used here is why its minor version is pinned.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]  # waitress has no types
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]  # waitress has no types
from waitress.task import ErrorTask, WSGITask  # type: ignore[import-untyped]  # waitress has no types

from alex_http.transport.holds import HOLD, Hold

PATIENCE = 30.0
"""Seconds for which a worker waits for a client that has more than 16 MiB to read before it goes on."""

LINGER = 5
"""Seconds for which what a refused client still sends is read and dropped, so that it gets to read its reply.

Up to ``cleanup_interval`` more, since that is how often waitress looks.
"""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """A parser that refuses a target such as ``http://[``, at which waitress' own drops the connection."""

    command = ""

    def received(self, data: bytes) -> int:
        """Take what came; return how much of it was this request's."""
        begun = self.header_plus
        consumed: int = super().received(data)
        if self.error is not None and self.body_rcv is None and (begun + data).lstrip().startswith(b"HEAD "):
            self.command = "HEAD"  # waitress forgets it with headers that it refuses; the reply must have no body
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers. Raises ParsingError."""
        try:
            super().parse_header(header_plus)
        except ValueError:
            raise ParsingError("Its target or its Content-Length cannot be read") from None
        if self.chunked and "CONTENT_LENGTH" in self.headers:  # RFC 9112, section 6.1: somebody is smuggling
            raise ParsingError("It has both a Content-Length and a Transfer-Encoding")
        if self.proxy_netloc:  # RFC 9112, section 3.2.2: the target's host, if it names one, is the host
            self.headers["HOST"] = self.proxy_netloc


class Parked(BaseException):
    """Leaves waitress' ``service``, which would end the request. No ``Exception``: those it catches."""


class RequestTask(WSGITask):  # type: ignore[misc]  # waitress has no types
    """One call of the application for a request."""

    streams = False
    """What follows the headers comes from a feed."""

    def get_environment(self) -> dict[str, Any]:  # a WSGI environment has values of many types
        """Return the WSGI environment, with the path as it was sent: waitress makes one slash of several."""
        environ: dict[str, Any] = super().get_environment()
        environ["PATH_INFO"] = self.request.path
        environ[HOLD] = self.channel.hold
        return environ

    def build_response_header(self) -> bytes:
        """Return the status line and the headers; the last ones on this connection if the server is stopping."""
        if self.channel.server.draining or self.channel.last_reply:
            self.set_close_on_finish()
        # Not after HEAD, nor if the application failed after all and says so.
        said = self.has_body and self.status.startswith("2") and self.request.command != "HEAD"
        self.streams = said and self.channel.hold.feed is not None
        if self.streams:  # frameworks give the length of the body that they have
            self.remove_content_length_header()
            self.content_length = None
        header: bytes = super().build_response_header()
        if self.streams or self.request.command == "HEAD":
            # The end of a stream is the end of its connection: what is sent is then the same for each reader.
            # And of what has no body, waitress would still send the end.
            self.chunked_response = False
            header = header.replace(b"\r\nTransfer-Encoding: chunked", b"")
        return header

    def write(self, data: bytes) -> None:
        """Write what the application returned, unless it wants to be called again for its reply."""
        if not self.channel.hold.waits:
            super().write(data)

    def execute(self) -> None:
        """Call the application. Raises Parked if the request goes on."""
        hold = self.channel.hold
        hold.called()
        super().execute()
        if hold.waits:
            if self.wrote_header:
                raise RuntimeError("The application waits after it began its reply.")
            raise Parked
        if hold.feed is not None:
            if not self.wrote_header:
                self.write(b"")
            if self.streams:
                raise Parked


class Refusal(NamedTuple):
    """What a client is told whose request the HTTP parser refused."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class RefusedRequest(NamedTuple):
    """A request that the HTTP parser refused, or at which the application itself broke."""

    code: int
    reason: str
    headers: Mapping[str, str]
    """As far as they were read, by names as WSGI has them, without ``HTTP_``."""


Refuse: TypeAlias = Callable[[RefusedRequest], Refusal]


class RefusalTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """A request that the HTTP parser refused, or at which the application itself broke."""

    def execute(self) -> None:
        """Answer, and close the connection: where the next request begins is not known."""
        error = self.request.error
        refusal = self.channel.server.refuse(RefusedRequest(error.code, str(error.body), self.request.headers))
        self.status = refusal.status
        self.response_headers += refusal.headers
        self.content_length = len(refusal.body)
        self.set_close_on_finish()
        self.channel.linger_when_flushed = True
        asked = (self.channel.requests or [self.request])[0]  # which it is not itself if the application broke
        self.write(b"" if asked.command == "HEAD" else refusal.body)


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection. It goes through: open, then closing or lingering, then closed."""

    task_class = RequestTask
    error_task_class = RefusalTask
    parser_class = Parser

    linger_when_flushed = False
    """A request on it was refused before it was read to the end. Closing at once would reset the connection,
    and the reply with it."""
    lingering = False
    """All is said; what still comes is dropped."""

    behind = False
    """A worker wrote more than the socket took: the loop must send the rest."""

    connected: bool
    socket: Any  # as wasyncore has it: a socket, or None
    requests: list[Any]  # waitress has no types

    hold: Hold | None = None
    """Of the request that is being answered."""
    last_reply = False
    """The connection is closed after the reply."""
    parked = False
    """Nobody works on that request: it waits, and all that can happen is that its client goes."""
    leaving = False
    """The reply is a stream, and its headers are written: the loop's thread alone sees to it."""

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
        admitted = bool(self.server.streams.admit(self.addr[0]))
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
        self.server.changed(self)

    def failed(self, error: Exception) -> None:
        """Log what the application raised at the end of a request. From any thread."""
        self.logger.error("Exception at the end of a request", exc_info=error)

    def _finish(self, hold: Hold) -> None:
        """Say to whoever waits to answer that it is over, and to a feed that it is not needed. Any thread."""
        feed = hold.take_feed()
        if feed is not None:
            self.server.streams.drop(feed, self.addr[0])
        hold.over()

    def cancel(self) -> None:
        """Close it, without an answer to what it asked. From any thread."""
        super().cancel()
        self.server.changed(self)  # waitress waits for the client to take something: one that is stuck never does

    def send_continue(self) -> None:
        """Ask for the body that a client holds back, if there is one and it will be taken.

        waitress alone asks for a body that it refused already, and for one that is not to come.
        """
        if self.request.error is None and self.request.body_rcv is not None:
            super().send_continue()
        else:
            self.request.expect_continue = False

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
            return bool(super()._flush_some(do_close=False))

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
        if self.leaving:
            self._leave()
        elif self.hold is not None:
            self.hold.over()

    def _begin_to_leave(self, hold: Hold) -> None:
        """Hand over to the loop's thread. For a worker.

        This says so, then looks whether the client is gone; ``handle_close`` notes that it is, then looks here.
        So one of the two sees the other's, also if the loop does not turn any more.
        """
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
            self.server.streams.adopt(sock, feed, self.addr[0])
        self._finish(hold)
        self.hold = None  # each has the other: without this, what is over would stay until garbage is collected

    def _linger(self) -> None:
        self.close_when_flushed = False
        self.lingering = True
        self.last_activity = time.time() - self.adj.channel_timeout + LINGER  # waitress' clock
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone
            self.handle_close()
