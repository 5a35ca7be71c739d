"""One MCP server: kept connected, started again when it ends, and what its tools do meanwhile.

Imports the SDK, an extra package.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from mcp.types import Tool as Listed

from alex_actors.mcp.connection import Connection, ConnectionEnded
from alex_actors.mcp.names import tool_names
from alex_actors.mcp.results import bounded, fault_of, text_of
from alex_actors.mcp.spec import McpServerSpec
from alex_actors.mcp.tool import McpTool
from alex_actors.ports import Clock, Tool, ToolError, ToolSpec
from alex_actors.tools.names import may_fit

if TYPE_CHECKING:
    from mcp.client._transport import Transport
    from structlog.typing import FilteringBoundLogger

Connect: TypeAlias = "Callable[[McpServerSpec], Transport]"
"""Returns a connection that is still to be made; each is used once."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds until a server is started again: a task may wait for it; one that never starts costs a start in 30 s."""

STEADY = 60.0
"""Seconds that a server has to be there for its next restart to be the first again."""

CHECK_EVERY = 30.0
"""Seconds from one look at whether an idle HTTP server is still there to the next: nothing else would tell."""

LONGEST_DESCRIPTION = 8192
"""Characters of a tool's description: a model reads those of all its tools, with each turn."""

_LONGEST_REASON = 300
_MOST_NAMES = 100


