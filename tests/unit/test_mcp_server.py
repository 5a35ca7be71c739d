"""One MCP server: its tools, calls that fail, changes, its end and its restart; on servers by hand."""

from __future__ import annotations

import asyncio

import pytest
from mcp.client._memory import InMemoryTransport
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations

from alex_actors.mcp.server import LONGEST_PAUSE, SHORTEST_PAUSE, STEADY
from alex_actors.ports import ToolError
from tests.unit.held_loop import go_on, go_on_until, run_held
from tests.unit.mcp_peers import Peer, Stage, tool, until

SECRET = "s3cr3t-of-the-test"
HEADERS = {"Authorization": f"Bearer {SECRET}"}


def test_tools_have_the_servers_name_before_theirs_and_its_schema_as_it_is() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"place": {"$ref": "#/$defs/place"}},
        "$defs": {"place": {"type": "string"}},
    }
    peer = Peer([tool("look.up", description="Looks.", inputSchema=schema), tool("b", title="Bee")])

    async def specs() -> list[object]:
        async with Stage(peer) as stage:
            return [one.spec for one in stage.server.tools.values()]

    first, second = asyncio.run(specs())
    assert (first.name, first.description, first.parameters) == ("peer__look_up", "Looks.", schema)  # type: ignore[attr-defined] # a ToolSpec
    assert (second.name, second.description) == ("peer__b", "Bee")  # type: ignore[attr-defined] # a ToolSpec


@pytest.mark.parametrize(
    ("hints", "repeatable"),
    [
        ({}, False),
        ({"annotations": {"destructiveHint": False}}, False),
        ({"annotations": {"readOnlyHint": True}}, True),
        ({"annotations": {"idempotentHint": True}}, True),
    ],
)
def test_a_tool_is_repeated_after_an_interruption_only_if_its_server_says_that_it_may_be(
    hints: dict[str, object], repeatable: bool
) -> None:
    async def spec() -> bool:
        async with Stage(Peer([tool("one", **hints)])) as stage:
            return stage.server.tools["peer__one"].spec.repeatable

    assert asyncio.run(spec()) is repeatable


def test_tools_that_cannot_be_called_are_left_out_with_a_line_in_the_log() -> None:
    peer = Peer([tool("odd", execution={"taskSupport": "required"}), tool("fine")])

    async def names() -> tuple[list[str], list[str]]:
        async with Stage(peer) as stage:
            return list(stage.server.tools), [line["tool"] for line in stage.log.named("mcp.tool_skipped")]

    assert asyncio.run(names()) == (["peer__fine"], ["odd"])


BAD = [
    {"name": "text", "inputSchema": {"type": "string"}},
    {"name": "number", "inputSchema": {"type": "object", "properties": 5}},
    {"name": "none"},
    {"inputSchema": {"type": "object"}},
    "no tool",
]


def test_a_tool_that_is_none_is_left_out_and_the_others_are_there() -> None:
    peer = Peer([tool("echo"), *BAD, tool("two")])  # type: ignore[list-item] # that is what is wrong

    async def names() -> tuple[list[str], list[object]]:
        async with Stage(peer) as stage:
            await peer.notify_of_tools()
            await until(lambda: peer.listed == 2)
            assert await stage.call("peer__echo") == "{}"
            return list(stage.server.tools), [line["tool"] for line in stage.log.named("mcp.tool_skipped")]

    there, skipped = asyncio.run(names())
    assert there == ["peer__echo", "peer__two"]
    assert skipped == ["text", "number", "none", "None", "?"]  # each once


def test_all_pages_of_tools_are_asked_for() -> None:
    peer = Peer([tool(f"t{number}") for number in range(7)])
    peer.page = 3

    async def count() -> int:
        async with Stage(peer) as stage:
            return len(stage.server.tools)

    assert asyncio.run(count()) == 7


def test_a_call_is_answered_with_the_servers_text() -> None:
    async def answer() -> str:
        async with Stage(Peer()) as stage:
            return await stage.call("peer__echo", a=1)

    assert asyncio.run(answer()) == "{'a': 1}"


