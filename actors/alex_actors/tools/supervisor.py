"""Runs one command within limits and leaves nothing of it behind: a program of its own.

With the arguments ``NAME=NUMBER... -- COMMAND...`` it runs the command in the working directory, with no input,
and exits with its exit code; with 128 and the signal's number if a signal ended it, as shells do.

Standard input is a socket, the leash. When its other end is closed, or its owner is gone, however it went, all
that the command started is killed. If that was for a limit, its name is written there: ``processes``, ``memory``,
``workspace`` or ``disk``. However it ended: ``trimmed`` if the workspace had more bytes than it may, and files
that the command had made or enlarged were removed for it; ``full`` if it holds more than it may even so. In such
a workspace the next command can write nothing, but delete.

The limits are set in a process with one thread: what runs between a fork and an exec of a program with several
threads may wait for a lock that nobody holds any more. It imports nothing of the package, so that it starts in
milliseconds.

Processes, memory and the disk's free space are looked at ten times a second, the workspace one to ten times, by
way of Linux' ``/proc``: so a command may have more for a moment. Elsewhere than on Linux only the workspace and
what ``setrlimit`` knows are bounded, and only what stays in the command's session is killed.
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

DEEPEST = 100
"""Levels of directories that a workspace may have: each takes an open file to be counted.

No file is written deeper, and a tree that is deeper is not copied for a fork. Nothing that people make is.
"""

_EVERY = 0.1
"""Seconds between two looks at the processes. A look takes some 0.1 ms a process."""

_WORKSPACE_EVERY = 1.0
"""Seconds between two looks at the workspace at most; ten times what a look takes, if that is less."""

_RESERVE = 1024 * 1024 * 1024
"""Bytes of a disk that commands leave free, or 5 % of a small one: for the database and the log."""

_LOSS = 1024 * 1024 * 1024
"""Bytes that a disk may lose while a command runs, or twice the quota if that is more: others write, too."""

_TRIMMED_ENTRIES = 1_000_000
"""How many are looked through for what can be removed: some seconds."""

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
    count.add(directory)
    return count.size if count.whole else MOST, count.entries


def least_free(free: int, *, disk: int, quota: int) -> int:
    """Return with how many free bytes of a ``disk``, which has so many now, a command is stopped."""
    reserve = min(_RESERVE, disk // 20)
    return max(reserve, free - max(_LOSS, 2 * quota)) if free >= reserve else free - quota


class _Count:
    """Counts what is in a directory. To ``trim`` it, it notes names, and opens directories without permissions."""

    def __init__(self, most: int, *, trim: bool = False) -> None:
        self._most = most
        self._trim = trim
        self.size = 0
        self.entries = 0
        self.whole = True
        self.files: dict[int, int] = {}
        """Bytes on the disk by the number of the inode: of all but directories."""
        self.names: dict[int, list[str]] = {}

    def add(self, directory: int, at: str = "", *, levels: int = DEEPEST) -> None:
        """Add what is in an open directory."""
        below: list[str] = []
        try:
            with os.scandir(directory) as found:
                for item in found:
                    self.entries += 1
                    if self.entries > self._most:
                        break
                    with suppress(FileNotFoundError):  # it went away meanwhile
                        status = item.stat(follow_symlinks=False)
                        self._add(status, at + item.name)
                        if stat.S_ISDIR(status.st_mode):
                            below.append(item.name)
        except OSError:
            self.whole = False
        if self.entries > self._most or (below and levels == 0):
            self.whole = False
            return
        for name in below:
            self._add_below(directory, name, at, levels - 1)

    def _add_below(self, directory: int, name: str, at: str, levels: int) -> None:
        try:
            child = _opened(directory, name, force=self._trim)
        except (FileNotFoundError, NotADirectoryError):  # it went away, or is a link by now
            return
        except OSError:
            self.whole = False
            return
        try:
            self.add(child, f"{at}{name}/", levels=levels)
        finally:
            os.close(child)

    def _add(self, status: os.stat_result, name: str) -> None:
        size = status.st_blocks * _BLOCK
        if not stat.S_ISDIR(status.st_mode):
            if self._trim:
                self.names.setdefault(status.st_ino, []).append(name)
            if status.st_ino in self.files:
                return
            self.files[status.st_ino] = size
        self.size += size


def _opened(directory: int, name: str, *, force: bool = False) -> int:
    flags = _OPEN_DIRECTORY | os.O_NOFOLLOW
    if force and sys.platform == "linux":
        held = os.open(name, os.O_PATH | flags, dir_fd=directory)
        try:
            if os.fstat(held).st_mode & 0o700 != 0o700:
                os.chmod(f"/proc/self/fd/{held}", 0o700)  # noqa: PTH101 - fchmod takes no such descriptor
        finally:
            os.close(held)
    return os.open(name, flags, dir_fd=directory)


def _remove(directory: int, path: str) -> None:
    """Remove a file below an open directory; through no link."""
    *parents, name = path.split("/")
    at = os.dup(directory)
    try:
        for parent in parents:
            below = _opened(at, parent)
            os.close(at)
            at = below
        os.unlink(name, dir_fd=at)
    finally:
        os.close(at)


def free_bytes(directory: int) -> tuple[int, int]:
    """Return the free bytes of an open directory's disk, and all it has."""
    status = os.fstatvfs(directory)
    return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize


