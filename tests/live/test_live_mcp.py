"""MCP servers of others, and one that crashes, used by tasks; and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.model_server import ModelServer, answers, calls, settings_of
from tests.live.process import SOON, Json, ServerProcess, kept_port, run_alex, until
from tests.peers.node import NODE_MODULES, MissingPeer, node_for, skip_without

PACKAGE = "@modelcontextprotocol/server-everything"
FRAIL = Path(__file__).with_name("frail_mcp_server.py")
SECRET = "s3cr3t-of-the-test"
PRESET = '[presets.tools.served]\ntools = ["everything__*", "remote__*", "frail__*"]\n'
FRAIL_TABLE = (
    f"[mcp.frail]\ncommand = {sys.executable!r}\nargs = {[str(FRAIL), '--stubborn']!r}\n"
    f"env = {{ FRAIL_API_KEY = {SECRET!r} }}\n"
)
"""Of the server that crashes, and minds nothing when it is to end."""


@pytest.fixture(scope="session")
def everything() -> tuple[str, str]:
    """The command line of the reference server, less its transport."""
    try:
        return node_for(PACKAGE), str(NODE_MODULES / PACKAGE / "dist" / "index.js")
    except MissingPeer as missing:
        skip_without(missing)


def configure(directory: Path, *tables: str) -> None:
    (directory / "alex.toml").write_text("\n".join((PRESET, *tables)))


def health(client: Client) -> Json:
    """Return how the MCP servers are."""
    components: Json = client.http.get("/health").json()["components"]
    found: Json = components["mcp"]
    return found


def there(client: Client) -> None:
    until(lambda: health(client)["status"] == "ok", "the MCP server is there")


def results(client: Client, task_id: str) -> list[str]:
    """Return what came of a task's tool calls."""
    return [
        event["result"] or event["error"]
        for event in client.events(task_id)
        if event["event_type"] == "tool_call_complete"
    ]


def frail_pids(server: ServerProcess) -> list[int]:
    """Return the processes that the server that crashes has been, as it told of them."""
    lines = [line["line"].split() for line in server.log("mcp.stderr") if line["server"] == "frail"]
    return [int(words[1]) for words in lines if words[0] == "pid"]


def facts(server: ServerProcess) -> list[str]:
    """Return what has become of the server that crashes."""
    lines = (line for line in server.log() if line.get("server") == "frail")
    return [line["event"] for line in lines if line["event"].startswith("mcp.") and "line" not in line]


def started(server: ServerProcess, times: int = 1) -> int:
    """Wait until the server that crashes was started so often, and return its process."""
    until(lambda: facts(server).count("mcp.started") >= times, "the MCP server is started")
    return frail_pids(server)[-1]


def gone(process: int) -> bool:
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def use(model_server: ModelServer, said: str, *wanted: tuple[str, Json]) -> None:
    """Have the model call tools when it is asked, and answer when it has their results."""
    model_server.script(
        answers(said, {"content": "Done."}, when={"hasToolResult": True}), answers(said, calls(*wanted))
    )


class OverHttp:
    """The reference server over HTTP, on one port whenever it is there."""

    def __init__(self, command: tuple[str, str], *, port: int) -> None:
        self._command = command
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, "streamableHttp"],
            env=os.environ | {"PORT": str(self.port)},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        assert "listening" in self._process.stderr.readline()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=SOON)


@pytest.fixture(scope="module")
def over_http(everything: tuple[str, str]) -> Iterator[OverHttp]:
    with kept_port() as port:
        peer = OverHttp(everything, port=port)
        try:
            peer.start()
            yield peer
        finally:
            peer.kill()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    model_server: ModelServer,
    everything: tuple[str, str],
    over_http: OverHttp,
) -> Iterator[ServerProcess]:
    """A server of ours with three MCP servers; nothing is left of them at the end, and no secret."""
    directory = tmp_path_factory.mktemp("served")
    node, script = everything
    configure(
        directory,
        FRAIL_TABLE,
        f"[mcp.everything]\ncommand = {node!r}\nargs = [{script!r}, 'stdio']",
        f"[mcp.remote]\nurl = 'http://127.0.0.1:{over_http.port}/mcp'",
    )
    use(model_server, "Count the cores", ("frail__cores", {}))
    server = ServerProcess(directory, settings=settings_of(model_server), forked=True)
    try:
        server.wait_until_listening()
        started(server)
        yield server
        assert server.stop() == 0
        until(lambda: all(map(gone, frail_pids(server))), "nothing of the MCP server is left")
        assert SECRET not in (server.data_dir / "logs" / "alex.jsonl").read_text()
        assert server.troubles() == []
    finally:
        server.kill()


