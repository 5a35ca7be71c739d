"""All MCP servers: started with Alex and stopped with it, and the tools that they have at the moment."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from alex_actors.cores import Cores
from alex_actors.mcp.spec import McpError, McpServerSpec
from alex_actors.ports import Clock, Tool
from alex_actors.replies import Component

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.mcp.server import Connect, McpServer

_TURN_SECONDS = 5.0
"""For the loop to take its turn, besides what is waited for."""


class McpServers:
    """Starts, watches and stops servers, on the agents' ``loop``.

    ``start``, ``stop`` and ``component`` are for any thread, ``tools`` for the loop's.
    """

    def __init__(
        self, specs: Sequence[McpServerSpec], *, loop: asyncio.AbstractEventLoop, cores: Cores,
        log: FilteringBoundLogger, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        named: Collection[str] = (), connect: Connect | None = None,
    ) -> None:  # fmt: skip
        """Take notice of the servers; nothing is started yet.

        ``named`` are names and patterns of tools that presets have: those of a server that fit no tool of it are
        warned of in the log.

        Raises McpError for a command that does not exist, and if the SDK is not installed.
        """
        self._loop = loop
        self._tools: Mapping[str, Tool] = MappingProxyType({})
        self._running: set[asyncio.Task[None]] = set()
        self._servers: tuple[McpServer, ...] = ()
        if not specs:  # then the SDK, which takes a second to import, need not be there
            return
        for spec in specs:
            if spec.command and connect is None:
                spec.program(os.environ)
            if spec.exposed:
                log.warning(
                    "mcp.insecure", server=spec.name, reason="Its headers go there unencrypted: use https."
                )
        try:
            from alex_actors.mcp.server import McpServer
            from alex_actors.mcp.transports import Transports
        except ImportError as error:
            raise McpError("MCP servers need one more package: pip install 'alex-runtime[mcp]'.") from error
        connect = connect or Transports(cores=cores, log=log, clock=clock)
        self._servers = tuple(
            McpServer(spec, connect=connect, log=log, clock=clock, sleep=sleep, changed=self._merge, named=named)
            for spec in specs
        )

    # On the loop.

    def tools(self) -> Mapping[str, Tool]:
        """Return the tools of all servers that have been there, by name. A source for the Toolbox."""
        return self._tools

    # Called by anyone.

    def start(self, *, within: float) -> None:
        """Start all servers, and wait for them, but not longer than ``within`` seconds: slow ones come later."""
        if self._servers:
            started = asyncio.run_coroutine_threadsafe(self._start(within), self._loop)
            with suppress(concurrent.futures.TimeoutError):  # something holds up the loop: they start after it
                started.result(within + _TURN_SECONDS)

    def stop(self, *, then: Callable[[], None]) -> None:
        """Stop all servers; ``then`` is called on the loop when the last has ended, never if that is closed."""
        with suppress(RuntimeError):  # the loop is closed: with it all connections are
            self._loop.call_soon_threadsafe(self._stop, then)

    def connected(self) -> dict[str, bool]:
        """Return of each server, by name, whether it is there."""
        return {server.spec.name: server.connected for server in self._servers}

    def component(self) -> Component:
        """Return how the servers are."""
        away = [server.spec.name for server in self._servers if not server.connected]
        figures: dict[str, float | int] = {
            "servers": len(self._servers),
            "away": len(away),
            "tools": len(self._tools),
        }
        if away:
            return Component("degraded", f"MCP servers that are not there: {', '.join(away)}.", figures)
        return Component("ok", None, figures)

    # On the loop.

    async def _start(self, within: float) -> None:
        for server in self._servers:
            running = self._loop.create_task(server.run(), name=f"mcp-{server.spec.name}")
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                for server in self._servers:
                    await server.tried.wait()

    def _stop(self, then: Callable[[], None]) -> None:
        for server in self._servers:
            server.stop()
        left = set(self._running)

        def ended(task: asyncio.Task[None]) -> None:
            left.discard(task)
            if not left:
                then()

        if not left:
            then()
        for task in tuple(left):
            task.add_done_callback(ended)
            task.cancel()

    def _merge(self) -> None:
        merged = {name: tool for server in self._servers for name, tool in server.tools.items()}
        self._tools = MappingProxyType(merged)
