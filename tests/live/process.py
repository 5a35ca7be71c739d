"""A server process: started as a user starts it, on a directory of its own, and followed from outside."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

from tests.live.fork_server import ForkedProcess, ForkServer

Json: TypeAlias = dict[str, Any]  # Any: JSON, as the contract has it
T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "actors", ROOT / "http", ROOT / "config", ROOT]

SOON = 30.0
"""Seconds by which anything here happens on a machine that does other things as well."""
STARTED = 90.0
"""Seconds by which a server has started there: with the SDK of a model it computes for three."""
GLANCE = 0.005
"""Seconds from one look at a condition to the next."""

_LISTENS = re.compile(r"^Alex Runtime \S+ listens on (http://\S+:[0-9]+)$", re.MULTILINE)


def until(condition: Callable[[], T | None], what: str, *, within: float = SOON) -> T:
    """Return the first true value of ``condition``. Raises AssertionError if there is none ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} seconds: {what}")
        time.sleep(GLANCE)
    return value


@contextmanager
def kept_port() -> Iterator[int]:
    """Keep a port for servers that a test ends and starts again: meanwhile the kernel gives it to nobody else.

    It is bound, and nobody listens: who connects is refused, and who asks for it by its number may have it.
    """
    with socket.socket() as keeping:
        keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeping.bind(("127.0.0.1", 0))
        yield keeping.getsockname()[1]


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process end with what is done meanwhile, at the latest: a test that fails leaves none behind."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment, less its own settings, with those given: ``{"SERVER__PORT": "1"}``."""
    # A server that may not keep the bytecode of its sources compiles them at each start: 0.2 s of a core.
    others = {"PYTHONDONTWRITEBYTECODE"}
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("ALEX_") and name not in others
    }
    ours = {f"ALEX_{name}": value for name, value in settings.items()}
    return inherited | {"PYTHONPATH": os.pathsep.join(map(str, SOURCES))} | ours


def command(*arguments: str) -> list[str]:
    """Return the command line of ``alex`` with these arguments."""
    return [sys.executable, "-m", "alex_runtime", *arguments]


def run_alex(
    *arguments: str, directory: Path, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, in ``directory``."""
    return subprocess.run(
        command(*arguments),
        cwd=directory,
        env=environment(settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STARTED,
        check=False,
    )


@cache
def fork_server() -> ForkServer:
    """Return the process that all servers of this one's tests are forked from."""
    server = ForkServer("alex_runtime", environment=environment({}))
    atexit.register(server.close)
    return server


class ServerProcess:
    """A server on a free port. Its outputs go to files next to its data directory, unless others are given."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        stdout: IO[bytes] | int | None = None,
        shell: str | None = None,
        forked: bool = False,
    ) -> None:
        """``shell`` is a script that starts the server as ``"$@"``: to give it odd outputs.

        A start that is ``forked``, where that goes, is one without the imports of a new process.
        """
        self.data_dir = directory / "data"
        self._stdout_file = directory / "stdout"
        self._stderr_file = directory / "stderr"
        self.url = ""
        serve = command("serve", "--port", "0", "--data-dir", str(self.data_dir), *arguments)
        with self._stdout_file.open("wb") as out, self._stderr_file.open("wb") as err:
            if forked and sys.platform == "linux" and shell is None and stdout is None:
                self.process: subprocess.Popen[bytes] | ForkedProcess = fork_server().start(
                    serve[2:], directory=directory, environment=environment(settings or {}), stdout=out, stderr=err
                )
                return
            self.process = subprocess.Popen(
                serve if shell is None else ["/bin/sh", "-c", shell, "sh", *serve],
                cwd=directory,
                env=environment(settings or {}),
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=err,
            )

    def wait_until_listening(self) -> None:
        """Wait for the line that tells its address."""
        self.url = until(self._address, "the line that tells where it listens", within=STARTED)

    def wait_until_serving(self) -> None:
        """Wait for the log's line that tells its address: for a server whose stderr cannot be read."""
        self.url = until(
            lambda: next((line["url"] for line in self.log("server.listening")), None),
            "a line server.listening",
            within=STARTED,
        )

    def _address(self) -> str | None:
        found = _LISTENS.search(self.stderr)
        if found is None and self.process.poll() is not None:
            raise AssertionError(f"ended with exit code {self.process.returncode}: {self.stderr}")
        return found and found[1]

    # Its outputs.

    @property
    def stderr(self) -> str:
        """All that it wrote there so far."""
        return self._stderr_file.read_text()

    @property
    def stdout(self) -> str:
        """All that it wrote there so far."""
        return self._stdout_file.read_text()

    def log(self, event: str | None = None, *, task_id: str | None = None) -> list[Json]:
        """Return the whole lines of its log file, of one event or task alone if that is given.

        One that a full disk has cut off is left out, as is one that is being written.
        """
        file = self.data_dir / "logs" / "alex.jsonl"
        lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
        entries = (json.loads(line) for line in lines if line.endswith(b"}\n"))
        return [
            line
            for line in entries
            if event in (None, line["event"]) and (task_id is None or line.get("task_id") == task_id)
        ]

    # Its end.

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, *, within: float = SOON) -> int:
        """Wait for its end, and return its exit code; that of a signal is negative."""
        return self.process.wait(timeout=within)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, wait for its end, and return its exit code."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """End it however it is, and do not leave it behind."""
        self.process.kill()
        self.process.wait(timeout=SOON)

    def troubles(self) -> Sequence[Json]:
        """Return the lines of its log that tell of a fault of its own."""
        return [line for line in self.log() if line["level"] in ("error", "critical")]