def test_tools_of_the_reference_server_are_used_over_stdio(
    served: ServerProcess, model_server: ModelServer
) -> None:
    use(
        model_server,
        "Try the server on stdio",
        ("everything__echo", {"message": "hello"}),
        ("everything__get-sum", {"a": 2, "b": 3}),
        ("everything__get-tiny-image", {}),
        ("everything__get-structured-content", {"location": "Chicago"}),
        ("everything__get-sum", {"a": "two", "b": 3}),
    )

    with Client(served.url) as client:
        there(client)
        task = client.answered("Try the server on stdio.", tool_preset="served")
        assert len(results(client, task["task_id"])) == 5

    asked, told = model_server.asked("Try the server on stdio")
    echo, total, image, weather, wrong = (message["content"] for message in told.messages[-5:])
    assert (echo, total) == ("Echo: hello", "The sum of 2 and 3 is 5.")
    assert "[image: image/png, 4,033 bytes]" in image
    assert weather.count("temperature") == 1
    assert "Input validation error" in wrong
    names = {tool["function"]["name"] for tool in asked.body["tools"]}
    assert {"everything__echo", "everything__get-sum"} <= names
    assert not {"file_read", "calculator", "shell"} & names


def test_tools_of_the_reference_server_are_used_over_http_and_again_after_its_restart(
    served: ServerProcess, model_server: ModelServer, over_http: OverHttp
) -> None:
    use(model_server, "Try the server over HTTP", ("remote__echo", {"message": "over HTTP"}))

    with Client(served.url) as client:
        there(client)
        before = client.answered("Try the server over HTTP.", tool_preset="served")
        over_http.kill()
        away = client.answered("Try the server over HTTP.", tool_preset="served")
        until(lambda: "remote" in (health(client)["detail"] or ""), "its end is noticed")
        over_http.start()
        there(client)
        after = client.answered("Try the server over HTTP.", tool_preset="served")
        (lost,) = results(client, away["task_id"])
        answered = results(client, before["task_id"]) + results(client, after["task_id"])

    assert answered == ["Echo: over HTTP"] * 2
    assert lost.startswith("The MCP server 'remote' ")


def test_a_server_that_crashes_in_the_middle_of_a_call_comes_back(
    served: ServerProcess, model_server: ModelServer
) -> None:
    use(model_server, "Crash the server", ("frail__crash", {}))
    before = len(frail_pids(served))

    with Client(served.url) as client:
        crashed = client.answered("Crash the server.", tool_preset="served")
        started(served, times=before + 1)
        counted = client.answered("Count the cores.", tool_preset="served")
        told = results(client, crashed["task_id"]) + results(client, counted["task_id"])

    assert told == [
        "The MCP server 'frail' was lost during the call: what the call did is not known.",
        str(len(os.sched_getaffinity(0))),
    ]
    assert facts(served)[-3:] == ["mcp.lost", "mcp.restarting", "mcp.started"]


def test_a_task_that_is_cancelled_cancels_its_call_and_the_server_goes_on(
    served: ServerProcess, model_server: ModelServer
) -> None:
    use(model_server, "Wait for ever", ("frail__wait", {}))
    before = frail_pids(served)

    def said(word: str) -> bool:
        return word in [line["line"] for line in served.log("mcp.stderr")]

    with Client(served.url) as client:
        task = client.submit("Wait for ever.", tool_preset="served")
        until(lambda: said("waiting"), "the call is at work")
        client.cancel(task["task_id"])
        until(lambda: said("cancelled"), "the call is cancelled")
        assert client.ended(task["task_id"])["status"] == "cancelled"
        client.answered("Count the cores.", tool_preset="served")

    assert frail_pids(served) == before


def test_neither_a_kill_nor_a_stop_leaves_a_server_and_a_call_cut_by_the_kill_is_not_made_again(
    start: Start, tmp_path: Path, model_server: ModelServer
) -> None:
    configure(tmp_path, FRAIL_TABLE)
    use(model_server, "Wait until the end", ("frail__wait", {}))
    killed = start(settings=settings_of(model_server))
    first = started(killed)
    guards = [psutil.Process(first).ppid()]
    with Client(killed.url) as client:
        task_id = client.submit("Wait until the end.", tool_preset="served")["task_id"]
        until(lambda: "waiting" in [line["line"] for line in killed.log("mcp.stderr")], "the call is at work")

    killed.send(signal.SIGKILL)
    killed.wait()
    until(lambda: gone(first) and gone(guards[0]), "nothing is left after the kill")
    server = start(settings=settings_of(model_server))
    second = started(server, times=2)
    guards.append(psutil.Process(second).ppid())
    with Client(server.url) as client:
        ended = client.ended(task_id)
        (told,) = results(client, task_id)
    assert server.stop() == 0
    until(lambda: gone(second) and gone(guards[1]), "nothing is left after the stop")

    assert ended["status"] == "completed"
    assert "Whether it had its effect is not known, and it was not run" in told
    assert [line["line"] for line in server.log("mcp.stderr")].count("waiting") == 1
    assert server.troubles() == []


def test_a_command_that_does_not_exist_stops_the_start(tmp_path: Path) -> None:
    configure(tmp_path, "[mcp.absent]\ncommand = 'no-such-program'")

    ended = run_alex("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), directory=tmp_path)

    assert ended.returncode not in (0, 1)
    assert "The MCP server 'absent' cannot be started: there is no program 'no-such-program'." in ended.stderr
    assert "Traceback" not in ended.stderr
