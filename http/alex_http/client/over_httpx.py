"""From requests and replies to httpx, and back: what the two clients share."""

from __future__ import annotations

import httpx

from alex_http.client.errors import ConnectionFailed
from alex_http.client.request_reply import Reply, Request, bad_reply
from alex_http.hosts import LOOPBACK

LARGEST_REPLY = 64 * 2**20
"""Bytes of one reply. A page of events or tasks can be large."""

_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
"""How a body may be packed: a piece grows a thousandfold at most. Others, or two in a row, could fill memory."""

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


class Address:
    """Where the server is, what is sent along with each request, and how long a reply is waited for.

    ``base_url`` may have a path, that of the server behind a proxy. ``timeout`` and ``silence`` in seconds.
    Raises ValueError for a URL that is none, and for a token that no header can have.
    """

    def __init__(self, base_url: str, *, token: str | None, timeout: float, silence: float) -> None:
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise _no_url(base_url) from error
        if url.scheme not in ("http", "https") or not url.host:
            raise _no_url(base_url)
        if token and not (token.isascii() and token.isprintable()):
            raise ValueError("token has characters that cannot be sent, perhaps a line break at its end.")
        self._url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout
        self._silence = silence
        self.trust_env = url.host not in LOOPBACK
        """A proxy of the environment is for other machines."""

    def build(self, http: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
        """Return a request as ``http`` sends it."""
        return http.build_request(
            request.method,
            self._url + request.path,
            params=dict(request.query) or None,
            headers=self._headers | {"Accept-Encoding": "gzip, deflate"} | dict(request.headers),
            content=request.body,
            timeout=httpx.Timeout(self._timeout, read=request.read_timeout or self._timeout, pool=None),
        )

    def build_stream(self, http: httpx.Client | httpx.AsyncClient, request: Request) -> httpx.Request:
        """Return the request for a stream. Not a byte for ``silence`` seconds means that it is cut."""
        return http.build_request(
            request.method,
            self._url + request.path,
            headers=self._headers
            | {"Accept": "text/event-stream", "Accept-Encoding": "gzip, deflate", "Cache-Control": "no-store"}
            | dict(request.headers),
            timeout=httpx.Timeout(self._timeout, read=self._silence, pool=None),
        )


def _no_url(base_url: str) -> ValueError:
    return ValueError(f"base_url is like 'http://127.0.0.1:8080'; it was {base_url!r}.")


def limits() -> httpx.Limits:
    """Return as many connections as are needed: each stream and each `wait` has one for itself."""
    return httpx.Limits(max_connections=None, max_keepalive_connections=20)


def content_type(response: httpx.Response) -> str:
    """Return the Content-Type of a response, ``""`` if it does not say."""
    value: str = response.headers.get("content-type", "")
    return value


def check_encoding(response: httpx.Response) -> None:
    """Look at how a body is packed, before it is unpacked. Raises BadReply."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise bad_reply(_reply(response, b""), f"its Content-Encoding is {encoding[:50]!r}")


def read_reply(response: httpx.Response) -> Reply:
    """Read a whole reply. Raises BadReply for one that is too long."""
    body = bytearray()
    for piece in response.iter_bytes():
        _add(body, piece, response)
    return _reply(response, bytes(body))


async def aread_reply(response: httpx.Response) -> Reply:
    """Do the same with asyncio."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        _add(body, piece, response)
    return _reply(response, bytes(body))


def _add(body: bytearray, piece: bytes, response: httpx.Response) -> None:
    if len(body) + len(piece) > LARGEST_REPLY:
        begin = bytes(body[:1000]) or piece[:1000]
        raise bad_reply(_reply(response, begin), f"it is longer than {LARGEST_REPLY} bytes")
    body += piece


def _reply(response: httpx.Response, body: bytes) -> Reply:
    return Reply(status=response.status_code, headers=dict(response.headers), body=body)


def failure_from(error: httpx.RequestError, request: Request) -> ConnectionFailed:
    """Return what an error of httpx means: is it sure that the server has not got the request?"""
    maybe_received = not isinstance(error, _NEVER_SENT)
    what = "The connection broke before the reply was whole" if maybe_received else "The server cannot be reached"
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    return ConnectionFailed(f"{what}: {request.method} {request.path}: {reason}", maybe_received=maybe_received)


def stream_ended(request: Request) -> ConnectionFailed:
    """Return what it means that a stream is over, and that what it follows is not."""
    return ConnectionFailed(f"The stream ended: {request.method} {request.path}", maybe_received=True)
