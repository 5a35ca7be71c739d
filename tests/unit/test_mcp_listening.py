"""How changes of tools are heard of by the protocol of 2026: on a stream that may be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from mcp.client.client import Client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_REQUEST, ServerCapabilities, ToolsCapability

from alex_actors.mcp.connection import Connection
from tests.unit.actor_fakes import OwnedClock
from tests.unit.mcp_peers import Pauses, until


class Streams:
    """A client whose streams of changes are cut as soon as they are open; or that may open none."""

    server_capabilities = ServerCapabilities(tools=ToolsCapability(list_changed=True))
    protocol_version = "2026-07-28"

    def __init__(self, *, refused: bool = False) -> None:
        self._refused = refused
        self.opened = 0

    @asynccontextmanager
    async def listen(self, *, tools_list_changed: bool) -> AsyncGenerator[AsyncIterator[None], None]:
        if self._refused:
            raise MCPError(INVALID_REQUEST, "not here")
        self.opened += 1
        yield self._cut()

    async def _cut(self) -> AsyncIterator[None]:
        if self.opened:
            raise SubscriptionLost("cut")
        yield


def _listen(connection: Connection, streams: Streams) -> asyncio.Task[Any]:  # Any: nothing is returned
    return asyncio.create_task(connection._listen(cast("Client", streams)))  # a client in all that is asked of it


def test_a_stream_that_is_cut_is_opened_again_and_what_was_missed_is_asked_for() -> None:
    streams = Streams()

    async def cut() -> bool:
        pauses = Pauses(OwnedClock())
        connection = Connection(sleep=pauses, dropped=lambda *_: None)
        listening = _listen(connection, streams)
        await pauses.end(1)
        await until(lambda: streams.opened == 2)
        listening.cancel()
        return await connection.changed(within=None)

    assert asyncio.run(cut()) is True


def test_a_server_that_lets_nobody_listen_is_asked_once() -> None:
    async def refuse() -> bool:
        connection = Connection(sleep=Pauses(OwnedClock()), dropped=lambda *_: None)
        await _listen(connection, Streams(refused=True))
        return await connection.changed(within=0.001)

    assert asyncio.run(refuse()) is False