class McpServer:
    """Keeps one server connected, in one asyncio task: the SDK's contexts have to be left where they were entered.

    On its loop alone, but for ``connected``. ``changed`` is called whenever ``tools`` are others than before.
    """

    def __init__(
        self, spec: McpServerSpec, *, connect: Connect, log: FilteringBoundLogger, clock: Clock,
        sleep: Callable[[float], Awaitable[None]], changed: Callable[[], None], check_every: float = CHECK_EVERY,
        named: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.spec = spec
        self.tools: Mapping[str, Tool] = {}
        """The last that are known of, by name; they stay while the server is away, and say so when called."""
        self.tried = asyncio.Event()
        """Set once the server is there, or was not there at the first attempt."""
        self._connect = connect
        self._log = log.bind(server=spec.name)
        self._clock = clock
        self._sleep = sleep
        self._changed = changed
        self._check_every = None if spec.command else check_every
        self._redact = spec.redactor().text
        self._connection: Connection | None = None
        self._stopping = False
        self._named = sorted(name for name in named if name.startswith(f"{spec.name}__"))
        self._skipped: set[str] = set()
        """Tools and names that were told of."""

    @property
    def connected(self) -> bool:
        """Return whether the server is there. For any thread."""
        return self._connection is not None

    def stop(self) -> None:
        """Start it no more: whoever calls this cancels the task of ``run`` next."""
        self._stopping = True

    async def run(self) -> None:
        """Start the server, and again when it ends, until it is to stop."""
        try:
            restarts = 0
            while True:
                began = self._clock.monotonic()
                try:
                    await self._serve()
                except Exception as error:  # noqa: BLE001 - the SDK's, its libraries' and the server's: all are its end
                    reason = self._told(error)
                if self._stopping:  # a cancel that met the end of the connection may come as that
                    return
                self._connection = None
                self.tried.set()
                restarts = 0 if self._clock.monotonic() - began >= STEADY else restarts
                pause = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2**restarts)
                restarts += 1
                self._log.warning("mcp.lost", reason=reason)
                self._log.info("mcp.restarting", in_seconds=round(pause, 1))
                await self._sleep(pause)
        finally:
            self._connection = None
            self._log.info("mcp.stopped")

    async def _serve(self) -> NoReturn:
        """Connect and follow the server; raises whatever ends that, ConnectionEnded if nothing else does."""
        connection = Connection(sleep=self._sleep, dropped=self._skip)
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self.spec.start_timeout_seconds):
                await stack.enter_async_context(connection.connected(self._connect(self.spec)))
                self._take(await connection.tools())
            self._connection = connection
            self._log.info("mcp.started", tools=len(self.tools), names=sorted(self.tools)[:_MOST_NAMES])
            self._warn_of_misnamed()
            self.tried.set()
            while True:
                if await connection.changed(within=self._check_every) or connection.calls == 0:
                    async with asyncio.timeout(self.spec.start_timeout_seconds):
                        self._take(await connection.tools())

    def _take(self, listed: list[Listed]) -> None:
        names = tool_names(self.spec.name, (one.name for one in listed))
        tools = {names[one.name]: self._tool(one, names[one.name]) for one in listed if self._takes(one)}
        specs = {name: tool.spec for name, tool in tools.items()}
        if specs == {name: tool.spec for name, tool in self.tools.items()}:
            return
        if self.tools:
            self._log.info("mcp.tools_changed", tools=len(tools))
        self.tools = tools
        self._changed()

    def _warn_of_misnamed(self) -> None:
        """Tell of names in presets that no tool of this server has: in `approve` one would leave a door open."""
        for name in self._named:
            if name not in self._skipped and not may_fit(name, self.tools):
                self._skipped.add(name)
                self._log.warning("mcp.no_such_tool", tool=name)

    def _takes(self, listed: Listed) -> bool:
        reason = ""
        if listed.input_schema.get("type") != "object":
            reason = "its arguments are no object"
        elif listed.execution is not None and listed.execution.task_support == "required":
            reason = "it is called as a task of the protocol of 2025-11-25, which is experimental, and gone since"
        if reason:
            self._skip(listed.name, reason)
        return not reason

    def _skip(self, tool: str, reason: str) -> None:
        """Tell of a tool that is left out, once."""
        if tool not in self._skipped:
            self._skipped.add(tool)
            self._log.info("mcp.tool_skipped", tool=tool[:100], reason=self._redact(reason)[:_LONGEST_REASON])

    def _tool(self, listed: Listed, name: str) -> McpTool:
        hints = listed.annotations
        spec = ToolSpec(
            name=name,
            description=(listed.description or listed.title or listed.name)[:LONGEST_DESCRIPTION],
            parameters=listed.input_schema,
            repeatable=hints is not None and bool(hints.read_only_hint or hints.idempotent_hint),
        )
        return McpTool(spec=spec, call=partial(self._call, listed.name))

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> str:  # Any: JSON
        connection, server = self._connection, f"The MCP server {self.spec.name!r}"
        if connection is None:
            raise ToolError(f"{server} is not there at the moment; it is being started again. Nothing was done.")
        try:
            async with asyncio.timeout(self.spec.timeout_seconds):
                result = await connection.call(tool, arguments)
        except TimeoutError as error:
            seconds = f"{self.spec.timeout_seconds:g} seconds"
            msg = f"{server} did not answer within {seconds}. The call was cancelled; what it did is not known."
            raise ToolError(msg) from error
        except ConnectionEnded as error:
            raise ToolError(f"{server} was lost during the call: what the call did is not known.") from error
        except Exception as error:  # as in run(): it is the server's fault, and not the end of the task
            raise ToolError(bounded(f"{server} cannot do this: {self._redact(fault_of(error))}")) from error
        text = self._redact(text_of(result))
        if result.is_error:
            raise ToolError(text)
        return text

    def _told(self, error: Exception) -> str:
        """Return a line that tells why a server is gone."""
        first = next(_leaves(error))
        if isinstance(first, TimeoutError):
            return f"It did not answer within {self.spec.start_timeout_seconds:g} seconds."
        if isinstance(first, ConnectionEnded):
            return self._redact(str(first))
        line = self._redact(" ".join(f"{type(first).__name__}: {first}".split()))[:_LONGEST_REASON]
        if self.spec.url and not self.connected:  # the SDK tells neither a status nor what a server said of it
            return f"{line} (are mcp.{self.spec.name}.url and its headers right?)"
        return line


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield what is in a group of exceptions, however deep, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
