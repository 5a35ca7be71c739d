"""The ``shell`` tool: a command in the workspace, of which nothing outlives the call, nor the server.

Each command has a supervisor (supervisor.py), which sets its limits and kills all that it started once the server
cuts the leash or is gone, also by ``kill -9``. Where bubblewrap works, the command runs in a sandbox (sandbox.py).
Where it does not, a command can do what the server's user can: read its files, reach the network, and end its
processes. That is one reason why the default tool preset does not offer the tool.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from alex_actors.cores import Cores
from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools.excerpts import MAX_TEXT, head
from alex_actors.tools.limits import Quota, ShellLimits
from alex_actors.tools.sandbox import WORKSPACE, Sandbox
from alex_actors.tools.tool import FunctionTool, in_thread, parameters, to_its_end
from alex_actors.tools.workspace import Workspace

MAX_OUTPUT = MAX_TEXT
"""Bytes of output that are kept; the rest is read and counted, so that the command never blocks on it."""

_LAST_OUTPUT_SECONDS = 1.0
"""To wait for output that is still in the pipe when the command has ended.

All of it is there at once, unless a process that could not be killed holds the pipe open.
"""

_SUPERVISOR = (
    *(sys.executable, "-I", "-S", "-c"),
    "import sys; sys.path.append(sys.argv[1]); from supervisor import main; sys.exit(main(sys.argv[2:]))",
    str(Path(__file__).parent),
)
"""How one is started.

-I and -S: neither the environment nor what is in the workspace has a say in what is imported. As a module, and not
as a script, because Python keeps only modules compiled: 10 ms.
"""

_SUPERVISOR_SECONDS = 10.0
"""For a supervisor whose leash is cut: it takes milliseconds, unless the command has stopped or starved it."""


class ShellCommands:
    """The commands that are at work, so that a server that stops at once does not leave them behind.

    Without a lock: its set is changed, and copied, in one step each.
    """

    def __init__(self, *, cores: Cores | None = None) -> None:
        """``cores`` says on which of them they run, if the process itself keeps to one."""
        self.cores = cores or Cores(one=False)
        self._leashes: set[socket.socket] = set()
        self._closed = False

    def kill_all(self) -> None:
        """Kill them all, and from now on each one that begins. From any thread, and from a signal handler."""
        self._closed = True
        for leash in self._leashes.copy():
            cut(leash)

    @contextmanager
    def noted(self, leash: socket.socket) -> Iterator[None]:
        """Have a leash cut by ``kill_all`` meanwhile."""
        self._leashes.add(leash)
        try:
            if self._closed:  # looked at after the leash is in: kill_all may be at work right now
                cut(leash)
            yield
        finally:
            self._leashes.discard(leash)


def shell_tool(
    *, limits: ShellLimits, quota: Quota, path: str, sandbox: Sandbox | None, commands: ShellCommands
) -> Tool:
    """Return the tool.

    ``path`` is the PATH that commands are looked up in; without a ``sandbox`` they can do what the server's user
    can; ``commands`` knows those at work.
    """
    return FunctionTool(
        spec=ToolSpec(
            name="shell",
            description=(
                "Run a command with /bin/sh in the workspace and return its output, standard error included. "
                f"It is killed after {limits.seconds:g} seconds; it has no input"
                f"{', and no network' if sandbox else ''}."
            ),
            parameters=parameters(
                {"command": {"type": "string", "description": "For example: ls -l"}}, required=("command",)
            ),
            repeatable=False,
            alone=True,
        ),
        run=_Shell(limits=limits, quota=quota, path=path, sandbox=sandbox, commands=commands).run,
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
    def __init__(
        self, *, limits: ShellLimits, quota: Quota, path: str, sandbox: Sandbox | None, commands: ShellCommands
    ) -> None:
        self._limits = limits
        self._path = path
        self._sandbox = sandbox
        self._commands = commands
        self._supervisor = (
            *_SUPERVISOR,
            f"processes={limits.processes}", f"memory_bytes={limits.memory_bytes}",
            f"cpu_seconds={limits.cpu_seconds}", f"open_files={limits.open_files}",
            f"workspace_bytes={quota.workspace_bytes}", f"workspace_files={quota.workspace_files}",
            f"sandboxed={int(sandbox is not None)}", "--",
            *(sandbox.prefix if sandbox is not None else ()),
        )  # fmt: skip
        self._killed_for = {
            "processes": f"it had more than {limits.processes:,} processes and threads",
            "memory": f"it took more than {limits.memory_bytes:,} bytes of memory",
            "workspace": (
                f"the workspace had more than {quota.workspace_bytes:,} bytes, or more than "
                f"{quota.workspace_files:,} files and directories"
            ),
            "disk": "the disk lost too much of its free space while it ran, or has hardly any left",
        }
        self._trimmed = (
            f"\n[The workspace had more than {quota.workspace_bytes:,} bytes. The largest files that the command "
            "had made or enlarged were removed, until it had not.]"
        )
        self._full = (
            f"\n[The workspace has more than {quota.workspace_bytes:,} bytes, or more than "
            f"{quota.workspace_files:,} files and directories. Delete some: nothing more can be written.]"
        )

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
        command: str = arguments["command"]
        if "\0" in command:
            raise ToolError("A command cannot contain a NUL character.")
        await in_thread(Workspace(context.workspace).make)
        async with _pipe() as (output, write_end):
            leash, held = socket.socketpair()
            with closing(leash):
                try:
                    process = await self._spawn(command, context, leash, held, write_end)
                finally:
                    os.close(write_end)
                    held.close()
                with self._commands.noted(leash):
                    timed_out = await self._wait(process, leash)
                said = _said(leash)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_OUTPUT_SECONDS):
                    await output.ended.wait()
        if timed_out:
            raise ToolError(f"The command was killed after {self._limits.seconds:g} seconds. {_so_far(output)}")
        notes = (self._trimmed if "trimmed" in said else "") + (self._full if "full" in said else "")
        if killed_for := [self._killed_for[word] for word in said if word in self._killed_for]:
            raise ToolError(f"The command was killed: {killed_for[0]}. {_so_far(output)}{notes}")
        return _result(output, process.returncode or 0) + notes

    async def _spawn(
        self, command: str, context: ToolContext, leash: socket.socket, held: socket.socket, write_end: int
    ) -> asyncio.subprocess.Process:
        """Start the command. A cancel in the meantime waits for the start, to be able to end it."""
        spawning = asyncio.ensure_future(self._start(command, context, held, write_end))
        try:
            return await to_its_end(spawning)
        except asyncio.CancelledError:
            with suppress(OSError, ValueError):  # it could not be started
                await _end(spawning.result(), leash)
            raise
        except (OSError, ValueError) as error:  # ValueError: the command is not valid Unicode
            raise ToolError(f"The command could not be started: {error}.") from error

    async def _start(
        self, command: str, context: ToolContext, held: socket.socket, write_end: int
    ) -> asyncio.subprocess.Process:
        home = str(context.workspace) if self._sandbox is None else WORKSPACE
        with self._commands.cores.for_children():
            return await asyncio.create_subprocess_exec(
                *(*self._supervisor, "/bin/sh", "-c", command),
                stdin=held.fileno(),
                stdout=write_end,
                stderr=write_end,
                cwd=context.workspace,
                env={"PATH": self._path, "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb"},
                start_new_session=True,
            )

    async def _wait(self, process: asyncio.subprocess.Process, leash: socket.socket) -> bool:
        """Wait for the command, and have what is left of it killed. Return whether the time ran out."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                await process.wait()
        except TimeoutError:
            return True
        finally:
            await _end(process, leash)
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


