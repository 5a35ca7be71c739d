"""The ``shell`` tool: a command in the workspace, in a process group that does not outlive it.

This is no sandbox: a command can do what the server's user can, and one that starts a session of its own
(``setsid``) leaves the group. That is why the default tool preset does not offer it.

After a ``kill -9`` of the server, or a crash of the whole process, a command that is at work may run on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from alex_actors.cores import Cores
from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools.excerpts import MAX_TEXT, head
from alex_actors.tools.tool import FunctionTool, in_thread, parameters, to_its_end
from alex_actors.tools.workspace import Workspace

MAX_OUTPUT = MAX_TEXT
"""Bytes of output that are kept; the rest is read and counted, so that the command never blocks on it."""

_LAST_OUTPUT_SECONDS = 1.0
"""To wait for output that is still in the pipe when the command has ended.

All of it is there at once, unless a process that left the group holds the pipe open.
"""


class ShellCommands:
    """The commands that are at work, so that a server that stops at once does not leave them behind.

    Without a lock: its set is changed, and copied, in one step each.
    """

    def __init__(self, *, cores: Cores | None = None) -> None:
        """``cores`` says on which of them they run, if the process itself keeps to one."""
        self.cores = cores or Cores(one=False)
        self._groups: set[int] = set()
        self._closed = False

    def kill_all(self) -> None:
        """Kill them all, and from now on each one that begins. From any thread, and from a signal handler."""
        self._closed = True
        for group in self._groups.copy():
            kill_group(group)

    @contextmanager
    def noted(self, group: int) -> Iterator[None]:
        """Have a process group killed by ``kill_all`` meanwhile."""
        self._groups.add(group)
        try:
            if self._closed:  # looked at after the group is in: kill_all may be at work right now
                kill_group(group)
            yield
        finally:
            self._groups.discard(group)


def shell_tool(*, timeout: float, path: str, commands: ShellCommands) -> Tool:
    """Return the tool.

    ``timeout`` in seconds; ``path`` is the PATH that commands are looked up in; ``commands`` knows those at work.
    """
    return FunctionTool(
        spec=ToolSpec(
            name="shell",
            description=(
                "Run a command with /bin/sh in the workspace and return its output, standard error included. "
                f"It is killed after {timeout:g} seconds; it has no input."
            ),
            parameters=parameters(
                {"command": {"type": "string", "description": "For example: ls -l"}}, required=("command",)
            ),
            repeatable=False,
        ),
        run=_Shell(timeout=timeout, path=path, commands=commands).run,
    )


class _Output(asyncio.Protocol):
    """Keeps the head of what comes through a pipe, and counts all of it."""

    def __init__(self) -> None:
        self.head = bytearray()
        self.size = 0
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        self.head += data[: MAX_OUTPUT - len(self.head)]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.ended.set()

    def text(self) -> str:
        return head(bytes(self.head), size=self.size)


class _Shell:
    def __init__(self, *, timeout: float, path: str, commands: ShellCommands) -> None:
        self._timeout = timeout
        self._path = path
        self._commands = commands

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
        command: str = arguments["command"]
        if "\0" in command:
            raise ToolError("A command cannot contain a NUL character.")
        await in_thread(Workspace(context.workspace).make)
        async with _pipe() as (output, write_end):
            try:
                process = await self._spawn(command, context, write_end)
            finally:
                os.close(write_end)
            with self._commands.noted(process.pid):
                timed_out = await self._wait(process)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_OUTPUT_SECONDS):
                    await output.ended.wait()
        if timed_out:
            raise ToolError(f"The command was killed after {self._timeout:g} seconds. {_so_far(output)}")
        return _result(output, process.returncode or 0)

    async def _spawn(self, command: str, context: ToolContext, write_end: int) -> asyncio.subprocess.Process:
        """Start the command. A cancel in the meantime waits for the start, to be able to kill the group."""
        spawning = asyncio.ensure_future(self._start(command, context, write_end))
        try:
            return await to_its_end(spawning)
        except asyncio.CancelledError:
            with suppress(OSError, ValueError):  # it could not be started
                await _end(spawning.result())
            raise
        except (OSError, ValueError) as error:  # ValueError: the command is not valid Unicode
            raise ToolError(f"The command could not be started: {error}.") from error

    async def _start(self, command: str, context: ToolContext, write_end: int) -> asyncio.subprocess.Process:
        with self._commands.cores.for_children():
            return await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                cwd=context.workspace,
                env={"PATH": self._path, "HOME": str(context.workspace), "LANG": "C.UTF-8", "TERM": "dumb"},
                start_new_session=True,
            )

    async def _wait(self, process: asyncio.subprocess.Process) -> bool:
        """Wait for the command, and kill what is left of its group. Return whether the time ran out."""
        try:
            async with asyncio.timeout(self._timeout):
                await process.wait()
        except TimeoutError:
            return True
        finally:
            await _end(process)
        return False


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[_Output, int]]:
    """Yield what reads a new pipe, and the pipe's other end, which the caller has to close.

    A pipe of our own: with asyncio's, some Python versions end ``Process.wait()`` only when the pipe is closed,
    and a background process of the command may hold it open.
    """
    read_end, write_end = os.pipe()
    output = _Output()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: output, os.fdopen(read_end, "rb", buffering=0)
        )
    except BaseException:
        os.close(write_end)
        raise
    try:
        yield output, write_end
    finally:
        transport.close()


def kill_group(group: int) -> None:
    """Kill a process group. One that is gone already is none to kill."""
    # PermissionError: what macOS says of a group of which only zombies are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process group and wait for its leader, so that no zombie stays.

    The leader may have been waited for already. Its number is not used again as long as the group has members, and
    without members the kernel would have to hand out all other numbers first.
    """
    kill_group(process.pid)
    await to_its_end(asyncio.ensure_future(process.wait()))


def _result(output: _Output, code: int) -> str:
    text = output.text()
    if code == 0:
        return text or "(no output)"
    end = f"exit code {code}" if code > 0 else f"killed by signal {-code} ({signal.strsignal(-code)})"
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{end}"


def _so_far(output: _Output) -> str:
    return f"Its output until then:\n{output.text()}" if output.size else "It had no output until then."
