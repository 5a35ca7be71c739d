"""One call of the application for a request, and the reply to one that it never sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from waitress.task import ErrorTask, WSGITask  # type: ignore[import-untyped]  # waitress has no types

from alex_http.transport.holds import HOLD


class Parked(BaseException):
    """Leaves waitress' ``service``, which would end the request. No ``Exception``: those it catches."""


class RequestTask(WSGITask):  # type: ignore[misc]  # waitress has no types
    """One call of the application for a request."""

    streams = False
    """What follows the headers comes from a feed."""

    def get_environment(self) -> dict[str, Any]:  # a WSGI environment has values of many types
        """Return the WSGI environment, with the path as it was sent: waitress makes one slash of several.

        ``REMOTE_ADDR`` is the client for whom a trusted proxy asks, ``wsgi.url_scheme`` how that came to it.
        """
        environ: dict[str, Any] = super().get_environment()
        environ["PATH_INFO"] = self.request.path
        environ["wsgi.url_scheme"] = self.channel.scheme
        client = self.channel.client
        if client != self.channel.addr[0]:
            environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = client
            environ.pop("REMOTE_PORT", None)  # is that of the proxy
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
    """A request that the application never sees, or at which the application itself broke.

    Its code is a status: 400, 501 for what is no HTTP/1.1; 408 if the request was not whole in time; 413, 414, 431
    if it is too large; 503 if the client has too many connections, or if there is no memory for it now; 500.
    """

    code: int
    reason: str
    headers: Mapping[str, str]
    """As far as they were read, by names as WSGI has them, without ``HTTP_``."""
    limit: int | None = None
    """The limit that it exceeds: the bytes of 413, 414 and 431, the connections of 503; None if there is none."""
    address: str = ""
    """From which it came."""


Refuse: TypeAlias = Callable[[RefusedRequest], Refusal]


class RefusalTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """A request that the HTTP parser refused, or at which the application itself broke."""

    def execute(self) -> None:
        """Answer, and close the connection: where the next request begins is not known."""
        error = self.request.error
        limit = getattr(error, "limit", None)  # waitress' own errors have none
        refusal = self.channel.server.refuse(
            RefusedRequest(error.code, str(error.body), self.request.headers, limit, self.channel.client)
        )
        self.status = refusal.status
        self.response_headers += refusal.headers
        self.content_length = len(refusal.body)
        self.set_close_on_finish()
        self.channel.linger_when_flushed = True
        asked = (self.channel.requests or [self.request])[0]  # which it is not itself if the application broke
        self.write(b"" if asked.command == "HEAD" else refusal.body)
