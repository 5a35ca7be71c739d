"""The log of messages: at level ``debug``, a line for each, from which a task's way can be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.actor import PooledActor
    from alex_actors.messages import Message


class MessageLog:
    """A journal of dispatchers. Logs a message when it was handled: it began ``took`` before the line's time."""

    def __init__(self, *, log: FilteringBoundLogger) -> None:
        self._log = log

    def handled(self, actor: PooledActor, message: Message, *, waited: float, took: float) -> None:
        """Log one message: who sent it, to whom, whose work it is; how many milliseconds it waited and took."""
        context = message.context
        ids = {"task_id": context.task_id, "session_id": context.session_id, "trace_id": context.trace_id}
        self._log.debug(
            "message",
            sender=context.sender,
            receiver=type(actor).__name__,
            type=type(message).__name__.lstrip("_"),
            waited=round(waited * 1000, 3),
            took=round(took * 1000, 3),
            **{name: value for name, value in ids.items() if value},
        )