class Watch:
    """What a command may take, and whether it still does not take more.

    ``workspace`` is an open directory; ``free`` tells the free bytes of its disk and how many it has in all.
    """

    def __init__(
        self, limits: Mapping[str, int], *, workspace: int,
        free: Callable[[int], tuple[int, int]] = free_bytes, now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._limits, self._workspace, self._free, self._now = limits, workspace, free, now
        quota = limits["workspace_bytes"]
        self._size, self._entries = quota, limits["workspace_files"]
        self._before = count = self._counted()
        self.full = not count.whole or count.size > self._size or count.entries > self._entries
        largest = max(count.files.values(), default=0)  # which may be appended to, or be replaced by a larger one
        self.file_bytes = 0 if self.full else min(quota, quota - count.size + largest)
        if count.whole:  # one that has too much already can be cleared up, as long as it does not grow
            self._size, self._entries = max(self._size, count.size), max(self._entries, count.entries)
        now_free, disk = free(workspace)
        self._least_free = least_free(now_free, disk=disk, quota=quota)
        self._next_look = now() + _EVERY
        # What cannot be counted can be cleared up as well, if that is done in a second.
        self._next_count = now() + (_EVERY if count.whole else _WORKSPACE_EVERY)

    def exceeded(self) -> str:
        """Return the name of the limit that is exceeded, or nothing."""
        now = self._now()
        if now >= self._next_look:
            self._next_look = now + _EVERY
            if self._free(self._workspace)[0] < self._least_free:
                return "disk"
            below = descendants()
            if sum(map(_threads, below)) > self._limits["processes"]:
                return "processes"
            if sum(map(_memory, below)) > self._limits["memory_bytes"]:
                return "memory"
        if now >= self._next_count:
            count = self._counted()
            size = count.size + _unlinked(descendants(), os.fstat(self._workspace).st_dev)
            took = self._now() - now
            self._next_count = now + took + min(max(_EVERY, 10 * took), _WORKSPACE_EVERY)
            if not count.whole or size > self._size or count.entries > self._entries:
                return "workspace"
        return ""

    def left(self) -> list[str]:
        """Remove what a command that has ended made beyond the quota of bytes; return what is to be said of it."""
        quota = self._limits["workspace_bytes"]
        count = self._counted()
        trimmed = (not count.whole or count.size > quota) and self._before.whole and self._trimmed(quota)
        count = self._counted() if trimmed else count
        full = not count.whole or count.size > quota or count.entries > self._limits["workspace_files"]
        return ["trimmed"] * trimmed + ["full"] * full

    def _trimmed(self, quota: int) -> bool:
        """Remove files that are new, or larger than before, largest first, and return whether there were any."""
        count = _Count(_TRIMMED_ENTRIES, trim=True)
        os.fchmod(self._workspace, 0o700)
        count.add(self._workspace)
        made = [(size, one) for one, size in count.files.items() if size > self._before.files.get(one, 0)]
        beyond = count.size - quota
        for size, inode in sorted(made, reverse=True):
            for name in count.names[inode] if beyond > 0 else ():
                with suppress(OSError):  # it went away meanwhile, or is another user's
                    _remove(self._workspace, name)
            beyond -= size
        return bool(made) and count.size > quota

    def _counted(self) -> _Count:
        count = _Count(4 * self._entries)
        count.add(self._workspace)
        return count


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


def _unlinked(processes: Iterable[int], device: int) -> int:
    """Return the bytes of the files on a disk that have no name any more, and which these processes hold open."""
    files: dict[int, int] = {}
    for process in processes:
        for path in _listed(f"/proc/{process}/fd"):
            with suppress(OSError):  # it is closed by now
                status = os.stat(path)  # noqa: PTH116 - pathlib takes 10 ms
                if status.st_nlink == 0 and status.st_dev == device and stat.S_ISREG(status.st_mode):
                    files[status.st_ino] = status.st_blocks * _BLOCK
    return sum(files.values())


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


def _start(command: Sequence[str], limits: Mapping[str, int], *, file_bytes: int) -> int:
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
            ("RLIMIT_FSIZE", file_bytes),
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
    watch = Watch(limits, workspace=os.open(".", _OPEN_DIRECTORY))
    if not limits["sandboxed"]:
        _adopt_orphans()
    child = _start(command, limits, file_bytes=watch.file_bytes)
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
        os.write(_LEASH, " ".join((exceeded, *watch.left())).encode())
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
