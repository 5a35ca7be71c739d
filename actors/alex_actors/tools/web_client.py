"""Gets one URL of the web: at an address that was checked, within bounds, without cookies or credentials."""

from __future__ import annotations

import functools
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx

from alex_actors.ports import ToolError
from alex_actors.text import shortened
from alex_actors.tools.files import is_binary
from alex_actors.tools.tool import in_thread
from alex_actors.tools.web_addresses import AllowedAddresses, Resolve
from alex_actors.tools.web_pages import MediaType
from alex_actors.values import Value

MAX_REDIRECTS = 5
"""One from http to https, one to another name, one to a language; more are a loop."""

MAX_URL = 4096
"""Characters."""

_TRIED_ADDRESSES = 4
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = (80, 443)
_FIRST_FREE_PORT = 1024
"""Below it are mail, shells and the like, which may take a request for something else."""

_HEADERS = {
    "User-Agent": "alex-runtime (web_fetch)",
    "Accept": "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
    "Connection": "close",
}


class Page(Value, frozen=True):
    """What came of a URL."""

    url: str
    """The last one, where redirects led."""
    media: MediaType
    data: bytes
    whole: bool
    """Whether it has no more than these bytes."""


async def fetch(
    given: str, *, resolve: Resolve, addresses: AllowedAddresses, connect_seconds: float, max_bytes: int
) -> Page:
    """Get a text of at most ``max_bytes``. Each redirect is checked like the first URL. Raises ToolError."""
    url = _url(given)
    for _ in range(MAX_REDIRECTS + 1):
        at = await _checked(url, resolve, addresses)
        try:
            async with _answer(url, at, connect_seconds) as response:
                if response.status_code not in _REDIRECTS:
                    return await _page(url, response, max_bytes)
                url = _redirected(url, response.headers.get("location"))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ToolError(f"{url.host!r} did not answer as it should: {_reason(error)}.") from error
    raise ToolError(f"The page leads from one URL to the next, more than {MAX_REDIRECTS} times.")


async def _checked(url: httpx.URL, resolve: Resolve, addresses: AllowedAddresses) -> list[str]:
    """Return the addresses of a URL that may be connected to. Raises ToolError if there are none."""
    host = _host(url)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = list(dict.fromkeys(await resolve(host, port)))
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise ToolError(f"There is no host {host!r}.")
    if addresses.host(host):
        return found
    refusals = {address: addresses.refusal(address) for address in found}
    allowed = [address for address, refusal in refusals.items() if refusal is None]
    if not allowed:
        why = next(iter(refusals.values()))
        raise ToolError(f"{host!r} is not on the public web: its address is {why}. It was not asked.")
    if port not in _PORTS and port < _FIRST_FREE_PORT:
        allowed = [address for address in allowed if addresses.listed(address)]
    if not allowed:
        raise ToolError(f"Port {port} is not one of the web's: only 80, 443, and those from 1024 on are asked.")
    return allowed


@asynccontextmanager
async def _answer(
    url: httpx.URL, addresses: Sequence[str], connect_seconds: float
) -> AsyncIterator[httpx.Response]:
    """Ask for a URL at the first of these addresses that can be connected to.

    The host's name goes into the Host header and into TLS, whose certificate must be the name's. What is connected
    to is an address that was checked: the name is not resolved again, it could have another one by then.
    """
    timeout = httpx.Timeout(None, connect=connect_seconds)  # the whole has its own
    extensions = {"timeout": timeout.as_dict(), "sni_hostname": _host(url)}
    headers = {"Host": url.netloc.decode("ascii"), **_HEADERS}
    context = await in_thread(_tls_context)
    # One for each: another host at the same address must not be given this connection.
    async with httpx.AsyncHTTPTransport(verify=context, trust_env=False) as transport:
        tried = [
            httpx.Request("GET", url.copy_with(host=address), headers=headers, extensions=extensions)
            for address in addresses[:_TRIED_ADDRESSES]
        ]
        response = await _first(transport, tried)
        try:
            yield response
        finally:
            await response.aclose()


async def _first(transport: httpx.AsyncHTTPTransport, requests: Sequence[httpx.Request]) -> httpx.Response:
    for request in requests[:-1]:
        try:
            return await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await transport.handle_async_request(requests[-1])


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return what certificates are checked against: 200 kB that are read once."""
    return httpx.create_ssl_context()


async def _page(url: httpx.URL, response: httpx.Response, max_bytes: int) -> Page:
    if not 200 <= response.status_code < 300:
        raise ToolError(f"{shortened(str(url), 200)} answered {_status(response.status_code)}.")
    media = MediaType.of(response.headers.get("content-type", ""))
    if not media.is_text:
        size = response.headers.get("content-length", "")
        length = f" of {int(size):,} bytes" if re.fullmatch("[0-9]{1,15}", size) else ""
        raise ToolError(f"It is no text but {media.name!r}{length}.")
    data, whole = await _content(response, max_bytes)
    if is_binary(data) and not media.may_have_nul(data):
        raise ToolError(f"It is no text, though its type is {media.name or 'not said'!r}: it has NUL characters.")
    return Page(shortened(str(url), MAX_URL), media, data, whole)


async def _content(response: httpx.Response, most: int) -> tuple[bytes, bool]:
    """Return as many bytes as may be, and whether these are all. No more are ever uncompressed."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise ToolError(f"It is compressed as {shortened(encoding, 50)!r}, which was not asked for.")
    unzip = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    data = bytearray()
    async for chunk in response.aiter_raw():
        rest = chunk
        while rest and len(data) <= most:
            if unzip is None:
                data += rest
                break
            if unzip.eof:  # a file of gzip may have several parts, one after the other (RFC 1952, section 2.2)
                unzip = zlib.decompressobj(wbits=31)
            try:
                data += unzip.decompress(rest, most + 1 - len(data))
            except zlib.error:
                raise ToolError("It is said to be compressed as gzip, and is not.") from None
            rest = unzip.unused_data
        if len(data) > most:
            return bytes(data[:most]), False
    return bytes(data), unzip is None or unzip.eof


def _url(given: str) -> httpx.URL:
    """Return a URL that may be asked for, unless its address says no. Raises ToolError."""
    if len(given) > MAX_URL:
        raise ToolError(f"The URL has {len(given):,} characters; up to {MAX_URL:,} are possible.")
    try:
        url = httpx.URL(given)
    except (httpx.InvalidURL, ValueError):
        raise ToolError(f"{shortened(given, 200)!r} is not a URL.") from None
    if url.port is not None and not 0 < url.port < 65536:
        raise ToolError(f"{shortened(given, 200)!r} is not a URL: there is no port {url.port}.")
    if url.scheme not in ("http", "https") or not url.host:
        raise ToolError(f"{shortened(given, 200)!r} does not begin with https:// or http:// and a host.")
    if url.userinfo:
        raise ToolError("The URL has a user's name or a password in it: such are not sent.")
    return url.copy_with(fragment=None)


def _redirected(url: httpx.URL, location: str | None) -> httpx.URL:
    if location is None:
        raise ToolError(f"{shortened(str(url), 200)} leads elsewhere, and does not say where.")
    try:
        return _url(str(url.join(location)))
    except (httpx.InvalidURL, ValueError):
        raise ToolError(f"{shortened(str(url), 200)} leads to {shortened(location, 200)!r}, no URL.") from None


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _reason(error: Exception) -> str:
    return shortened(" ".join(str(error).split()), 200) or type(error).__name__


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)
