"""Where this server differs from waitress: how it refuses, drains, and closes.

waitress answers what its parser refuses as plain text, resets the connection of a client that is still sending,
never closes one that stopped reading, and has no way to stop that lets requests finish. Its classes are made to
be subclassed (``channel_class``, ``task_class``, ``error_task_class``, ``parser_class``); what is private of it
and used here is why its minor version is pinned.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]  # waitress has no types
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]  # waitress has no types
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]  # waitress has no types
from waitress.task import (  # type: ignore[import-untyped]  # waitress has no types
    ErrorTask,
    ThreadedTaskDispatcher,
    WSGITask,
)
from waitress.wasyncore import dispatcher  # type: ignore[import-untyped]  # waitress has no types

from alex_actors.ports import Clock, Ids
from alex_http import errors
from alex_http.exchange import common_headers, for_log, request_id, trace_id

PATIENCE = 30.0
"""Seconds for which a worker waits for a client that has more than 16 MiB to read before it goes on."""

LINGER = 5
"""Seconds for which what a refused client still sends is read and dropped, so that it gets to read its reply.

Up to ``cleanup_interval`` more, since that is how often waitress looks.
"""

PROBES = frozenset({"/health", "/ready"})
"""The paths that are answered while all workers are busy."""

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accepting a connection fails with until something else is closed. The connection stays in the queue."""
PAUSE = 1.0
"""Seconds without accepting after that. The socket stays ready: trying again at once is a loop without an end."""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """A parser that refuses a target such as ``http://[``, at which waitress' own drops the connection."""

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


class RequestTask(WSGITask):  # type: ignore[misc]  # waitress has no types
    """A request that the application answers."""

    def get_environment(self) -> dict[str, Any]:  # a WSGI environment has values of many types
        """Return the WSGI environment, with the path as it was sent: waitress makes one slash of several."""
        environ: dict[str, Any] = super().get_environment()
        environ["PATH_INFO"] = self.request.path
        return environ

    def build_response_header(self) -> bytes:
        """Return the status line and the headers; the last ones on this connection if the server is stopping."""
        if self.channel.server.draining:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header


class RefusalTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """A request that the HTTP parser refused, or at which the application itself broke."""

    def execute(self) -> None:
        """Answer with a problem, and close the connection: where the next request begins is not known."""
        listener: Listener = self.channel.server
        problem = _problem(self.request, listener.adj)
        sender = self.request.headers
        request = request_id(sender.get("X_REQUEST_ID"), listener.ids)
        trace = trace_id(sender.get("TRACEPARENT"), listener.ids)
        body = problem.encode()
        self.status = f"{problem.status} {problem.title}"
        self.response_headers += [("Content-Type", errors.MEDIA_TYPE), *common_headers(request, trace)]
        self.content_length = len(body)
        self.set_close_on_finish()
        self.channel.linger_when_flushed = True
        listener.request_log.info(
            "http.refused",
            status=problem.status,
            reason=for_log(str(self.request.error.body)),
            request_id=request,
            trace_id=trace,
        )
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)


def _problem(request: Any, adj: Any) -> errors.Problem:  # waitress has no types
    match request.error.code:
        case 413:
            return errors.BodyTooLarge(adj.max_request_body_size - 1)
        case 431:
            return errors.HeadersTooLarge(adj.max_request_header_size)
        case 501:
            return errors.UnknownTransferCoding()
        case 400:
            return errors.MalformedRequest(request.error.body)
        case _:
            return errors.InternalError()


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

    @property
    def busy(self) -> bool:
        """Whether a request on it is being answered, or a reply is on its way."""
        return bool(self.requests or (self.total_outbufs_len and not self.lingering))

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
            self.server.pull_trigger()  # again: the loop may have looked before it could see that
        return written

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Wait until the client has taken enough of what was written, but not for ever.

        waitress waits without an end: as many clients as there are workers, which ask for much and read nothing,
        would be the end of the server.
        """
        most = self.adj.outbuf_high_watermark
        if self.total_outbufs_len <= most:
            return
        deadline = time.monotonic() + PATIENCE
        with self.outbuf_lock:
            self._flush_exception(self._flush_some, do_close=False)
            while self.connected and self.total_outbufs_len > most:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.cancel()
                    return
                self.behind = True
                self.server.pull_trigger()
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
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self._linger()

    def _linger(self) -> None:
        self.close_when_flushed = False
        self.lingering = True
        self.last_activity = time.time() - self.adj.channel_timeout + LINGER  # waitress' clock
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone
            self.handle_close()


class Pool(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress has no types
    """Threads that run the application."""

    def add_task(self, task: Channel) -> None:
        """Queue a channel that has a request. waitress would warn of every one that has to wait."""
        with self.lock:
            self.queue.append(task)
            self.queue_cv.notify()


class Workers:
    """The threads that run the application, and one more for the PROBES.

    A cancel holds its thread until it is recorded, which takes seconds: as many cancels as there are threads
    would let a server look dead, and whoever watches it would start it again.
    """

    def __init__(self) -> None:
        self._pool = Pool()
        self._probing = Pool()

    def start(self, threads: int) -> None:
        """Start the threads."""
        self._pool.set_thread_count(threads)
        self._probing.set_thread_count(1)

    @property
    def running(self) -> int:
        """How many threads have not ended."""
        return len(self._pool.threads) + len(self._probing.threads)

    def add_task(self, task: Channel) -> None:
        """Queue a channel that has a request; it comes again for each one that its client sent ahead."""
        request = task.requests[0]
        probe = request.error is None and request.path in PROBES
        (self._probing if probe else self._pool).add_task(task)

    def shutdown(self, *, timeout: float) -> None:
        """End the threads; wait for each kind as many seconds."""
        self._pool.shutdown(timeout=timeout)
        self._probing.shutdown(timeout=timeout)


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
        ids: Ids,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self.ids = ids
        self.request_log = log
        self.draining = False
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
                self.request_log.error("http.no_room", error=error.strerror, connections=len(self.active_channels))
            self._accept_from = self._clock.monotonic() + PAUSE
            return None
        if accepted is not None:
            self._accept_from = None
        return accepted

    def stop_accepting(self) -> None:
        """Close the listening socket: from now on, connections are refused."""
        self.draining = True
        dispatcher.close(self)

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
