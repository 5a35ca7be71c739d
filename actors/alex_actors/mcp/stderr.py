"""What MCP servers on stdio write to their standard error: lines of the log, redacted, and not too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from alex_actors.ports import Clock

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

LONGEST_LINE = 2000
"""Bytes of a line that are logged."""

LINES = 100
"""Lines that are logged in a minute: a start or a traceback, not all that a server says at its level debug."""

_MINUTE = 60.0


class StderrLines(asyncio.Protocol):
    """Logs what comes through a pipe as ``mcp.stderr``. What it does not log it reads, so that nobody blocks."""

    def __init__(
        self, *, log: FilteringBoundLogger, clock: Clock, redact: Callable[[str], str], server: str
    ) -> None:
        self._log = log.bind(server=server)
        self._clock = clock
        self._redact = redact
        self._line = bytearray()
        self._until = 0.0
        self._left = 0
        self._dropped = 0

    def data_received(self, data: bytes) -> None:
        """Log each line that ends."""
        first, *others = data.split(b"\n")
        self._keep(first)
        for other in others:
            self._note()
            self._keep(other)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Log the last line, if it did not end, and what was left out."""
        self._note()
        self._tell_dropped()

    def _keep(self, piece: bytes) -> None:
        self._line += piece[: LONGEST_LINE - len(self._line)]

    def _note(self) -> None:
        line = self._line.decode(errors="replace").rstrip()
        self._line.clear()
        if not line:
            return
        if self._clock.monotonic() >= self._until:
            self._tell_dropped()
            self._until = self._clock.monotonic() + _MINUTE
            self._left = LINES
        if self._left:
            self._left -= 1
            self._log.info("mcp.stderr", line=self._redact(line))
        else:
            self._dropped += 1

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._log.warning("mcp.stderr_dropped", lines=self._dropped)
        self._dropped = 0
