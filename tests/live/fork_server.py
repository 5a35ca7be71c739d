"""Starts servers by a fork of a process that has imported them: 0.1 s of a core instead of 0.7.

They are processes like others: with descriptors, an environment and a directory of their own, and an end that is
waited for. What is left out, the imports of a new process, is what ``test_live_start.py`` and the installed wheel
of CI show. On Linux alone: elsewhere each is started anew.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

FORKING = Path(__file__).with_name("forking.py")
LARGEST = 64
"""Bytes of an answer: the number of a process."""


class ForkedProcess:
    """A process that another one is the parent of; otherwise what ``subprocess.Popen`` is."""

    def __init__(self, pid: int, *, ended: int) -> None:
        """``ended`` is a pipe from which the exit code can be read once it has ended."""
        self.pid = pid
        self.returncode: int | None = None
        self._ended = os.fdopen(ended, "rb", buffering=0)

    def poll(self) -> int | None:
        """Return the exit code, negative that of a signal; None: it runs."""
        return self._look(within=0)

    def wait(self, timeout: float) -> int:
        """Wait for the exit code. Raises TimeoutExpired if there is none within ``timeout`` seconds."""
        code = self._look(within=timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _look(self, *, within: float) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], within)[0]:
            self.returncode = int(self._ended.read(LARGEST))
            self._ended.close()
        return self.returncode


class ForkServer:
    """The process that is forked; it ends with this one, also if that is killed."""

    def __init__(self, module: str, *, environment: Mapping[str, str]) -> None:
        self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, str(FORKING), module]
            self._process = subprocess.Popen(command, env=dict(environment), stdin=theirs.fileno())

    def close(self) -> None:
        """Let it end, and wait for that."""
        self._asked.close()
        self._process.wait()

    def start(
        self,
        arguments: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> ForkedProcess:
        """Start ``python -m`` with these arguments, of which the first is the module; its input is empty."""
        wanted = {"arguments": arguments, "directory": str(directory), "environment": dict(environment)}
        ended, ends = os.pipe()
        with open(os.devnull, "rb") as nothing, os.fdopen(ends, "wb") as its_end:  # noqa: PTH123 - a device
            descriptors = [one.fileno() for one in (nothing, stdout, stderr, its_end)]
            socket.send_fds(self._asked, [json.dumps(wanted).encode()], descriptors)
        answer = self._asked.recv(LARGEST)
        if not answer:
            raise AssertionError("the process that is to be forked has ended")
        return ForkedProcess(int(answer), ended=ended)
