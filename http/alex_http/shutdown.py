"""When the server stops, and with which exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from alex_actors.log import Log
from alex_actors.store.writer import Superseded
from alex_actors.text import failure_line
from alex_http.transport import Server

EXIT_CANNOT_START = 2
"""There is no server, and none to come before somebody has seen to it: the text of the error says what."""

EXIT_CRASHED = 70
"""EX_SOFTWARE of sysexits.h: a part goes on crashing, and what watches over the server should start it again."""

FLUSH_TIMEOUT = 0.2
"""Seconds that the last lines have to get to standard output when the server is to stop at once."""


class Shutdown:
    """Stops the server on the first signal in good order, on the second at once; and when a part fails."""

    def __init__(self, *, log: Log, before_abort: Callable[[], None]) -> None:
        """``before_abort`` is called before the process ends at once: for what must not outlive it."""
        self._log = log.logger
        self._before_abort = before_abort
        self._flush = log.flush
        self._server: Server | None = None
        self._signalled = False
        self.requested = False
        self.exit_code = 0

    def watch_signals(self) -> None:
        """Take SIGINT and SIGTERM from now on. For the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def watch(self, server: Server) -> None:
        """Stop this server when it is time; at once if it was time before."""
        self._server = server
        if self.requested:
            server.stop()

    def crashed(self, error: BaseException) -> None:
        """Stop the server: a part of which there is only one crashes again and again, or it is superseded.

        From any thread.
        """
        self._log.critical("server.failed", error=failure_line(error))
        # Another server has the data: to be started again would be to take them back, and so on.
        self.exit_code = EXIT_CANNOT_START if isinstance(error, Superseded) else EXIT_CRASHED
        self._stop()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._signalled:
            self._log.warning("server.aborted", signal=name)
            self._before_abort()
            self._flush(timeout=FLUSH_TIMEOUT)
            os._exit(128 + number)
        self._signalled = True
        self._log.info("server.stopping", signal=name)
        self._stop()

    def _stop(self) -> None:
        self.requested = True
        if self._server is not None:
            self._server.stop()
