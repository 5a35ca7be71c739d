"""Runs an MCP server and leaves nothing of it behind: a program of its own, between Alex and a server on stdio.

With the arguments ``CORES -- COMMAND...`` it runs the command with its own standard input, output and error, on
these cores (``0,1``; empty: those that it has), and exits with its exit code; with 128 and the signal's number if
a signal ended it, as shells do.

Once nobody can write to the standard input any more, because whoever started it closed it or is gone, however it
went, the server has a second to end. Then it is asked to (SIGTERM), and then killed, with all that it started.
What a server leaves when it ends by itself is ended as well.

What the server says goes through it, to be bounded: a message that is longer than LONGEST_MESSAGE is its last one.
What Alex says does not. It imports nothing of the package, so that it starts in milliseconds. Elsewhere than on
Linux only what stays in the server's process group is found.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

_GRACE = 1.0
"""Seconds that a server has to end by itself once its input is closed: those that do take milliseconds."""

_TERM = 0.7
"""Seconds that it has then after SIGTERM. Both together: less than the 2 s after which the SDK ends the group."""

_TIME_TO_DIE = 5.0
"""Seconds for what is killed. The kernel takes milliseconds, unless a process waits for a broken disk."""

_LOOK = 0.02
"""Seconds from one look at what is left to the next."""

_PARENT_EVERY = 1.0
"""Seconds between two looks at who the parent is, where the system may not tell that a pipe has no writer."""

LONGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes of a message from a server: a large picture in base64. Whoever reads it, has it whole in memory."""

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"


def _adopt_orphans() -> None:
    """Become the parent of all descendants whose own is gone, instead of process 1: none gets out of sight."""
    if _LINUX:
        import ctypes  # here: it takes 10 ms, which pass while the server starts

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _start(command: Sequence[str], output: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.dup2(output, _OUTPUT)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what it starts would, too
        os.execvp(command[0], list(command))  # noqa: S606 - the command is what the configuration says
    except OSError as error:
        os.write(_ERRORS, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _pass_on(source: int) -> None:
    """Pass on what the server says, until its end, or the end of who listens, or a message that is too long.

    Whoever listens takes the end of this for the end of the server, and closes its input.
    """
    length = 0
    with suppress(OSError):  # nobody listens any more
        while data := os.read(source, 65536):
            end = data.find(b"\n")
            if length + (len(data) if end < 0 else end) > LONGEST_MESSAGE:
                os.write(
                    _ERRORS, f"A message of more than {LONGEST_MESSAGE >> 20} MiB: the server is ended.\n".encode()
                )
                break
            length = length + len(data) if end < 0 else len(data) - data.rfind(b"\n") - 1
            left = memoryview(data)
            while left:
                left = left[os.write(_OUTPUT, left) :]
    os.close(source)  # a server that goes on writing is ended by that, unless it does not mind
    os.dup2(os.open(os.devnull, os.O_WRONLY), _OUTPUT)


class _Guard:
    """The server's process, and what it started. ``descendants`` lists this process's."""

    def __init__(self, child: int, wakeup: int, descendants: Callable[[], list[int]]) -> None:
        self._child = child
        self._wakeup = wakeup
        self._descendants = descendants
        self._parent = os.getppid()
        self.status: int | None = None

    def watch(self) -> None:
        """Return once the server has ended, nobody can write to it, or this is told to end."""
        poller = select.poll()
        poller.register(_INPUT, 0)  # POLLHUP and POLLERR are always told; what is there to read is not for this
        poller.register(self._wakeup, select.POLLIN)
        while self.status is None:
            ready = dict(poller.poll(None if _LINUX else _PARENT_EVERY * 1000))
            self._reap()
            if _INPUT in ready or os.getppid() != self._parent:
                return
            if self._wakeup in ready and any(number != signal.SIGCHLD for number in os.read(self._wakeup, 4096)):
                return

    def end(self) -> None:
        """End all that is left: first by waiting, unless the server has ended, and last by SIGKILL."""
        if self.status is None:
            self._gone(within=_GRACE)
        for number, seconds in ((signal.SIGTERM, _TERM), (signal.SIGKILL, _TIME_TO_DIE)):
            self._signal(number)
            if self._gone(within=seconds):
                return

    def _gone(self, *, within: float) -> bool:
        deadline = time.monotonic() + within
        while self._reap():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK)  # its only thread; that a grandchild ends sends it no signal
        return True

    def _reap(self) -> bool:
        """Take notice of children that have ended; return whether anything is left."""
        with suppress(ChildProcessError):  # there is none
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self.status = ended[1]
        return self.status is None or bool(self._descendants())

    def _signal(self, number: signal.Signals) -> None:
        if not _LINUX:
            if number == signal.SIGKILL:  # which this process does not survive: the last that it does
                os.killpg(0, number)
            elif self.status is None:
                os.kill(self._child, number)
        for process in self._descendants():
            with suppress(ProcessLookupError, PermissionError):  # gone, or another user's by means of sudo
                os.kill(process, number)


def main(arguments: Sequence[str], descendants: Callable[[], list[int]]) -> int:
    """Run the command, and return the exit code. ``descendants`` lists all processes that this one started."""
    cores, _, *command = arguments
    if cores:
        with suppress(OSError, AttributeError):  # a sandbox may forbid it; not every system knows how
            os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    _adopt_orphans()
    wakeup, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    # Handlers and not SIG_IGN, which the server would inherit; before there is one whose end they may tell of.
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    source, output = os.pipe()
    child = _start(command, output)
    os.close(output)
    import threading  # here, as above; and no thread is begun before the fork

    passing = threading.Thread(target=_pass_on, args=(source,), daemon=True)
    passing.start()
    guard = _Guard(child, wakeup, descendants)
    guard.watch()
    guard.end()
    passing.join(_GRACE)  # for the server's last words; if nobody takes them, they are lost
    code = -signal.SIGKILL if guard.status is None else os.waitstatus_to_exitcode(guard.status)
    return code if code >= 0 else 128 - code
