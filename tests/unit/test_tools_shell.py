"""The shell tool, with real processes: what it returns, and that nothing of it survives."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import psutil
import pytest

from alex_actors.ports import Tool, ToolContext, ToolError
from alex_actors.tools import Sandbox, ShellCommands
from alex_actors.tools.shell import MAX_OUTPUT, shell_tool
from alex_actors.values import TaskId
from tests.unit.held_loop import go_on, run_held
from tests.unit.tool_limits import QUOTA, limits, sandbox_of_this_machine

LONG = f"sleep 600.{os.getpid()}"
"""A command that does not end by itself, and is no other process of the machine."""
PATH = "/usr/local/bin:/usr/bin:/bin"


class Shell:
    """The tool, with a sandbox or without."""

    def __init__(self, sandbox: Sandbox | None) -> None:
        self.sandbox = sandbox

    def tool(self, timeout: float = 30, *, commands: ShellCommands | None = None) -> Tool:
        return shell_tool(
            limits=limits(seconds=timeout),
            quota=QUOTA,
            path=PATH,
            sandbox=self.sandbox,
            commands=commands or ShellCommands(),
        )

    def run(self, root: Path, command: str, timeout: float = 30) -> str:
        return asyncio.run(self.tool(timeout)({"command": command}, context(root)))


@pytest.fixture(params=["without a sandbox", "bubblewrap"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    if request.param == "bubblewrap":
        return Shell(sandbox_of_this_machine(tmp_path_factory.getbasetemp()))
    return Shell(None)


def context(root: Path) -> ToolContext:
    return ToolContext(TaskId("task-1"), root)


def survivors(root: Path) -> list[str]:
    """Return the commands of the processes, zombies included, that sleep, work in a directory or are our children.

    Those that are killed have a moment to die: the kernel takes its time. Less those that run for as long as all
    tests do: servers that live tests share, and what multiprocessing has.
    """
    children = psutil.Process().children(recursive=True)
    lasting = re.compile("alex_runtime|resource_tracker|model_server")
    ours = [one for one in children if not lasting.search(" ".join(one.cmdline()))]
    at_work = [
        one
        for one in psutil.process_iter(["cwd", "cmdline"])
        if one.info["cwd"] == str(root) or one.info["cmdline"] == LONG.split()
    ]
    _, alive = psutil.wait_procs(ours + at_work, timeout=5)
    return [one.name() for one in alive]


def test_a_command_runs_in_the_workspace_which_is_made_for_it(shell: Shell, tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"

    text = shell.run(root, "pwd; echo hi > x.txt; ls")

    assert text == f"{root if shell.sandbox is None else '/workspace'}\nx.txt\n"
    assert (root / "x.txt").read_text() == "hi\n"


def test_standard_error_is_part_of_the_output_and_a_failure_is_told(shell: Shell, tmp_path: Path) -> None:
    assert shell.run(tmp_path, "echo out; echo err >&2; exit 3") == "out\nerr\nexit code 3"
    assert shell.run(tmp_path, "exit 4") == "exit code 4"
    assert shell.run(tmp_path, "true") == "(no output)"
    assert shell.run(tmp_path, "printf x; kill -9 $$") == "x\nexit code 137: killed by signal 9 (Killed)"


def test_the_environment_is_clean(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEX_SECRET", "secret")

    names = {line.partition("=")[0] for line in shell.run(tmp_path, "env").splitlines()}

    assert (
        {"PATH", "HOME", "LANG", "TERM"}
        <= names
        <= {"PATH", "HOME", "LANG", "TERM", "PWD", "SHLVL", "_", "OLDPWD"}
    )


def test_there_is_no_input_to_wait_for(shell: Shell, tmp_path: Path) -> None:
    assert shell.run(tmp_path, "cat; echo end") == "end\n"


def test_long_output_is_cut_and_read_to_its_end(shell: Shell, tmp_path: Path) -> None:
    text, _, note = shell.run(tmp_path, "head -c 300000 /dev/zero | tr '\\0' x; echo end >&2").rpartition("\n")

    assert text == "x" * MAX_OUTPUT
    assert note == "[only the first 65,536 of 300,004 bytes are shown]"


def test_output_that_is_no_utf8_is_shown_with_replacement_characters(shell: Shell, tmp_path: Path) -> None:
    assert shell.run(tmp_path, "printf 'a\\377b'") == "a\ufffdb"


def test_a_background_process_does_not_survive_its_command_nor_delay_it(shell: Shell, tmp_path: Path) -> None:
    result = shell.run(tmp_path, f"{LONG} & echo started")

    assert result == "started\n"
    assert survivors(tmp_path) == []


def test_a_command_is_killed_with_its_children_when_its_time_is_over(shell: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "started")

    async def scenario() -> str:
        command = f"echo begun; {LONG} & echo x > started; {LONG}"
        running = asyncio.ensure_future(shell.tool(20)({"command": command}, context(tmp_path)))
        await asyncio.to_thread((tmp_path / "started").read_text)
        go_on(20)
        with pytest.raises(ToolError) as raised:
            await running
        return str(raised.value)

    said = run_held(scenario())

    assert said == "The command was killed after 20 seconds. Its output until then:\nbegun\n"
    assert survivors(tmp_path) == []


def test_a_cancel_kills_the_command_with_its_children(shell: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "started")

    async def scenario() -> list[str]:
        command = f"{LONG} & echo x > started; {LONG}"
        running = asyncio.ensure_future(shell.tool()({"command": command}, context(tmp_path)))
        await asyncio.to_thread((tmp_path / "started").read_text)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return survivors(tmp_path)

    assert asyncio.run(scenario()) == []


def test_all_commands_at_work_can_be_killed_at_once_from_another_thread(shell: Shell, tmp_path: Path) -> None:
    commands = ShellCommands()
    fifos = [tmp_path / "a", tmp_path / "b"]
    for fifo in fifos:
        os.mkfifo(fifo)

    async def scenario() -> list[str]:
        tool = shell.tool(commands=commands)
        running = [
            asyncio.ensure_future(tool({"command": f"{LONG} & echo x > {fifo.name}; {LONG}"}, context(tmp_path)))
            for fifo in fifos
        ]
        for fifo in fifos:
            await asyncio.to_thread(fifo.read_text)
        await asyncio.to_thread(commands.kill_all)
        return await asyncio.gather(*running)

    results = asyncio.run(scenario())

    assert results == ["exit code 137: killed by signal 9 (Killed)"] * 2
    assert survivors(tmp_path) == []


def test_a_command_that_begins_after_all_were_killed_is_killed_too(shell: Shell, tmp_path: Path) -> None:
    commands = ShellCommands()
    commands.kill_all()

    result = asyncio.run(shell.tool(commands=commands)({"command": LONG}, context(tmp_path)))

    assert result == "exit code 137: killed by signal 9 (Killed)"
    assert survivors(tmp_path) == []


def test_a_command_that_has_ended_is_forgotten(shell: Shell, tmp_path: Path) -> None:
    commands = ShellCommands()

    asyncio.run(shell.tool(commands=commands)({"command": "true"}, context(tmp_path)))

    assert commands._leashes == set()  # its number may be another's by now


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("turns", range(12))
def test_a_cancel_at_any_moment_of_the_start_leaves_nothing(
    shell: Shell, tmp_path: Path, turns: int, again: bool
) -> None:
    async def scenario() -> None:
        running = asyncio.ensure_future(shell.tool()({"command": f"{LONG} & {LONG}"}, context(tmp_path)))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        if again:
            await asyncio.sleep(0)
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())

    assert survivors(tmp_path) == []


def test_no_file_descriptor_is_left_open(shell: Shell, tmp_path: Path) -> None:
    async def scenario() -> tuple[int, int]:
        tool = shell.tool()
        await tool({"command": "true"}, context(tmp_path))
        before = psutil.Process().num_fds()
        for _ in range(5):
            await tool({"command": "true"}, context(tmp_path))
        await asyncio.sleep(0)
        return before, psutil.Process().num_fds()

    before, after = asyncio.run(scenario())

    assert after <= before


def test_a_command_that_cannot_be_one_is_refused(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="NUL"):
        shell.run(tmp_path, "a\0b")
    with pytest.raises(ToolError, match="could not be started"):
        shell.run(tmp_path, "echo \ud800")
