"""Servers to measure, each a process of its own: ours, and bare Falcon on waitress that does nothing."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NO_OP = """
import falcon, waitress

class NoOp:
    def on_post(self, req, resp):
        req.bounded_stream.read()
        resp.status = falcon.HTTP_201
        resp.content_type = "application/json"
        resp.data = b'{"task_id":"task-0"}'

app = falcon.App()
app.add_route("/api/tasks", NoOp())
server = waitress.create_server(
    app, host="127.0.0.1", port=0, threads=16, asyncore_use_poll=True, connection_limit=1000
)
import sys
print(f"listens on http://127.0.0.1:{server.effective_port}", file=sys.stderr, flush=True)
server.run()
"""


@dataclass(frozen=True)
class ServerProcess:
    """A server that listens."""

    address: tuple[str, int]
    process: subprocess.Popen[str]

    def pin(self, core: int) -> None:
        """Keep all threads of the process on one core."""
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


@contextlib.contextmanager
def alex(*options: str) -> Iterator[ServerProcess]:
    """Run our server, with durable recording, on a data directory of its own."""
    with tempfile.TemporaryDirectory(prefix="alex-bench-") as directory:
        command = [sys.executable, "-m", "alex_runtime", "serve", "--port", "0", "--data-dir", directory, *options]
        with _started(command) as server:
            yield server


@contextlib.contextmanager
def no_op() -> Iterator[ServerProcess]:
    """Run a server that answers every submit with the same bytes."""
    with _started([sys.executable, "-c", NO_OP]) as server:
        yield server


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator[ServerProcess]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"listens on http://([\d.]+):(\d+)", line):
                    yield ServerProcess((found[1], int(found[2])), process)
                    break
            else:
                msg = f"the server did not start: {command}"
                raise RuntimeError(msg)
        finally:
            process.terminate()
            process.wait(15)
