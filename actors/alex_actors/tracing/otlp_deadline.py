"""A deadline for a whole request: the timeout of a socket is for each read alone, and a drip stays within it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool
    from urllib3.connection import HTTPConnection

_CREDENTIALS = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
)


class Deadline(HTTPAdapter):
    """Makes the connections of a session of ``requests``, and cuts them when their time is over.

    Requests are sent by one thread at a time. A connection is shut down by a second handle on it: who reads from
    it, or writes, gets an error at once, in the handshake of TLS as in a body. Looking up the address of a host is
    not cut, and has timeouts of its own.
    """

    def __init__(self) -> None:
        self._handles: dict[HTTPConnection, socket.socket] = {}
        self._is_busy = self._is_over = self._is_closed = False
        super().__init__()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let requests take so many seconds together; then those that are not answered fail, and each new one."""
        timer = Timer(seconds, self._cut)
        timer.name, timer.daemon = "otel-deadline", True
        self._is_busy = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # so that it does not cut the next one
            self._is_busy = self._is_over = False
            self._forget()

    def close(self) -> None:
        """Close the connections. Any thread; a request that is being sent still has its deadline."""
        super().close()
        self._is_closed = True
        if not self._is_busy:
            self._forget()

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str,  # noqa: FBT001 - the signature of requests
        proxies: dict[str, str] | None = None,
        cert: str | tuple[str, str] | None = None,
    ) -> HTTPConnectionPool:
        """Return the connections to an endpoint, or to a proxy; ``requests`` lets others change them here."""
        pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
        if "ConnectionCls" not in vars(pool):
            pool.ConnectionCls = self._watched(pool.ConnectionCls)
        return pool

    def _watched(self, made: Any) -> Any:  # Any: the pool's own class of connections, of HTTP or of HTTPS
        watch = self._watch

        class Watched(made):  # type: ignore[misc] # as above
            def _new_conn(self) -> socket.socket:
                connected: socket.socket = super()._new_conn()
                watch(self, connected)
                return connected

        return Watched

    def _watch(self, connection: HTTPConnection, connected: socket.socket) -> None:
        before = self._handles.pop(connection, None)
        if before is not None:
            before.close()
        # TLS takes the socket itself away. A connection that is closed may still be read from: of its last reply.
        handle = self._handles[connection] = connected.dup()
        if self._is_over:
            handle.close()
            connected.close()
            raise TimeoutError("It is too late for another connection.")

    def _cut(self) -> None:
        self._is_over = True  # first: a connection that comes later sees it
        for handle in tuple(self._handles.values()):
            with suppress(OSError):  # it is not connected any more
                handle.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        """Close the handles on connections that are closed; on all, if nothing is to be sent any more."""
        for connection, handle in tuple(self._handles.items()):
            if connection.sock is None or self._is_closed:
                handle.close()
                del self._handles[connection]


def session_of(deadline: Deadline, environ: Mapping[str, str] = os.environ) -> requests.Session | None:
    """Return a session with a deadline; None where the environment names who makes one with credentials."""
    if any(environ.get(name) for name in _CREDENTIALS):
        return None
    session = requests.Session()
    session.mount("http://", deadline)
    session.mount("https://", deadline)
    return session
