"""The HTTP server: waitress, bound before it says so, stopped without breaking off what is under way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from threading import RLock, Thread
from typing import Any

from structlog.typing import FilteringBoundLogger
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types
from waitress.wasyncore import loop  # type: ignore[import-untyped]  # waitress has no types

from alex_actors.ports import Clock
from alex_http.transport.channels import Refuse
from alex_http.transport.listener import Listener
from alex_http.transport.sockets import BACKLOG, allow_descriptors, listening
from alex_http.transport.streams import Streams
from alex_http.transport.workers import Workers

MAX_HEADERS = 64 * 1024
"""Bytes of a request line with its headers. Browsers and proxies send up to 32 kB."""
LONGEST_TURN = 1.0
"""Seconds that the loop waits for something to happen. It is woken for all that it must see; this is how often
it looks for silent connections."""
SHORT_TURN = 0.05
"""Seconds between two looks whether all streams have ended, at a stop."""
STRAGGLERS = 0.25
"""Seconds that workers have, after the grace, to notice that their connections are closed: that takes no I/O."""
FEED_READERS = 2
"""Threads that read for feeds that block. SQLite reads one page after the other about as fast as two at once."""


class Server:
    """Serves a WSGI application on one address.

    The socket listens from construction on: who connects before ``serve`` is answered then. What its parser
    refuses is answered by ``refuse``. ``probes`` are paths that are answered while all ``workers`` are busy.
    ``connections`` and ``streams`` are how many there may be at once, each of them; ``max_body`` is in bytes;
    ``grace`` is how many seconds requests have to finish when it is stopped. Raises CannotListen.
    """

    def __init__(
        self,
        *,
        app: Callable[..., Any],  # a WSGI application
        refuse: Refuse,
        host: str,
        port: int,
        clock: Clock,
        log: FilteringBoundLogger,
        workers: int,
        connections: int,
        streams: int,
        streams_per_address: int,
        max_body: int,
        grace: float,
        probes: Collection[str] = (),
    ) -> None:
        self._clock = clock
        self._log = log
        self._grace = grace
        self._stopping = False
        self._closed = False
        self._waking = RLock()
        """Held to use or close the trigger. A signal handler may come while its own thread holds it."""
        allow_descriptors(connections + streams)
        sock = listening(host, port)
        self.host, self.port = sock.getsockname()[:2]
        self._workers = Workers(probes=probes)
        self._feed_readers = ThreadPoolExecutor(FEED_READERS, thread_name_prefix="feeds")
        self.streams = Streams(
            now=clock.monotonic,
            read=self._feed_readers.submit,
            log=log,
            most=streams,
            most_per_address=streams_per_address,
        )
        self._listener = Listener(
            app=app,
            sock=sock,
            adj=_adjustments(sock, workers=workers, connections=connections, max_body=max_body),
            workers=self._workers,
            streams=self.streams,
            refuse=refuse,
            clock=clock,
            log=log,
        )
        self._sending = Thread(target=self.streams.run, name="streams", daemon=True)
        self._sending.start()
        self._workers.start(workers)

    @property
    def url(self) -> str:
        """Where it is reached, with the real port if 0 was asked for."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def serve(self) -> None:
        """Answer requests until ``stop``; return when all is closed."""
        try:
            while not self._stopping:
                self._turn(LONGEST_TURN)
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
        self._sending.join(timeout=STRAGGLERS)
        self._feed_readers.shutdown(wait=False, cancel_futures=True)
        self._workers.shutdown(timeout=STRAGGLERS)
        if running := self._workers.running:
            # They may still pull the trigger: its descriptors must not come to be those of another file.
            self._log.warning("http.abandoned", requests=running)
            return
        with self._waking:
            self._closed = True
            self._listener.trigger.close()

    def _turn(self, timeout: float) -> None:
        timeout = min(timeout, self._listener.remind_due())
        loop(timeout=timeout, use_poll=True, map=self._listener.sockets, count=1)

    def _drain(self) -> None:
        self._listener.stop_accepting()
        self.streams.end_all()
        deadline = self._clock.monotonic() + self._grace
        while self._unfinished() and (left := deadline - self._clock.monotonic()) > 0:
            self._turn(min(left, SHORT_TURN if len(self.streams) else LONGEST_TURN))

    def _unfinished(self) -> bool:
        return self._listener.close_idle() or len(self.streams) > 0


def _adjustments(
    sock: socket.socket, *, workers: int, connections: int, max_body: int
) -> Any:  # waitress has no types
    return Adjustments(
        sockets=[sock],
        threads=workers,
        backlog=BACKLOG,
        connection_limit=connections,
        max_request_body_size=max_body + 1,  # waitress refuses what is as large as its limit
        max_request_header_size=MAX_HEADERS,
        asyncore_use_poll=True,  # select() knows no descriptor above 1023
        clear_untrusted_proxy_headers=True,
        ident=None,  # no Server header: what runs here is nobody's business
        expose_tracebacks=False,
    )
