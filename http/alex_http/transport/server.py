"""The HTTP server: waitress, bound before it says so, stopped without breaking off what is under way."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from threading import RLock, Thread
from typing import Any

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types

from alex_http.transport.channels import PATIENCE
from alex_http.transport.limits import Limits
from alex_http.transport.listener import Listener
from alex_http.transport.loops import LoopName, new_loop
from alex_http.transport.ports import Clock, Log
from alex_http.transport.replies import Refuse
from alex_http.transport.sockets import (
    BACKLOG,
    KEEP_ALIVE,
    RESERVE,
    KeepAlive,
    OpenFiles,
    Room,
    listening,
    make_room,
)
from alex_http.transport.streams import Streams
from alex_http.transport.workers import Workers

LIMITS = Limits()
LONGEST_TURN = 1.0
"""Seconds that the loop waits for something to happen. It is woken for all that it must see; this is how often
it looks who is overdue."""
SHORT_TURN = 0.05
"""Seconds between two looks whether all streams have ended, at a stop."""
STRAGGLERS = 0.25
"""Seconds that workers have, after the grace, to notice that their connections are closed: that takes no I/O."""
FAREWELL = 2.0
"""Seconds in which streams that are still open are closed, and their feeds told: 10,000 take a second."""
FEED_READERS = 2
"""Threads that read for feeds that block. SQLite reads one page after the other about as fast as two at once."""


class Server:
    """Serves a WSGI application on one address.

    The socket listens from construction on: who connects before ``serve`` is answered then. What its parser
    refuses is answered by ``refuse``. ``probes`` are paths that are answered while all ``workers`` are busy.
    ``connections`` and ``streams`` are how many there may be at once, each of them: fewer if the system does
    not allow as many open files, and that is logged. ``max_body`` is in bytes; ``limits`` is what else clients may
    take; ``grace`` is how many seconds requests have to finish when it is stopped; ``patience`` how many a worker
    waits for a client that does not read. ``loop`` is None for the best that the system has. Raises CannotListen.
    """

    def __init__(
        self,
        *,
        app: Callable[..., Any],  # a WSGI application
        refuse: Refuse,
        host: str,
        port: int,
        clock: Clock,
        log: Log,
        workers: int,
        connections: int,
        streams: int,
        streams_per_address: int,
        max_body: int,
        grace: float,
        limits: Limits = LIMITS,
        probes: Collection[str] = (),
        loop: LoopName | None = None,
        keep_alive: KeepAlive = KEEP_ALIVE,
        patience: float = PATIENCE,
    ) -> None:
        self._clock, self._log, self._grace = clock, log, grace
        self._stopping = self._closed = False
        self._waking = RLock()
        """Held to use or close the trigger. A signal handler may come while its own thread holds it."""
        connections, streams = self._room(Room(connections, streams))
        sock = listening(host, port)
        self.host, self.port = sock.getsockname()[:2]
        self._workers = Workers(probes=probes)
        self._feed_readers = ThreadPoolExecutor(FEED_READERS, thread_name_prefix="feeds")
        self.streams = Streams(
            now=clock.monotonic, read=self._feed_readers.submit, log=log,
            most=streams, most_per_address=streams_per_address,
        )  # fmt: skip
        self._loop = new_loop(loop)
        room = {"workers": workers, "connections": connections, "headers": limits.header_bytes}
        adj = _adjustments(sock, keep_alive=keep_alive, **room)
        self._listener = Listener(
            app=app, sock=sock, adj=adj, loop=self._loop, workers=self._workers, streams=self.streams,
            refuse=refuse, limits=limits, max_body=max_body, patience=patience, clock=clock, log=log,
        )  # fmt: skip
        self._sending = Thread(target=self.streams.run, name="streams", daemon=True)
        self._sending.start()
        self._workers.start(workers)

    @property
    def url(self) -> str:
        """Where it is reached, with the real port if 0 was asked for."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def waiting(self) -> int:
        """How many requests wait to be answered, without a worker."""
        return self._listener.waiting

    def serve(self) -> None:
        """Answer requests until ``stop``; return when all is closed."""
        try:
            while not self._stopping:
                self._listener.turn(LONGEST_TURN)
            self._drain()
        finally:
            self.close()

    def stop(self) -> None:
        """Have ``serve`` take no more connections, let requests finish within the grace, and return.

        Returns at once. May be called from any thread, from a signal handler, before ``serve``, and twice.
        """
        self._stopping = True
        with self._waking:
            if not self._closed:
                self._listener.wake()

    def close(self) -> None:
        """Close at once. ``serve`` ends with it; else it is for a server that is never to serve.

        Requests that go on all the same are logged and left alone. Once they have ended, closing again frees
        what they held.
        """
        self._stopping = True
        self._listener.stop_accepting()
        self._listener.close_all()
        self.streams.close()
        self._sending.join(timeout=FAREWELL)
        self._feed_readers.shutdown(wait=False)  # what waits to be read is not, now that its stream is closed
        self._workers.shutdown(timeout=STRAGGLERS)
        if running := self._workers.running:
            # They may still pull the trigger: its descriptors must not come to be those of another file.
            self._log.warning("http.abandoned", requests=running)
            return
        with self._waking:
            self._closed = True
            self._listener.trigger.close()
            self._loop.close()

    def _room(self, wanted: Room) -> Room:
        """Return how many connections and streams there may be; say so if those are fewer than was asked for."""
        room = make_room(wanted, OpenFiles())
        if room != wanted:
            self._log.warning(
                "http.fewer_descriptors",
                connections=room.connections,
                streams=room.streams,
                wanted_connections=wanted.connections,
                wanted_streams=wanted.streams,
                open_files=sum(room) + RESERVE,
                advice=f"raise the limit of open files (ulimit -Hn, LimitNOFILE= of systemd) to"
                f" {sum(wanted) + RESERVE}, or lower server.max_connections or limits.max_streams",
            )
        return room

    def _drain(self) -> None:
        self._listener.stop_accepting()
        self.streams.end_all()
        deadline = self._clock.monotonic() + self._grace
        while self._unfinished() and (left := deadline - self._clock.monotonic()) > 0:
            self._listener.turn(min(left, SHORT_TURN if len(self.streams) else LONGEST_TURN))

    def _unfinished(self) -> bool:
        return self._listener.close_idle() or len(self.streams) > 0


def _adjustments(
    sock: socket.socket, *, workers: int, connections: int, headers: int, keep_alive: KeepAlive
) -> Adjustments:
    adjustments = Adjustments(
        sockets=[sock],
        threads=workers,
        backlog=BACKLOG,
        connection_limit=connections + 2,  # waitress counts the listening socket, and what wakes the loop
        max_request_body_size=sys.maxsize,  # that and what is kept in memory, our parser sees to
        inbuf_overflow=sys.maxsize,
        max_request_header_size=headers,
        log_socket_errors=False,  # a client that goes is no error of ours
        clear_untrusted_proxy_headers=True,
        ident=None,  # no Server header: what runs here is nobody's business
        expose_tracebacks=False,
    )
    adjustments.socket_options = [*adjustments.socket_options, *keep_alive.options()]
    return adjustments
