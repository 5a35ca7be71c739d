"""MCP servers as processes, made wrong: what comes of it is in the log, and not the end of anything else."""

from __future__ import annotations

import asyncio
import sys
import time

from alex_actors.clock import SystemClock
from alex_actors.cores import Cores
from alex_actors.mcp.transports import Transports
from tests.unit.actor_fakes import CapturedLog
from tests.unit.mcp_peers import Stage

WAIT = 20.0

PEER = """
import json, sys
print("Welcome! This is no message.", flush=True)
print("ready with key s3cr3t-of-the-test", file=sys.stderr, flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    results = {
        "initialize": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "one", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": "done"}]},
    }
    answer = {"jsonrpc": "2.0", "id": asked.get("id")}
    if asked["method"] in results:
        print(json.dumps(answer | {"result": results[asked["method"]]}), flush=True)
    elif "id" in asked:
        print(json.dumps(answer | {"error": {"code": -32601, "message": "no"}}), flush=True)
"""


def _stage(program: str, log: CapturedLog, **more: object) -> Stage:
    connect = Transports(cores=Cores(one=False), log=log.logger, clock=SystemClock())
    return Stage(connect, url="", command=sys.executable, args=("-c", program), **more)


async def _soon(log: CapturedLog, event: str) -> None:
    deadline = time.monotonic() + WAIT
    while not log.named(event) and time.monotonic() < deadline:
        await asyncio.sleep(0)


def test_a_server_that_prints_what_is_no_message_is_used_all_the_same() -> None:
    log = CapturedLog()

    async def use() -> str:
        async with _stage(PEER, log, env={"API_KEY": "s3cr3t-of-the-test"}) as stage:
            answer = await stage.call("peer__one")
            await _soon(log, "mcp.stderr")
            return answer

    assert asyncio.run(use()) == "done"
    assert [line["line"] for line in log.named("mcp.stderr")] == ["ready with key [redacted]"]


def test_a_server_that_ends_at_once_is_lost_and_what_it_said_is_in_the_log() -> None:
    log = CapturedLog()

    async def fail() -> str:
        async with _stage("import sys; sys.exit('the database is not there')", log) as stage:
            await _soon(log, "mcp.stderr")
            return str(stage.log.named("mcp.lost")[0]["reason"])

    assert "onnection closed" in asyncio.run(fail())
    assert [line["line"] for line in log.named("mcp.stderr")] == ["the database is not there"]
