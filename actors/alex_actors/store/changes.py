"""The changes that wait for a commit, and what may be wrong with one."""

from __future__ import annotations

from typing import Any, TypeAlias

from alex_actors.messages import Promise
from alex_actors.task_store_protocol import Create, MakeSession, Record, RecordCrash
from alex_actors.values import Context, Value


class Dropped(Value, frozen=True):
    """Ends the task of a change that was dropped, and answers its sender."""

    context: Context
    change: Record | RecordCrash


Change: TypeAlias = Create | Record | RecordCrash | MakeSession | Dropped
"""What is written."""


class Poisoned(Exception):
    """Putting a transaction together failed for its cause: a fault of a change, or of the code that takes it."""


class Pending(Value, frozen=True):
    """A change that waits for the next commit, and who waits for it."""

    change: Change
    promise: Promise[Any] | None  # Any: of what the change is answered with
