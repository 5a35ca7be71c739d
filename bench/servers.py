"""Servers to measure, each a process of its own: ours, some that do nothing, and what is usually done."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

BY_HAND = """
import asyncio, os, re, sys, uuid
import fastapi, uvicorn
from pydantic import BaseModel

class Submit(BaseModel):
    task: str
    session_id: str | None = None

app, tasks = fastapi.FastAPI(), {}

async def run(task, steps, seconds):
    task["status"] = "running"
    for step in range(steps):
        task["current_iteration"] = step + 1
        await asyncio.sleep(seconds)
        task["tokens_used"] += 60
    task["status"] = "completed"

running = set()

@app.post("/api/tasks", status_code=201)
async def submit(body: Submit):
    steps, milliseconds = map(int, re.findall(r"\\d+", body.task))
    task_id = f"task-{uuid.uuid4()}"
    task = {
        "task_id": task_id, "session_id": body.session_id or f"session-{uuid.uuid4()}", "task": body.task,
        "status": "pending", "current_iteration": 0, "tokens_used": 0,
    }
    tasks[task_id] = task
    work = asyncio.create_task(run(task, steps, milliseconds / 1000))
    running.add(work)
    work.add_done_callback(running.discard)
    return task

@app.get("/api/tasks")
async def total(status: str):
    return {"tasks": [], "total": sum(task["status"] == status for task in tasks.values())}

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"listens on http://127.0.0.1:{port}", file=sys.stderr, flush=True)

Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", access_log=False)).run()
"""
"""What people write by hand: a dict, a coroutine for each task, nothing recorded."""


@dataclass(frozen=True)
class ServerProcess:
    """A server that listens."""

    address: tuple[str, int]
    process: subprocess.Popen[str]
    data: Path = Path()
    """Where it records, if it does."""

    def errors(self) -> list[str]:
        """Return the lines of its log that tell of a fault of its own."""
        logs = sorted(self.data.rglob("*.jsonl*"))
        lines = (line for log in logs for line in log.read_text().splitlines())
        return [f"logged: {line}" for line in lines if '"level":"error"' in line or '"level":"critical"' in line]

    def keep_on(self, cores: Set[int]) -> None:
        """Keep all threads of the process on some cores."""
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


@contextlib.contextmanager
def alex(**settings: object) -> Iterator[ServerProcess]:
    """Run our server, with durable recording, on a data directory of its own.

    A setting is given as ``server__threads=8``.
    """
    environment = {f"ALEX_{name.upper()}": str(value) for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="alex-bench-") as directory:
        command = [sys.executable, "-m", "alex_runtime", "serve", "--port", "0", "--data-dir", directory]
        with _started(command, environment) as server:
            yield dataclasses.replace(server, data=Path(directory))


@contextlib.contextmanager
def no_op(*kind: str) -> Iterator[ServerProcess]:
    """Run a server that answers every submit with the same bytes: ``plain`` waitress, or our ``own``."""
    with _started([sys.executable, "-m", "bench.no_op", *kind]) as server:
        yield server


@contextlib.contextmanager
def python_for_by_hand() -> Iterator[str | None]:
    """Find or make a Python that has FastAPI and uvicorn; yields None, and prints why, if there is none."""
    if importlib.util.find_spec("fastapi") and importlib.util.find_spec("uvicorn"):
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="alex-bench-") as directory:
        python = f"{directory}/bin/python"
        try:
            subprocess.run([sys.executable, "-m", "venv", directory], check=True, capture_output=True)
            packages = ["fastapi", "uvicorn[standard]"]
            subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            print(f"no FastAPI beside it, it cannot be installed: {error.stderr.decode().strip()[-200:]}")
            yield None
        else:
            yield python


@contextlib.contextmanager
def by_hand(python: str) -> Iterator[ServerProcess]:
    """Run a server as people write it by hand, on FastAPI and uvicorn, which records nothing."""
    with _started([python, "-c", BY_HAND]) as server:
        yield server


@contextlib.contextmanager
def thread_per_stream(workers: int) -> Iterator[ServerProcess]:
    """Run a server on plain waitress, each of whose streams keeps a worker."""
    with _started([sys.executable, "-m", "bench.thread_per_stream", str(workers)]) as server:
        yield server


@contextlib.contextmanager
def bare_loop() -> Iterator[ServerProcess]:
    """Run an epoll loop that does nothing but send events."""
    with _started([sys.executable, "-m", "bench.bare_loop"]) as server:
        yield server


@contextlib.contextmanager
def _started(command: list[str], environment: Mapping[str, str] | None = None) -> Iterator[ServerProcess]:
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ) as process:
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
