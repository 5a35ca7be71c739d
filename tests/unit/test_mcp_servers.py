"""All MCP servers together: start, stop, health, and the tools that they have."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alex_actors.clock import SystemClock
from alex_actors.cores import Cores
from alex_actors.loop_thread import LoopThread
from alex_actors.mcp import McpError, McpServers, McpServerSpec
from alex_actors.replies import Component
from tests.live.process import until
from tests.unit.actor_fakes import CapturedLog
from tests.unit.mcp_peers import Peer, tool

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

    from alex_actors.mcp.server import Connect

WAIT = 10.0


@contextmanager
def running(*specs: McpServerSpec, connect: Connect | None = None) -> Iterator[McpServers]:
    """Servers on a thread of their own."""
    log = CapturedLog().logger
    thread = LoopThread(name="agents", clock=SystemClock(), log=log)
    try:
        servers = McpServers(
            specs, loop=thread.loop, cores=Cores(one=False), log=log, clock=SystemClock(), connect=connect
        )
        yield servers
        servers.stop(then=thread.stop)
        assert thread.join(timeout=WAIT)
    finally:
        thread.stop()


def peer(name: str) -> McpServerSpec:
    return McpServerSpec(name=name, url=f"http://{name}.test/mcp")


def test_the_tools_of_all_servers_are_there_after_the_start() -> None:
    peers = {"one": Peer([tool("a"), tool("b")]), "two": Peer([tool("a")])}

    with running(peer("one"), peer("two"), connect=lambda spec: peers[spec.name](spec)) as servers:
        servers.start(within=WAIT)

        assert list(servers.tools()) == ["one__a", "one__b", "two__a"]
        assert servers.component() == Component("ok", None, {"servers": 2, "away": 0, "tools": 3})


def test_a_slow_server_does_not_hold_up_the_start_and_health_names_it() -> None:
    peers = {"fast": Peer([tool("a")]), "slow": Peer()}
    peers["slow"].silent = True

    with running(peer("fast"), peer("slow"), connect=lambda spec: peers[spec.name](spec)) as servers:
        began = time.monotonic()
        servers.start(within=0.05)
        assert time.monotonic() - began < 4

        until(lambda: list(servers.tools()) == ["fast__a"], "the tools of the fast one")
        assert servers.component().status == "degraded"
        assert servers.component().detail == "MCP servers that are not there: slow."


def test_a_command_that_does_not_exist_stops_the_start() -> None:
    with (
        pytest.raises(McpError, match="no program 'no-such-program'"),
        running(McpServerSpec(name="one", command="no-such-program")),
    ):
        pass


def test_a_connection_that_breaks_as_it_is_closed_does_not_start_the_server_again() -> None:
    one = Peer()

    @asynccontextmanager
    async def connect() -> AsyncGenerator[TransportStreams, None]:
        async with one._connect() as streams:
            try:
                yield streams
            finally:
                raise BrokenPipeError

    with running(peer("one"), connect=lambda _: connect()) as servers:
        servers.start(within=WAIT)

    assert one.connections == 1


def test_a_stop_without_servers_goes_on_at_once() -> None:
    with running() as servers:
        servers.start(within=WAIT)
        stopped = threading.Event()

        servers.stop(then=stopped.set)

        assert stopped.wait(WAIT)
        assert servers.component() == Component("ok", None, {"servers": 0, "away": 0, "tools": 0})


def test_a_stop_after_the_loop_has_ended_does_no_harm() -> None:
    with running() as servers:
        servers._loop.call_soon_threadsafe(servers._loop.stop)

        servers.stop(then=lambda: None)


def test_without_servers_the_sdk_is_not_imported(tmp_path: Path) -> None:
    program = (
        "import sys, asyncio; from alex_actors.mcp import McpServers; from alex_actors.cores import Cores;"
        "McpServers((), loop=asyncio.new_event_loop(), cores=Cores(one=False), log=None, clock=None);"
        "print([name for name in sys.modules if name.split('.')[0] in ('mcp', 'mcp_types', 'httpx2')])"
    )

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    assert found.stdout == "[]\n"
