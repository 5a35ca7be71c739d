"""A database with sessions and tasks as a server would have recorded them, and ways to damage it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from alex_actors.events import (
    AnyEvent,
    IterationComplete,
    IterationStart,
    TaskCompleted,
    TaskCreated,
    TaskStarted,
    stamp,
)
from alex_actors.projection import Progress, advance
from alex_actors.store.database import open_writer
from alex_actors.values import Timestamp

CREATED = TaskCreated(task="What is 2 + 2?")
WORK = (
    TaskStarted(),
    IterationStart(iteration=1, total_iters=50),
    IterationComplete(iteration=1, tokens_used=7, tools_run=0),
)
COMPLETED = TaskCompleted(
    final_answer="4", stop_reason="final_answer", total_iterations=1, total_tokens=7, duration=5.0
)
WHOLE: tuple[AnyEvent, ...] = (CREATED, *WORK, COMPLETED)


def at(second: int) -> Timestamp:
    """Return a moment."""
    return Timestamp(f"2026-11-22T12:00:{second:02}.000000Z")


def make_database(path: Path) -> None:
    """Make an empty one."""
    open_writer(path, synchronous="OFF").dispose()


def run_sql(path: Path, *statements: str, foreign_keys: bool = False) -> None:
    """Change a database behind its server's back."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA foreign_keys={int(foreign_keys)}")
        for statement in statements:
            connection.execute(statement)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        yield connection


def add_session(path: Path, session_id: str, *, owner: str = "local", used: int = 0) -> int:
    """Record a session; return its key."""
    with _writing(path) as connection:
        row = (owner, session_id, at(used), at(used))
        sql = (
            "INSERT INTO sessions (owner, session_id, created_at, updated_at, metadata) VALUES (?, ?, ?, ?, '{}')"
        )
        key = connection.execute(sql, row).lastrowid
        assert key is not None
        return key


def add_task(
    path: Path, task_id: str, session_key: int, *events: AnyEvent, owner: str = "local", start: int = 0
) -> int:
    """Record a task with these events, one a second, and what they make of it; return its place."""
    progress = Progress()
    for number, event in enumerate(events):
        progress = advance(progress, at(start + number), event)
    columns = {
        "owner": owner, "task_id": task_id, "session_key": session_key, "task": CREATED.task,
        "agent_preset": "default", "tool_preset": "safe", "model": "offline", "created_at": at(start),
        "cost_usd": 0.0, "strategy": "enqueue", "max_iterations": 50, "metadata": "{}", "trace_id": "trace",
    } | msgspec.structs.asdict(progress)  # fmt: skip
    with _writing(path) as connection:
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({marks})"
        place = connection.execute(sql, tuple(columns.values())).lastrowid
        assert place is not None
        for number, event in enumerate(events):
            stamped = stamp(at(start + number), event)
            row = (place, session_key, stamped.event_type, stamped.at, stamped.body)
            sql = "INSERT INTO events (place, session_key, event_type, timestamp, body) VALUES (?, ?, ?, ?, ?)"
            connection.execute(sql, row)
        return place
