"""How MCP servers are reached: as a process of their own on stdio, or by streamable HTTP.

Imports the SDK, an extra package.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import httpx2
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from alex_actors import tools
from alex_actors.cores import Cores
from alex_actors.mcp.guard import LONGEST_MESSAGE
from alex_actors.mcp.spec import McpServerSpec
from alex_actors.mcp.stderr import StderrLines
from alex_actors.ports import Clock

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams
    from structlog.typing import FilteringBoundLogger

_BEGIN = (
    "import sys; sys.path += sys.argv[1:3]; from guard import main; from supervisor import descendants; "
    "sys.exit(main(sys.argv[3:], descendants))"
)
_GUARD = ("-I", "-S", "-c", _BEGIN, str(Path(__file__).parent), str(Path(tools.__file__).parent))
"""How a guard (guard.py) is started: neither the environment nor a directory has a say in what is imported."""


class Transports:
    """Makes connections to servers. ``cores`` says on which of them processes run, if this one keeps to one."""

    def __init__(self, *, cores: Cores, log: FilteringBoundLogger, clock: Clock) -> None:
        self._cores = cores
        self._log = log
        self._clock = clock

    def __call__(self, spec: McpServerSpec) -> AbstractAsyncContextManager[TransportStreams]:
        """Return a connection that is still to be made."""
        return self._stdio(spec) if spec.command else self._http(spec)

    @asynccontextmanager
    async def _stdio(self, spec: McpServerSpec) -> AsyncGenerator[TransportStreams, None]:
        """Start a server. In its stead, if that is gone, its process is ended: see guard.py.

        Raises OSError, or McpError if there is no such command any more.
        """
        program = spec.program(os.environ)
        with self._cores.for_children():  # the guard takes them: when the SDK starts it, another has this thread
            cores = ",".join(map(str, os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ""
        parameters = StdioServerParameters(
            command=sys.executable,
            args=[*_GUARD, cores, "--", program, *spec.args],
            env=spec.environment(os.environ),
            cwd=spec.cwd or None,
        )
        async with self._logged(spec) as errors, stdio_client(parameters, errlog=errors) as streams:
            errors.close()  # the server's is the last, so that its end is the end of the pipe
            yield streams

    @asynccontextmanager
    async def _logged(self, spec: McpServerSpec) -> AsyncGenerator[TextIO, None]:
        """Yield a file, what is written to which goes to the log."""
        read_end, write_end = os.pipe()
        redact = spec.redactor().text
        with closing(open(write_end, "w")) as file:  # noqa: PTH123 - a descriptor, which nothing opens
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: StderrLines(log=self._log, clock=self._clock, redact=redact, server=spec.name),
                open(read_end, "rb", buffering=0),  # noqa: PTH123, SIM115 - as above; the transport closes it
            )
            with closing(transport):
                yield file

    @asynccontextmanager
    async def _http(self, spec: McpServerSpec) -> AsyncGenerator[TransportStreams, None]:
        # No limit for reads: calls have one of their own, and a stream of news may be silent for long.
        timeout = httpx2.Timeout(spec.start_timeout_seconds, read=None)
        headers = {"Accept-Encoding": "identity"} | dict(spec.headers)
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks={"response": [_bound]}) as client,
            streamable_http_client(spec.url, http_client=client, max_sse_event_size=LONGEST_MESSAGE) as streams,
        ):
            yield streams


async def _bound(response: httpx2.Response) -> None:
    """Bound the body of a response that is not read yet. Of a stream of events, the SDK bounds each event."""
    if isinstance(response.stream, httpx2.AsyncByteStream):  # always, as clients of asyncio go
        kind = response.headers.get("Content-Type", "").lower()
        limit = None if kind.startswith("text/event-stream") else LONGEST_MESSAGE
        plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"
        response.stream = _BoundedBody(response.stream, limit=limit, plain=plain)


class _BoundedBody(httpx2.AsyncByteStream):
    """A body that breaks off where it is too long, or if it is compressed: a few bytes may become gigabytes.

    It does with StreamError, which the SDK makes an error of the call from; others would end the connection.
    """

    def __init__(self, body: httpx2.AsyncByteStream, *, limit: int | None, plain: bool) -> None:
        self._body = body
        self._limit = limit
        self._plain = plain

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._body:
            size += len(piece)
            if not self._plain:
                raise httpx2.StreamError("the answer is compressed, which nobody asked for")
            if self._limit is not None and size > self._limit:
                raise httpx2.StreamError(f"the answer has more than {self._limit >> 20} MiB")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()
