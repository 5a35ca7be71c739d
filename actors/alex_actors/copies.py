"""What a session is outside of a server: what an export has, and an import brings."""

from __future__ import annotations

from typing import Literal, TypeAlias

from alex_actors.events import Stamped
from alex_actors.projection import Progress
from alex_actors.tasks import Session, Task
from alex_actors.values import Value

MOST_MESSAGES = 100_000
"""Messages that an import may bring, and so those of a session that can be exported.

A message takes hundreds of bytes of memory, and microseconds of the one thread that writes, however short it is:
64 MiB could have two million. Tasks and events are longer, and so their bytes bound them.
"""

Role: TypeAlias = Literal["user", "assistant"]


class Message(Value, frozen=True):
    """What was said in a session before its own tasks: it has it from the one that it was forked from."""

    role: Role
    content: str


class ExportedEvent(Value, frozen=True):
    """An event of one of the session's tasks."""

    task: int
    """Which of the tasks it is of, counted from 0."""
    stamped: Stamped


class BroughtTask(Value, frozen=True):
    """A task that has ended, and what its events make of it. Where it goes is not known yet: its keys are 0."""

    task: Task
    progress: Progress


class BroughtSession(Value, frozen=True):
    """A session that was checked to be whole, and is to be recorded as it is."""

    session: Session
    messages: tuple[Message, ...]
    tasks: tuple[BroughtTask, ...]
    """In their order."""
    events: tuple[ExportedEvent, ...]
    """In the order in which they were recorded."""