def test_a_result_that_is_an_error_is_the_models_to_deal_with_and_has_no_secret_of_the_server() -> None:
    async def fail() -> None:
        async with Stage(Peer(), headers=HEADERS) as stage:
            await stage.call("peer__fail")

    with pytest.raises(ToolError) as raised:
        asyncio.run(fail())
    assert str(raised.value) == "That key is [redacted]."


def test_an_error_of_the_protocol_is_the_models_to_deal_with_and_has_no_secret_of_the_server() -> None:
    async def call() -> None:
        async with Stage(Peer([tool("unknown")]), headers=HEADERS) as stage:
            await stage.call("peer__unknown")

    with pytest.raises(ToolError) as raised:
        asyncio.run(call())
    assert str(raised.value) == "The MCP server 'peer' cannot do this: no such method, says [redacted]"


def test_a_result_that_is_none_is_told_in_a_line() -> None:
    peer = Peer()
    peer.results["odd"] = {"content": "no list"}

    async def call() -> None:
        async with Stage(peer) as stage:
            await stage.server._call("odd", {})

    with pytest.raises(ToolError, match=r"^The MCP server 'peer' cannot do this: it is not as .* list$") as raised:
        asyncio.run(call())
    assert "\n" not in str(raised.value)


def test_a_cancelled_call_is_cancelled_at_the_server_which_is_called_again() -> None:
    peer = Peer()

    async def cancel() -> str:
        async with Stage(peer) as stage:
            call = asyncio.create_task(stage.call("peer__wait"))
            await until(lambda: peer.waiting)
            call.cancel()
            await asyncio.wait((call,))
            assert call.cancelled()
            await until(lambda: peer.cancelled)
            return await stage.call("peer__echo")

    assert asyncio.run(cancel()) == "{}"
    assert peer.cancelled == peer.waiting
    assert peer.connections == 1


def test_a_call_that_takes_too_long_is_cancelled_at_the_server_and_the_model_told() -> None:
    peer = Peer()

    async def wait() -> None:
        async with Stage(peer, timeout_seconds=20) as stage:
            call = asyncio.create_task(stage.call("peer__wait"))
            await until(lambda: peer.waiting)
            go_on(20)
            with pytest.raises(ToolError, match=r"did not answer within 20 seconds.*what it did is not known"):
                await call
            await until(lambda: peer.cancelled)
            await stage.call("peer__echo")

    run_held(wait())


def test_tools_that_change_are_followed_by_the_protocol_of_2025() -> None:
    peer = Peer([tool("old")])

    async def change() -> list[str]:
        async with Stage(peer) as stage:
            peer.tools = [tool("new")]
            await peer.notify_of_tools()
            await until(lambda: "peer__old" not in stage.server.tools)
            assert stage.changes == 2
            return list(stage.server.tools)

    assert asyncio.run(change()) == ["peer__new"]


def test_tools_that_change_are_followed_by_the_protocol_of_2026() -> None:
    modern = MCPServer("modern")

    @modern.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def grow(context: Context) -> str:
        modern.add_tool(lambda: "new", name="new")
        await context.notify_tools_changed()
        return "grown"

    async def change() -> str:
        async with Stage(lambda _spec: InMemoryTransport(modern)) as stage:
            await stage.call("peer__grow")
            await until(lambda: "peer__new" in stage.server.tools)
            return await stage.call("peer__new")

    assert asyncio.run(change()) == "new"


def test_a_server_that_dies_during_a_call_is_started_again_and_the_model_told_that_nobody_knows() -> None:
    peer = Peer()

    async def die() -> tuple[str, list[str]]:
        async with Stage(peer) as stage:
            call = asyncio.create_task(stage.call("peer__wait"))
            await until(lambda: peer.waiting)
            await peer.die()
            with pytest.raises(ToolError, match="was lost during the call: what the call did is not known"):
                await call
            await until(lambda: not stage.server.connected)
            with pytest.raises(ToolError, match=r"is being started again\. Nothing was done"):
                await stage.call("peer__echo")
            await stage.pauses.end(1)
            await until(lambda: stage.server.connected)
            return await stage.call("peer__echo"), stage.log.events()

    answer, events = asyncio.run(die())
    assert answer == "{}"
    assert peer.connections == 2
    assert events == ["mcp.started", "mcp.lost", "mcp.restarting", "mcp.started"]


