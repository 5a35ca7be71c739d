"""Many short tasks through one server: what it takes at rest after the first tenth of them, and after all.

``python -m bench.soak --tasks 100000`` runs it. The server is looked at when everything that was submitted has
ended, so that what differs from row to row is what tasks leave behind. Then its log is checked, as ``alex trace
--check`` does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench.checked_log import check_log
from bench.load import generate, get, post
from bench.machine import Usage
from bench.servers import ServerProcess

TASK = "Simulate 3 steps of 0 ms"
IN_A_SESSION = 10
"""Tasks of a session, in its line; then comes another: sessions must leave nothing in memory either."""
WAVE = 1_000
"""Tasks that are submitted before the next are, once all have ended: the backlog is the same throughout."""
CONNECTIONS = 16
"""As many as the server has workers by default."""
LOOKS = (0.01, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Of the tasks: after how many the server is looked at. The second and the last are compared."""
COMPARED = LOOKS.index(0.1)
GLANCE = 0.05
"""Seconds from one look at what is unfinished to the next: looking takes time from the server."""
PATIENCE = 60.0
"""Seconds that a wave may take to end."""
SETTLE = 2.0
"""Seconds after which the server closed what its clients have closed, and its garbage is collected."""
GROWTH = 20.0
"""Bytes of memory that a task may leave behind: its ID in a set, the least that could be forgotten, takes 130."""
SLACK = 3_000_000
"""Bytes of memory that may be more whatever the number of tasks: SQLite's caches fill, allocators keep some."""
DESCRIPTORS = 4
"""Descriptors that may differ: a worker's connection to the database may be made late, and has two or three."""


@dataclass(frozen=True)
class Look:
    """What the server takes when so many tasks have ended and none is unfinished: bytes, and numbers."""

    tasks: int
    used: Usage
    actors: int
    database: int
    wal: int
    log: int

    @classmethod
    def at(cls, server: ServerProcess, tasks: int) -> Look:
        """Look at a server at rest."""
        return cls(
            tasks=tasks,
            used=Usage.of(server.process.pid),
            actors=_agents(server)["actors"],
            database=_size(server.data / "alex.sqlite3"),
            wal=_size(server.data / "alex.sqlite3-wal"),
            log=sum(_size(path) for path in server.data.rglob("*.jsonl*")),
        )

    def __str__(self) -> str:
        """Return a row of the table."""
        used = self.used
        return (
            f"{self.tasks:12,}{used.memory / 1e6:10.1f}{used.descriptors:13}{used.threads:9}{self.actors:8}"
            f"{self.database / 1e6:13.1f}{self.wal / 1e6:8.1f}{self.log / 1e6:9.1f}"
        )


HEADER = (
    f"{'tasks ended':>12}{'RSS MB':>10}{'descriptors':>13}{'threads':>9}{'actors':>8}"
    f"{'database MB':>13}{'WAL MB':>8}{'log MB':>9}{'tasks/s':>10}"
)


def soak(server: ServerProcess, tasks: int) -> list[str]:
    """Have a server run so many tasks, and print what it takes. Returns what was wrong."""
    looks = looks_at(server, tasks)
    completed = _total(server, "completed")
    missing = [] if completed == tasks else [f"{completed:,} tasks completed of {tasks:,}"]
    wrong = missing + grown([looks[COMPARED], looks[-1]]) + server.errors()
    return wrong + check_log(server.data, tasks=tasks)


def looks_at(server: ServerProcess, tasks: int, *, settle: float = SETTLE) -> list[Look]:
    """Have a server run so many tasks, and print what it takes after each of LOOKS."""
    requests = _submits()
    looks: list[Look] = []
    actors = _agents(server)["actors"]
    ended = 0
    print(HEADER, flush=True)
    for goal in (max(1, round(part * tasks)) for part in LOOKS):
        first, started = ended, time.perf_counter()
        while ended < goal:
            wave = min(WAVE, goal - ended)
            generate(server.address, islice(requests, wave), connections=CONNECTIONS, status=b"201")
            wait_until_at_rest(server, actors)
            ended += wave
        rate = (ended - first) / (time.perf_counter() - started)
        time.sleep(settle)  # what has ended closes its files and gives back its memory a moment later
        looks.append(Look.at(server, ended))
        print(f"{looks[-1]}{rate:10,.0f}", flush=True)
    return looks


def grown(looks: Sequence[Look]) -> list[str]:
    """Print the difference from the first look to the last. Return what grew with the number of tasks."""
    early, *_, late = looks
    tasks = late.tasks - early.tasks
    print(f"from {early.tasks:,} to {late.tasks:,} tasks:")
    memory = late.used.memory - early.used.memory
    stored = (late.database + late.wal - early.database - early.wal) / tasks
    logged = (late.log - early.log) / tasks
    descriptors = late.used.descriptors - early.used.descriptors
    threads, actors = late.used.threads - early.used.threads, late.actors - early.actors
    print(
        f"  RSS {memory / 1e6:+.1f} MB, {memory / tasks:+.0f} bytes a task; "
        f"descriptors {descriptors:+}, threads {threads:+}, actors {actors:+}\n"
        f"  database and WAL {stored:+,.0f} bytes a task; log {logged:+,.0f} bytes a task"
    )
    wrong = []
    if memory > SLACK + GROWTH * tasks:
        wrong.append(f"memory grew by {memory:,} bytes, more than {SLACK:,} and {GROWTH:g} a task")
    if descriptors > DESCRIPTORS:
        wrong.append(f"descriptors grew by {descriptors}, more than {DESCRIPTORS}")
    if threads > 0:
        wrong.append(f"threads grew by {threads}")
    if actors > 0:
        wrong.append(f"actors grew by {actors}")
    return wrong


def wait_until_at_rest(server: ServerProcess, actors: int) -> None:
    """Return when no task is unfinished, and no more actors than these are left; else raises TimeoutError."""
    deadline = time.perf_counter() + PATIENCE
    while True:
        unfinished = sum(_total(server, status) for status in ("pending", "running"))
        left = _agents(server)["actors"] - actors
        if unfinished == 0 and left <= 0:
            return
        if time.perf_counter() > deadline:
            msg = f"{unfinished} tasks unfinished and {left} actors left, {PATIENCE:g} s after the submits"
            raise TimeoutError(msg)
        time.sleep(GLANCE)  # looking takes time from the server that is looked at


def _submits() -> Iterator[bytes]:
    number = 0
    while True:
        body = {"task": TASK, "session_id": f"soak-{number // IN_A_SESSION}"}
        yield post("/api/tasks", json.dumps(body).encode())
        number += 1


def _total(server: ServerProcess, status: str) -> int:
    total: int = json.loads(_got(server, f"/api/tasks?status={status}&limit=1"))["total"]
    return total


def _agents(server: ServerProcess) -> dict[str, int]:
    figures: dict[str, int] = json.loads(_got(server, "/health"))["components"]["agents"]["figures"]
    return figures


def _got(server: ServerProcess, path: str) -> bytes:
    (body,) = generate(server.address, iter([get(path)]), connections=1, status=b"200").bodies
    return body


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
