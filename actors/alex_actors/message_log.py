"""The log of messages: at level ``debug``, a line for each, from which a task's way can be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alex_actors.messages import Message

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.actor import PooledActor


class MessageLog:
    """An observer of dispatchers. Logs a message when it is about to be handled."""

    def __init__(self, *, log: FilteringBoundLogger) -> None:
        self._log = log

    def __call__(self, actor: PooledActor, message: object) -> None:
        """Log one message: who sent it, to whom, and whose work it is."""
        if isinstance(message, Message):
            context = message.context
            ids = {"task_id": context.task_id, "session_id": context.session_id, "trace_id": context.trace_id}
            self._log.debug(
                "message",
                sender=context.sender,
                receiver=type(actor).__name__,
                type=type(message).__name__.lstrip("_"),
                **{name: value for name, value in ids.items() if value},
            )