def test_a_name_in_a_preset_that_no_tool_of_the_server_has_is_warned_of_once() -> None:
    peer = Peer()
    named = ("peer__echo", "peer__ech*", "peer__echoo", "peer__x*", "other__x", "shell")

    async def come_twice() -> list[object]:
        async with Stage(peer, named=named) as stage:
            await peer.die()
            await until(lambda: not stage.server.connected)
            await stage.pauses.end(1)
            await until(lambda: stage.server.connected)
            return [line["tool"] for line in stage.log.named("mcp.no_such_tool")]

    assert asyncio.run(come_twice()) == ["peer__echoo", "peer__x*"]


def test_a_server_that_ends_while_nobody_calls_is_noticed() -> None:
    peer = Peer()

    async def die() -> str:
        async with Stage(peer) as stage:
            await peer.die()
            await until(lambda: not stage.server.connected)
            return str(stage.log.named("mcp.lost")[0]["reason"])

    assert asyncio.run(die()) == "the connection was closed"


def test_restarts_wait_twice_as_long_each_time_but_not_longer_than_half_a_minute() -> None:
    peer = Peer()
    peer.refusals = 10

    async def start() -> list[float]:
        async with Stage(peer, headers=HEADERS) as stage:
            assert not stage.server.connected
            for number in range(1, 11):
                await stage.pauses.end(number)
            await until(lambda: stage.server.connected)
            assert SECRET not in str(stage.log.lines)
            return stage.pauses.asked

    waits = asyncio.run(start())
    assert waits[:3] == [SHORTEST_PAUSE, 2 * SHORTEST_PAUSE, 4 * SHORTEST_PAUSE]
    assert waits[-1] == LONGEST_PAUSE


def test_a_server_that_was_there_for_a_while_is_restarted_at_once_again() -> None:
    peer = Peer()
    peer.refusals = 2

    async def lose() -> list[float]:
        async with Stage(peer) as stage:
            await stage.pauses.end(1)
            await stage.pauses.end(2)
            await until(lambda: stage.server.connected)
            stage.clock.seconds += STEADY
            await peer.die()
            await until(lambda: not stage.server.connected)
            return stage.pauses.asked

    assert asyncio.run(lose())[-1] == SHORTEST_PAUSE


def test_a_server_that_does_not_answer_its_start_counts_as_lost() -> None:
    peer = Peer()
    peer.silent = True

    async def start() -> str:
        async with Stage(peer, start_timeout_seconds=0.05) as stage:
            assert stage.server.tools == {}
            return str(stage.log.named("mcp.lost")[0]["reason"])

    assert asyncio.run(start()) == "It did not answer within 0.05 seconds."


def test_an_idle_http_server_is_asked_now_and_then_whether_it_is_there() -> None:
    peer = Peer()

    async def fall_silent() -> None:
        async with Stage(peer, check_every=1, start_timeout_seconds=1000) as stage:
            await go_on_until(lambda: peer.listed >= 3)
            peer.silent = True
            await go_on_until(lambda: not stage.server.connected)

    run_held(fall_silent())


def test_a_server_at_work_on_a_call_is_not_asked_whether_it_is_there() -> None:
    peer = Peer()

    async def work() -> tuple[int, int]:
        async with Stage(peer, check_every=1, timeout_seconds=1000) as stage:
            call = asyncio.create_task(stage.call("peer__wait"))
            await until(lambda: peer.waiting)
            before = peer.listed
            await go_on_until(call.done)
            with pytest.raises(ToolError):
                await call
            return before, peer.listed

    before, after = run_held(work())
    assert after - before <= 1  # the look that was on its way


@pytest.mark.parametrize("state", ["there", "starting", "away"])
def test_a_stop_in_whatever_state_ends_the_connection(state: str) -> None:
    peer = Peer()
    peer.silent = state == "starting"
    peer.refusals = int(state == "away")

    async def stop() -> str:
        stage = Stage(peer)
        run = asyncio.create_task(stage.server.run())
        await until(lambda: stage.server.tried.is_set() or (peer.silent and peer.connections))
        stage.server.stop()
        run.cancel()
        await asyncio.wait((run,))
        assert not stage.server.connected
        return str(stage.log.events()[-1])

    assert asyncio.run(stop()) == "mcp.stopped"
