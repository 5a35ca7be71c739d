"""MCP servers as processes, made wrong: what comes of it is in the log, and not the end of anything else."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from alex_actors.clock import SystemClock
from alex_actors.cores import Cores
from alex_actors.mcp.guard import LONGEST_MESSAGE
from alex_actors.mcp.transports import Transports
from alex_actors.ports import ToolError
from tests.unit.actor_fakes import CapturedLog
from tests.unit.mcp_peers import Stage, tool

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


SAYS = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    method, number = asked["method"], asked.get("id")
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "one", "inputSchema": {"type": "object"}}]}
    else:
        if method == "tools/call":
            said = asked["params"]["arguments"]
            print(said["line"].replace("ID", str(number)) * said.get("times", 1), flush=True)
        elif number is not None:
            error = {"code": -32601, "message": "no"}
            print(json.dumps({"jsonrpc": "2.0", "id": number, "error": error}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
"""


def _stage(program: str, log: CapturedLog, **more: object) -> Stage:
    connect = Transports(cores=Cores(one=False), log=log.logger, clock=SystemClock())
    return Stage(connect, url="", command=sys.executable, args=("-c", program), **more)


async def _soon(log: CapturedLog, event: str, *, times: int = 1) -> None:
    deadline = time.monotonic() + WAIT
    while len(log.named(event)) < times and time.monotonic() < deadline:
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


@pytest.mark.parametrize(
    "line",
    [
        '{"jsonrpc":"2.0","id":ID,"result":null}',
        '{"jsonrpc":"2.0","id":ID,"error":{"code":"x","message":"m"}}',
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"\\ud800"}]}}',
        '{"result":{"a":' + 300 * "[" + 300 * "]" + '},"jsonrpc":"2.0","id":ID}',
        '{"jsonrpc": "2.0", "id": ID, "result": {"a":' + 300 * "[" + 300 * "]" + "}}",
    ],
)
def test_a_reply_that_cannot_be_read_fails_its_call_at_once(line: str) -> None:
    async def call() -> None:
        async with _stage(SAYS, CapturedLog()) as stage:
            await stage.call("peer__one", line=line)

    with pytest.raises(ToolError, match=r"^The MCP server 'peer' cannot do this: it is not as the protocol has"):
        asyncio.run(asyncio.wait_for(call(), WAIT))


def test_a_message_that_is_too_long_ends_its_server_which_is_started_again() -> None:
    log = CapturedLog()

    async def call() -> str:
        async with _stage(SAYS, log) as stage:
            with pytest.raises(ToolError, match="was lost during the call"):
                await stage.call("peer__one", line="x" * 1024, times=LONGEST_MESSAGE // 1024 + 1)
            await stage.pauses.end(1)
            await _soon(stage.log, "mcp.started", times=2)
            return str(log.named("mcp.stderr")[0]["line"])  # before what the server says of its broken pipe

    assert asyncio.run(call()) == "A message of more than 16 MiB: the server is ended."


class HttpPeer(BaseHTTPRequestHandler):
    """A server by hand, whose calls are answered with one body as often as it has to be sent."""

    protocol_version = "HTTP/1.0"
    more_headers: ClassVar[dict[str, str]] = {}
    piece: ClassVar[bytes] = b" " * 65536

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        results = {
            "initialize": {
                "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"},
            },
            "tools/list": {"tools": [tool("one")]},
        }  # fmt: skip
        called = asked["method"] == "tools/call"
        self.send_response(200 if called or asked["method"] in results else 404)
        self.send_header("Content-Type", "application/json")
        for name, value in (self.more_headers if called else {}).items():
            self.send_header(name, value)
        self.end_headers()
        answer = {"jsonrpc": "2.0", "id": asked.get("id"), "result": results.get(asked["method"], {})}
        with suppress(OSError):  # it is hung up
            while called:
                self.wfile.write(self.piece)
            self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class CompressingPeer(HttpPeer):
    more_headers: ClassVar[dict[str, str]] = {"Content-Encoding": "gzip"}
    piece: ClassVar[bytes] = gzip.compress(b" " * 65536)


@pytest.mark.parametrize(
    ("peer", "reason"),
    [(HttpPeer, "the answer has more than 16 MiB"), (CompressingPeer, "the answer is compressed")],
)
def test_an_endless_answer_over_http_fails_its_call_and_nothing_else(peer: type[HttpPeer], reason: str) -> None:
    async def call(port: int) -> bool:
        connect = Transports(cores=Cores(one=False), log=CapturedLog().logger, clock=SystemClock())
        async with Stage(connect, url=f"http://127.0.0.1:{port}/mcp") as stage:
            with pytest.raises(ToolError, match=reason):
                await stage.call("peer__one")
            return stage.server.connected

    with ThreadingHTTPServer(("127.0.0.1", 0), peer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        assert asyncio.run(asyncio.wait_for(call(server.server_port), WAIT))
        server.shutdown()
