"""Logs as a server writes them, put together by hand: each line a millisecond after the one before."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec

from alex_actors.values import timestamp

BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class WrittenLog:
    """A log that grows by what its methods say."""

    def __init__(self, *, starts: bool = True) -> None:
        """``starts``: it begins with the start of a server."""
        self.lines: list[bytes] = []
        self._events = 0
        self._places = 0
        self._at = BEGIN
        self._ids = 0
        if starts:
            self.start()

    def say(self, event: str, level: str = "info", /, **fields: object) -> Self:
        """Add a line."""
        self._at += timedelta(milliseconds=1)
        line = {"ts": timestamp(self._at), "level": level, "event": event, **fields}
        self.lines.append(msgspec.json.encode(line) + b"\n")
        return self

    def wait(self, seconds: float) -> Self:
        """Let time go by."""
        self._at += timedelta(seconds=seconds)
        return self

    def start(self) -> Self:
        """Add the start of a server."""
        return self.say("server.starting").say("server.listening", url="http://127.0.0.1:1")

    def new_task(self) -> str:
        """Return the ID of a task, made now."""
        self._ids += 1
        milliseconds = int(self._at.timestamp() * 1000)
        return f"task-{uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | self._ids)}"

    def fact(self, event: str, task_id: str, *, session: str = "s", **fields: object) -> Self:
        """Add a fact of a task; one of the store has the next event id."""
        if event in ("task.created", "task.started", "task.ended", "model.replied", "tool.ended"):
            self._events += 1
            fields = {"event_id": self._events, **fields}
        return self.say(event, task_id=task_id, session_id=session, trace_id="t" * 32, **fields)

    def message(
        self, sender: str, receiver: str, kind: str, task_id: str, *, waited: float = 0.1, took: float = 0.2
    ) -> Self:
        """Add a message that was handled."""
        return self.say(
            "message", "debug", sender=sender, receiver=receiver, type=kind, waited=waited, took=took,
            task_id=task_id, session_id="s",
        )  # fmt: skip

    def confirmed(self, task_id: str, *, strategy: str = "enqueue", ahead: int = 0, **fields: str) -> Self:
        """Add its confirmation, with the next place."""
        self._places += 1
        return self.fact(
            "session.confirmed", task_id, place=self._places, ahead=ahead, strategy=strategy, **fields
        )

    def started(self, task_id: str) -> Self:
        """Add what tells that its agent runs."""
        return self.fact("agent.started", task_id).fact("task.started", task_id)

    def ended(self, task_id: str, status: str = "completed") -> Self:
        """Add its end."""
        return self.fact("task.ended", task_id, status=status, reason=status)

    def task(self) -> str:
        """Add a task from its confirmation to its end, and return its ID."""
        task_id = self.new_task()
        self.confirmed(task_id).fact("task.created", task_id).started(task_id).ended(task_id)
        return task_id
