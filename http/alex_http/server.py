"""The HTTP server: waitress, bound before it says so, stopped without breaking off what is under way."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Callable
from threading import RLock
from typing import Any

from structlog.typing import FilteringBoundLogger
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # waitress has no types
from waitress.wasyncore import loop  # type: ignore[import-untyped]  # waitress has no types

from alex_actors.ports import Clock, Ids
from alex_http.channels import Listener, Workers

MAX_HEADERS = 64 * 1024
"""Bytes of a request line with its headers. Browsers and proxies send up to 32 kB."""
HIGHEST_PORT = 65_535
BACKLOG = 1024
"""Connections that wait to be accepted. The kernel caps it (4096 on Linux)."""
LONGEST_TURN = 1.0
"""Seconds that the loop waits for something to happen. It is woken for all that it must see; this is how often
it looks for silent connections."""
RESERVE = 200
"""Descriptors for all that is no connection of a client. The database takes two for each thread, of which there
are at most 64; the rest is for the logs, and for what tools open."""
STRAGGLERS = 0.25
"""Seconds that workers have, after the grace, to notice that their connections are closed: that takes no I/O."""


class CannotListen(Exception):
    """The server cannot be reached as the settings want it; the text says why, and what would be right."""


class Server:
    """Serves a WSGI application on one address.

    The socket listens from construction on: who connects before ``serve`` is answered then. ``grace`` is how
    many seconds requests have to finish when it is stopped. Raises CannotListen.
    """

    def __init__(
        self,
        *,
        app: Callable[..., Any],  # a WSGI application
        host: str,
        port: int,
        ids: Ids,
        clock: Clock,
        log: FilteringBoundLogger,
        workers: int,
        connections: int,
        max_body: int,
        grace: float,
    ) -> None:
        self._clock = clock
        self._log = log
        self._grace = grace
        self._stopping = False
        self._closed = False
        self._waking = RLock()
        """Held to use or close the trigger. A signal handler may come while its own thread holds it."""
        allow_descriptors(connections)
        sock = _bound(host, port)
        self.host, self.port = sock.getsockname()[:2]
        self._workers = Workers()
        self._listener = Listener(
            app=app,
            sock=sock,
            adj=_adjustments(sock, workers=workers, connections=connections, max_body=max_body),
            workers=self._workers,
            ids=ids,
            clock=clock,
            log=log,
        )
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
        self._workers.shutdown(timeout=STRAGGLERS)
        if running := self._workers.running:
            # They may still pull the trigger: its descriptors must not come to be those of another file.
            self._log.warning("http.abandoned", requests=running)
            return
        with self._waking:
            self._closed = True
            self._listener.trigger.close()

    def _turn(self, timeout: float) -> None:
        loop(timeout=timeout, use_poll=True, map=self._listener.sockets, count=1)

    def _drain(self) -> None:
        self._listener.stop_accepting()
        deadline = self._clock.monotonic() + self._grace
        while self._listener.close_idle() and (left := deadline - self._clock.monotonic()) > 0:
            self._turn(min(left, LONGEST_TURN))


def allow_descriptors(connections: int) -> None:
    """Raise this process's soft limit of descriptors as far as ``connections`` need.

    Raises CannotListen if the hard limit is lower: connections would be refused long before their limit, and
    commands and files of tools would fail with them.
    """
    needed = connections + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError) as error:
        raise CannotListen(
            f"Cannot serve {connections} connections: they and the rest need {needed} open files, and this"
            f" process may have {hard if hard != resource.RLIM_INFINITY else soft}. Lower server.max_connections"
            " in the settings, or raise the limit (ulimit -n, LimitNOFILE= of systemd)."
        ) from error


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


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that an address in use is found before anything is said of it."""
    where = f"{host}:{port}"
    if not 0 <= port <= HIGHEST_PORT:  # getaddrinfo would take it modulo 65536
        raise CannotListen(f"Cannot listen on {where}: a port is a number from 0 to {HIGHEST_PORT}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Where a name has both, as localhost does, every client finds IPv4.
        family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise CannotListen(
            f"Cannot listen on {where}: {host!r} is not the name or address of a network interface"
            f" ({error.strerror}). 127.0.0.1 is this machine."
        ) from error
    except OSError as error:
        raise CannotListen(f"Cannot listen on {where}: {_advice(error)}") from error


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program does. Stop it, or choose another port; 0 takes any that is free."
        case errno.EACCES:
            return "this user may not. Choose a port above 1023."
        case errno.EADDRNOTAVAIL:
            return "that address is not one of this machine. 127.0.0.1 always is."
        case _:
            return f"{error.strerror}."