def cut(leash: socket.socket) -> None:
    """Tell a supervisor to kill what it has started. Of no effect if it is gone."""
    with suppress(OSError):
        leash.shutdown(socket.SHUT_WR)


def _said(leash: socket.socket) -> list[str]:
    """Return what a supervisor that has ended said of the limits (see supervisor.py)."""
    leash.settimeout(0)
    try:
        return leash.recv(100).decode().split()
    except OSError:  # it was killed itself
        return []


async def _end(process: asyncio.subprocess.Process, leash: socket.socket) -> None:
    """Have the supervisor kill what is left, and wait for it, so that nothing stays, no zombie either."""
    cut(leash)
    ending = asyncio.ensure_future(process.wait())
    kill = asyncio.get_running_loop().call_later(_SUPERVISOR_SECONDS, _kill, process)
    try:
        await to_its_end(ending)
    finally:
        kill.cancel()


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def _result(output: _Output, code: int) -> str:
    text = output.text()
    if code == 0:
        return text or "(no output)"
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{_exit(code)}"


def _exit(code: int) -> str:
    number = code - 128 if code > 128 else -code  # a shell, and the supervisor, tell of a signal by the former
    if number not in {int(one) for one in signal.valid_signals()}:
        return f"exit code {code}"
    return f"exit code {number + 128}: killed by signal {number} ({signal.strsignal(number)})"


def _so_far(output: _Output) -> str:
    return f"Its output until then:\n{output.text()}" if output.size else "It had no output until then."
