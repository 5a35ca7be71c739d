"""Runs one command within limits and leaves nothing of it behind: a program of its own.

With the arguments ``NAME=NUMBER... -- COMMAND...`` it runs the command in the working directory, with no input,
and exits with its exit code; with 128 and the signal's number if a signal ended it, as shells do.

Standard input is a socket, the leash. When its other end is closed, or its owner is gone, however it went, all
that the command started is killed. If that was for a limit, its name is written there: ``processes``, ``memory``
or ``workspace``; and ``full`` if the command ended by itself, and the workspace holds more than it may. In such a
workspace the next command can write nothing, but delete.

The limits are set in a process with one thread: what runs between a fork and an exec of a program with several
threads may wait for a lock that nobody holds any more. It imports nothing of the package, so that it starts in
milliseconds.

Processes and memory are looked at ten times a second, the workspace once, by way of Linux' ``/proc``: so a command
may have more for a moment. Elsewhere than on Linux only the workspace and what ``setrlimit`` knows are bounded,
and only what stays in the command's session is killed.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

MOST = sys.maxsize
"""What a workspace is said to take that cannot be counted."""

PROGRAM = (
    *(sys.executable, "-I", "-S", "-c"),
    "import sys; sys.path.append(sys.argv[1]); from supervisor import main; sys.exit(main(sys.argv[2:]))",
    os.path.dirname(__file__),  # noqa: PTH120 - pathlib takes 10 ms
)
"""How it is started.

-I and -S: neither the environment nor what is in the workspace has a say in what is imported. As a module, and not
as a script, because Python keeps only modules compiled: 10 ms.
"""

_DEEPEST = 100
"""Levels of directories that are counted: each takes an open file. Nothing that people make is deeper."""

_EVERY = 0.1
"""Seconds between two looks at the processes. A look takes some 0.1 ms a process."""

_WORKSPACE_EVERY = 1.0
"""Seconds between two looks at the workspace; twenty times what a look takes, if that is more."""

_TIME_TO_DIE = 5.0
"""Seconds for what is killed. The kernel takes milliseconds, unless a process waits for a broken disk."""

_LEASH = 0
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KILLED = -signal.SIGKILL
_BLOCK = 512  # bytes of what stat calls a block, whatever the file system's are
_PR_SET_CHILD_SUBREAPER = 36


def usage(directory: int, *, entries: int) -> tuple[int, int]:
    """Return the bytes on the disk, and the entries, of all that is below an open directory; through no link.

    A file with several names counts once, and holes in a file do not count. More than so many ``entries``, what
    cannot be read and what is nested too deeply is taken for ``MOST`` bytes.
    """
    count = _Count(entries)
    try:
        count.add(directory, levels=_DEEPEST)
    except OSError:
        return MOST, count.entries
    return count.size, count.entries


class _Count:
    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[int] = set()
        self.size = 0
        self.entries = 0

    def add(self, directory: int, *, levels: int) -> None:
        """Add what is in an open directory. Raises OSError if it cannot be counted."""
        below: list[str] = []
        with os.scandir(directory) as found:
            for item in found:
                self.entries += 1
                if self.entries > self._most:
                    raise OSError
                with suppress(FileNotFoundError):  # it went away meanwhile
                    status = item.stat(follow_symlinks=False)
                    self._add(status)
                    if stat.S_ISDIR(status.st_mode):
                        below.append(item.name)
        if below and levels == 0:
            raise OSError
        for name in below:
            with suppress(FileNotFoundError, NotADirectoryError):  # it went away, or is a link by now
                child = os.open(name, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                try:
                    self.add(child, levels=levels - 1)
                finally:
                    os.close(child)

    def _add(self, status: os.stat_result) -> None:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in self._seen:
                return
            self._seen.add(status.st_ino)
        self.size += status.st_blocks * _BLOCK


class _Watch:
    """What a command may take, and whether it still does not take more."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._workspace = os.open(".", _OPEN_DIRECTORY)
        self._size, self._entries = limits["workspace_bytes"], limits["workspace_files"]
        size, entries = self._taken()
        self.full = self._is_beyond(size, entries)
        if size != MOST:  # one that has too much already can be cleared up, as long as it does not grow
            self._size, self._entries = max(self._size, size), max(self._entries, entries)
        self._next_look = time.monotonic() + _EVERY
        self._next_count = time.monotonic() + _WORKSPACE_EVERY

    def exceeded(self) -> str:
        """Return the name of the limit that is exceeded, or nothing."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _EVERY
            below = descendants()
            if sum(map(_threads, below)) > self._limits["processes"]:
                return "processes"
            if sum(map(_memory, below)) > self._limits["memory_bytes"]:
                return "memory"
        if now >= self._next_count:
            size, entries = self._taken()
            took = time.monotonic() - now
            self._next_count = now + max(_WORKSPACE_EVERY, 20 * took)
            if self._is_beyond(size, entries):
                return "workspace"
        return ""

    def left_full(self) -> str:
        """Return ``full`` if the workspace has more than it may now, or nothing."""
        self._size, self._entries = self._limits["workspace_bytes"], self._limits["workspace_files"]
        return "full" if self._is_beyond(*self._taken()) else ""

    def _is_beyond(self, size: int, entries: int) -> bool:
        return size > self._size or entries > self._entries

    def _taken(self) -> tuple[int, int]:
        return usage(self._workspace, entries=4 * self._entries)


def descendants() -> list[int]:
    """Return all processes that this one started, directly or not; none where the system does not tell."""
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        for thread in _listed(f"/proc/{pending.pop()}/task"):
            below = [int(number) for number in _text(f"{thread}/children").split()]
            found += below
            pending += below
    return found


def _threads(process: int) -> int:
    return len(_listed(f"/proc/{process}/task"))


def _memory(process: int) -> int:
    """Return the bytes of memory that are its own, or shared with others and no file's."""
    lines = _text(f"/proc/{process}/status").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def _listed(directory: str) -> list[str]:
    try:
        return [f"{directory}/{name}" for name in os.listdir(directory)]  # noqa: PTH208 - pathlib takes 10 ms
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:
        return ""


