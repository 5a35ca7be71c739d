"""What the transport needs from outside, as interfaces: a clock and a log."""

from __future__ import annotations

from typing import Any, Protocol


class Clock(Protocol):
    """Tells how much time has passed."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class Log(Protocol):
    """Takes what happened, by name, and what belongs to it. structlog's loggers are such."""

    def warning(self, event: str, **fields: Any) -> Any:  # Any: a field may be anything, the answer is ignored
        """Log what may need a person's attention."""

    def error(self, event: str, **fields: Any) -> Any:  # as above
        """Log a failure. ``exc_info`` is the exception, if there was one."""
