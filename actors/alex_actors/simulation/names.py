"""IDs that say who made them, so that a trace can be read, and that are the same in every order of the steps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from alex_actors.values import SessionId, TaskId


class ReadableIds:
    """Makes IDs of what they name, who makes them, and a number: ``task-alice-1``."""

    def __init__(self, *, speaker: Callable[[], str]) -> None:
        self._speaker = speaker
        self._made: Counter[str] = Counter()

    def task(self) -> TaskId:
        """Return a new ``task-…``."""
        return TaskId(self._new("task"))

    def session(self) -> SessionId:
        """Return a new ``session-…``."""
        return SessionId(self._new("session"))

    def trace(self) -> str:
        """Return a new trace ID."""
        return self._new("trace")

    def _new(self, kind: str) -> str:
        speaker = self._speaker()
        inner = re.search(r"\((.+)\)", speaker)  # of "http(alice)", whose it is
        name = f"{kind}-{re.sub('[^A-Za-z0-9]+', '-', inner[1] if inner else speaker).strip('-')}"
        self._made[name] += 1
        return f"{name}-{self._made[name]}"