def _start(command: Sequence[str], limits: Mapping[str, int], *, full: bool) -> int:
    """Start the command in a session of its own, so that what it sends its group does not come here."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), _LEASH)
        for name, most in (
            ("RLIMIT_CORE", 0),
            ("RLIMIT_CPU", limits["cpu_seconds"]),
            ("RLIMIT_DATA", limits["memory_bytes"]),
            ("RLIMIT_FSIZE", 0 if full else limits["workspace_bytes"]),
            ("RLIMIT_NOFILE", limits["open_files"]),
        ):
            with suppress(OSError, ValueError):  # the system has a lower one
                # At its first limit of CPU time a process is told that it was this one, a second later killed.
                resource.setrlimit(getattr(resource, name), (most, most + (name == "RLIMIT_CPU")))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores both, and what it starts would, too
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execvp(command[0], list(command))  # noqa: S606 - the command is what the tool is for
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _adopt_orphans() -> None:
    """Become the parent of all descendants whose own is gone, instead of process 1: none gets out of sight."""
    if sys.platform == "linux":
        import ctypes  # here: it takes 10 ms, which need not pass before a command in a sandbox starts

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reaped(child: int) -> int | None:
    """Wait for all children that have ended, and return the status of that one, if it is among them."""
    status = None
    with suppress(ChildProcessError):  # there is none
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                status = ended[1]
    return status


def _end(child: int, wakeup: int) -> None:
    """Kill whatever is left, in whichever session it is, until nothing is."""
    deadline = time.monotonic() + _TIME_TO_DIE
    _kill(os.killpg, (child,))
    while (left := descendants()) and time.monotonic() < deadline:
        _kill(os.kill, left)
        _wait((wakeup,), 0.01)
        _reaped(child)


def _kill(kill: Callable[[int, int], None], targets: Iterable[int]) -> None:
    for target in targets:
        with suppress(ProcessLookupError, PermissionError):  # gone, or another user's by means of sudo
            kill(target, signal.SIGKILL)


def _wait(readable: Sequence[int], seconds: float) -> list[int]:
    """Wait for a signal, whose descriptor is the first, or for another descriptor; return which can be read."""
    ready, _, _ = select.select(readable, (), (), seconds)
    if readable[0] in ready:
        os.read(readable[0], 4096)
    return ready


def _supervise(command: Sequence[str], limits: Mapping[str, int], wakeup: int) -> int:
    watch = _Watch(limits)
    if not limits["sandboxed"]:
        _adopt_orphans()
    child = _start(command, limits, full=watch.full)
    if limits["sandboxed"]:  # what it leaves dies with its namespace; this is to be there when it does
        _adopt_orphans()
    exceeded, status = "", None
    try:
        while (status := _reaped(child)) is None and not exceeded:
            if _LEASH in _wait((wakeup, _LEASH), _EVERY):
                break
            exceeded = watch.exceeded()
    finally:
        _end(child, wakeup)
    with suppress(OSError):  # nobody is there any more
        os.write(_LEASH, (exceeded or watch.left_full()).encode())
    code = _KILLED if status is None else os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str]) -> int:
    """Supervise what the arguments say, and return the exit code."""
    split = arguments.index("--")
    limits = {name: int(value) for name, _, value in (limit.partition("=") for limit in arguments[:split])}
    wakeup, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    # A handler and not SIG_IGN, which the command would inherit. The leash alone ends the supervisor.
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return _supervise(arguments[split + 1 :], limits, wakeup)
