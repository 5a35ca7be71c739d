"""The agents' thread: one asyncio event loop, how far behind it is, and the threads for what blocks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from alex_actors.bounded_threads import BoundedThreads

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.ports import Clock

BEAT_SECONDS = 0.25
"""How often the thread notes that it is alive: its lag, as ``/health`` shows it, is known to within this."""

TOOL_THREADS = 16
"""For what the built-in tools do that blocks (files, mostly): enough to keep a disk busy, and a known number."""

FUNCTION_THREADS = 16
"""For users' own ``def`` tools, which nobody can end: they take none of the threads of others. As many as one turn
has calls at once."""

READING_THREADS = 4
"""For what agents read of the store: SQLite reads in microseconds, and no tool that takes long is before it."""


class LoopThread:
    """Runs ``loop`` until it is stopped. What blocks goes to a few threads more: ``asyncio.to_thread``.

    Users' own tools have threads of their own, ``functions``, and so have reads of the store: ``readers``.
    """

    def __init__(self, *, name: str, clock: Clock, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._last_beat = clock.monotonic()
        self.tools = BoundedThreads(TOOL_THREADS, name="tools", clock=clock)
        self.functions = BoundedThreads(FUNCTION_THREADS, name="functions", clock=clock)
        self.readers = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="readers")
        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self.loop.set_default_executor(self.tools)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    # Called by anyone.

    def lag(self) -> float:
        """Return for how many seconds the thread has not come round: an agent that blocks it holds up all."""
        return max(0.0, self._clock.monotonic() - self._last_beat - BEAT_SECONDS)

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Have the loop end, with whatever is still at work on it."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended
            self.loop.call_soon_threadsafe(self.loop.stop)

    def join(self, *, timeout: float) -> bool:
        """Wait for the end of the thread; return whether it came within ``timeout`` seconds."""
        self._thread.join(timeout)
        for threads in (self.tools, self.functions, self.readers):
            threads.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive()

    # On the thread.

    def _beat(self) -> None:
        self._last_beat = self._clock.monotonic()
        self.loop.call_later(BEAT_SECONDS, self._beat)

    def _run_until_stopped(self) -> bool:
        try:
            self.loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - asyncio lets SystemExit out of any task that an agent made
            self._log.critical("executor.failed", exc_info=error)
            return False
        return True

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._beat()
        while not self._run_until_stopped():
            pass
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
