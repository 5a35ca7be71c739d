"""The bodies of errors, which SDKs read whole, however long they are: only their beginning is read."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

import httpx2

LARGEST_ERROR = 65_536
"""Bytes, as they are sent: of a provider's text some hundred characters are told."""


async def cut_error(response: httpx2.Response) -> None:
    """Have no more than LARGEST_ERROR bytes read of a response, if it is an error: a hook of an HTTP client."""
    if response.is_error and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Beginning(response.stream)


async def beginning(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield a body up to LARGEST_ERROR bytes."""
    left = LARGEST_ERROR
    async for piece in body:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


class _Beginning(httpx2.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return beginning(self._body)

    async def aclose(self) -> None:
        await self._body.aclose()
