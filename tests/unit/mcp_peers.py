"""An MCP server by hand, for tests: it answers, keeps silent, fails and goes away when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from alex_actors.mcp import McpServerSpec
from alex_actors.mcp.server import McpServer
from alex_actors.ports import ToolContext
from alex_actors.values import TaskId
from tests.unit.actor_fakes import CapturedLog, OwnedClock

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

TURNS = 20_000
"""Of the loop, within which anything happens that is not waited for in time."""

CONTEXT = ToolContext(TaskId("task-1"), Path("/nowhere"))

Json = dict[str, Any]  # Any: JSON


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until ``condition`` is true."""
    for _ in range(TURNS):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


def tool(name: str, **more: Any) -> Json:  # Any: JSON of the protocol
    """Return a tool as a server lists it."""
    return {"name": name, "inputSchema": {"type": "object", "properties": {}}} | more


class Peer:
    """The far side of one connection after another; by the protocol of 2025-11-25."""

    def __init__(self, tools: Sequence[Json] = (tool("echo"), tool("wait"), tool("fail"))) -> None:
        self.tools = list(tools)
        self.page: int | None = None
        """Tools on a page; None: all."""
        self.refusals = 0
        """Connections that are refused before one is made."""
        self.silent = False
        """Whether it answers nothing at all."""
        self.results: dict[str, Json] = {}
        """Of calls, by the tool's name: what it answers in place of its own."""
        self.connections = 0
        self.listed = 0
        self.waiting: list[str | int] = []
        """Calls of ``wait``: they are never answered."""
        self.cancelled: list[str | int] = []
        self._write: Any = None  # Any: the SDK's stream type is private

    def __call__(self, spec: McpServerSpec) -> AbstractAsyncContextManager[TransportStreams]:
        """Connect to it, as McpServer does."""
        return self._connect()

    async def die(self) -> None:
        """End the connection, as a process does that is killed."""
        await self._write.aclose()

    async def notify_of_tools(self) -> None:
        """Tell that the tools are others."""
        notification = JSONRPCNotification(jsonrpc="2.0", method="notifications/tools/list_changed")
        await self._write.send(SessionMessage(notification))

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[TransportStreams, None]:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError("refused, with the key s3cr3t-of-the-test")
        self.connections += 1
        async with (
            create_client_server_memory_streams() as (client, (read, self._write)),
            anyio.create_task_group() as group,
        ):
            group.start_soon(self._answer, read)
            yield client
            group.cancel_scope.cancel()

    async def _answer(self, read: Any) -> None:  # Any: as above
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # it died
            async for received in read:
                message = received.message
                if isinstance(message, JSONRPCRequest) and not self.silent:
                    answer = self._answer_to(message, message.params or {})
                    if answer is not None:
                        await self._write.send(SessionMessage(answer))
                elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
                    self.cancelled.append((message.params or {})["requestId"])

    def _answer_to(
        self, request: JSONRPCRequest, params: Mapping[str, Any]
    ) -> JSONRPCResponse | JSONRPCError | None:
        match request.method, params.get("name"):
            case "initialize", _:
                result: Json = {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {"listChanged": True}},
                    "serverInfo": {"name": "peer", "version": "1"},
                }
            case "tools/list", _:
                self.listed += 1
                begin = int(params.get("cursor", 0))
                end = begin + (self.page or len(self.tools))
                more = {"nextCursor": str(end)} if end < len(self.tools) else {}
                result = {"tools": self.tools[begin:end]} | more
            case "tools/call", str(name) if name in self.results:
                result = self.results[name]
            case "tools/call", "wait":
                self.waiting.append(request.id)
                return None
            case "tools/call", "fail":
                result = {
                    "content": [{"type": "text", "text": "That key is s3cr3t-of-the-test."}],
                    "isError": True,
                }
            case "tools/call", "echo":
                result = {"content": [{"type": "text", "text": str(params["arguments"])}]}
            case _:
                error = ErrorData(code=-32601, message="no such method, says s3cr3t-of-the-test")
                return JSONRPCError(jsonrpc="2.0", id=request.id, error=error)
        return JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result)


class Pauses:
    """Sleeps that end when the test says so; the clock goes on with them."""

    def __init__(self, clock: OwnedClock) -> None:
        self._clock = clock
        self._over = asyncio.Event()
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Sleep."""
        self.asked.append(seconds)
        self._over.clear()
        await self._over.wait()
        self._clock.seconds += seconds

    async def end(self, number: int) -> None:
        """End the sleep that is the ``number``-th, as soon as it has begun."""
        await until(lambda: len(self.asked) == number)
        self._over.set()


class Stage:
    """A McpServer, what it is given, and the task that it runs in."""

    def __init__(self, peer: Any, **more: Any) -> None:  # Any: Peer or another; fields of the spec
        check_every, named = more.pop("check_every", 30.0), more.pop("named", ())
        self.log = CapturedLog()
        self.clock = OwnedClock()
        self.pauses = Pauses(self.clock)
        self.changes = 0
        spec = McpServerSpec(**({"name": "peer", "url": "http://peer.test/mcp"} | more))
        self.server = McpServer(
            spec, connect=peer, log=self.log.logger, clock=self.clock, sleep=self.pauses, changed=self._changed,
            check_every=check_every, named=named,
        )  # fmt: skip
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Stage:
        self._running = asyncio.create_task(self.server.run())
        await self.server.tried.wait()
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._running is not None
        self.server.stop()
        self._running.cancel()
        await asyncio.wait((self._running,))

    async def call(self, name: str, **arguments: Any) -> str:  # Any: JSON
        """Call a tool by the name that models know."""
        return await self.server.tools[name](arguments, CONTEXT)

    def _changed(self) -> None:
        self.changes += 1
