"""One connection to an MCP server: its tools, calls of them, and how one hears of its end.

Imports the SDK, an extra package.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from mcp.client.client import Client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, CallToolResult, Implementation, Tool, ToolListChangedNotification
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from alex_actors.mcp.received import answered, drop_bad_tools

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, Transport, TransportStreams
    from mcp.client.session import IncomingMessage
    from mcp.shared.message import SessionMessage

_PAGES = 100
"""Pages of tools that are asked for: a server that always has one more does not hold up its start for ever."""

_LISTEN_AGAIN_SECONDS = 5.0
"""Until a stream of news that was cut is opened again."""

_SESSION_GONE = "Session terminated"
"""How the SDK's transport says that an HTTP server, restarted perhaps, does not know this client any more."""


class ConnectionEnded(Exception):
    """Raised by what waits for a connection that has ended; of a call, nobody knows whether it was worked on."""


class Connection:
    """A connection to a server whose tools are known. Made by ``connected``; lives as long as that block.

    ``dropped`` is told of each tool in a list that is none: its name, and why.
    """

    def __init__(self, *, sleep: Callable[[float], Awaitable[None]], dropped: Callable[[str, str], None]) -> None:
        self._sleep = sleep
        self._dropped = dropped
        self._news = asyncio.Event()
        self._listening = asyncio.Event()
        self._ended = ""
        self._client: Client | None = None
        self.calls = 0
        """Calls that are at work."""

    @asynccontextmanager
    async def connected(self, transport: Transport) -> AsyncGenerator[None, None]:
        """Connect, and listen for changes, within the block. Entered and left in one asyncio task."""
        client = Client(
            _Watched(transport, seen=self._seen, ended=lambda: self.end("the connection was closed")),
            message_handler=self._heard,
            client_info=Implementation(name="alex-runtime", version="1"),
            cache=None,  # the tools are asked for when they have changed
        )
        async with client:
            self._client = client
            async with anyio.create_task_group() as group:
                group.start_soon(self._listen, client)
                await self._listening.wait()  # before the tools are asked for: no change is missed
                yield
                group.cancel_scope.cancel()

    async def tools(self) -> list[Tool]:
        """Ask for the tools. Raises MCPError, or what the transport does."""
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._connected().list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:  # Any: JSON
        """Call a tool. Cancelling this cancels the call at the server.

        Raises ConnectionEnded, or MCPError and others for what a server has done wrong.
        """
        self.calls += 1
        try:
            return await self._connected().call_tool(tool, dict(arguments))
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or error.message == _SESSION_GONE:
                self.end(error.message)
                raise ConnectionEnded(error.message) from error
            raise
        finally:
            self.calls -= 1

    async def changed(self, *, within: float | None) -> bool:
        """Wait until the tools may have changed, and return True; False if they have not ``within`` seconds.

        Raises ConnectionEnded once the connection has.
        """
        try:
            async with asyncio.timeout(within):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        if self._ended:
            raise ConnectionEnded(self._ended)
        return True

    def end(self, reason: str) -> None:
        """Have ``changed`` tell that the connection has ended."""
        self._ended = self._ended or reason
        self._news.set()

    def _connected(self) -> Client:
        if self._client is None:
            raise ConnectionEnded("there is no connection yet")
        return self._client

    def _seen(self, item: SessionMessage | Exception) -> SessionMessage | Exception:
        """Return what the SDK is given in the place of what has come."""
        if self._client is not None:
            drop_bad_tools(item, version=self._client.protocol_version, dropped=self._dropped)
        return answered(item)

    async def _heard(self, message: IncomingMessage) -> None:
        """How servers tell of changes by the protocol until that of 2026-07-28."""
        if isinstance(message, ToolListChangedNotification):
            self._news.set()

    async def _listen(self, client: Client) -> None:
        """How they do since: on a stream that is asked for."""
        tools = client.server_capabilities.tools
        listens = tools is not None and tools.list_changed and client.protocol_version in MODERN_PROTOCOL_VERSIONS
        while listens:
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    self._listening.set()
                    async for _ in changes:
                        self._news.set()
            except SubscriptionLost:
                pass
            except MCPError:  # it does not let anyone listen, whatever it said
                break
            self._listening.set()
            await self._sleep(_LISTEN_AGAIN_SECONDS)
            self._news.set()  # nobody told what changed meanwhile
        self._listening.set()


class _Watched:
    """A transport that lets somebody see what is read from it, and tells when that has come to an end."""

    def __init__(
        self,
        transport: Transport,
        *,
        seen: Callable[[SessionMessage | Exception], SessionMessage | Exception],
        ended: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._seen = seen
        self._ended = ended

    async def __aenter__(self) -> TransportStreams:
        read, write = await self._transport.__aenter__()
        return _WatchedStream(read, seen=self._seen, ended=self._ended), write

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._transport.__aexit__(kind, error, trace)


class _WatchedStream:
    def __init__(
        self,
        stream: ReadStream[SessionMessage | Exception],
        *,
        seen: Callable[[SessionMessage | Exception], SessionMessage | Exception],
        ended: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._seen = seen
        self._ended = ended

    async def receive(self) -> SessionMessage | Exception:
        return self._seen(await self._stream.receive())

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return self._seen(await self._stream.__anext__())
        except StopAsyncIteration:
            self._ended()
            raise

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, trace)
