"""What an agent knows of its session: the conversation before its own task."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from alex_actors.ports import Message
from alex_actors.text import shortened

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from alex_actors.store.reader import EarlierTask, StoreReader
    from alex_actors.tasks import Task

MOST_REMEMBERED = 1_000_000
"""Bytes of text: a quarter of a million tokens, which few models take, and no burden to load."""

_LONGEST_REASON = 200
"""Characters of why an earlier task failed."""


class Conversations(Protocol):
    """What was said in sessions."""

    async def before(self, task: Task) -> Sequence[Message]:
        """Return what was said in a task's session before it, in order: users' and assistants' messages.

        The same each time it is asked about a task, as far as the record is still there. Raises if it cannot be
        read: the task fails then.
        """


class NothingSaid:
    """Conversations that are not kept."""

    async def before(self, task: Task) -> Sequence[Message]:  # noqa: ARG002 - as Conversations has it
        """Return nothing."""
        return ()


class RecordedConversations:
    """What is on record of sessions: their tasks that had ended when a task began, each with its answer.

    Tasks of sub-agents are no part of it, and are told nothing of it: all that one knows is its own task. Before
    the session's own tasks comes what it was forked with.
    """

    def __init__(
        self, *, reader: StoreReader, most_bytes: int = MOST_REMEMBERED, threads: Executor | None = None
    ) -> None:
        """``most_bytes`` of text are remembered, the newest; ``threads`` read. None: those of the event loop."""
        self._reader = reader
        self._threads = threads
        self._most_bytes = most_bytes

    async def before(self, task: Task) -> Sequence[Message]:
        """Return what was said before a task; see Conversations. Reads on a thread."""
        if task.parent_task_id is not None:
            return ()
        inherited, tasks = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: self._reader.said_before(
                session_key=task.session_key,
                place=task.place,
                ended_by=task.started_at,
                most_bytes=self._most_bytes,
            ),
        )
        said = [Message(role=one.role, content=one.content) for one in inherited]
        for earlier in tasks:
            said += (Message(role="user", content=earlier.task), Message(role="assistant", content=_end(earlier)))
        return said


def _end(earlier: EarlierTask) -> str:
    """Return what came of a task. One without an answer has a note: else the next would be read as its part."""
    if earlier.answer is not None:
        return earlier.answer
    reason = "" if earlier.error is None else f" {shortened(earlier.error, _LONGEST_REASON)}"
    return f"[No answer: this task {'was cancelled' if earlier.status == 'cancelled' else 'failed'}.{reason}]"
