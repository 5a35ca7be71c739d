"""Where log lines go: a file, which is written directly, and standard output, which has a queue and a thread.

Nothing here raises in the one who logs, or makes it wait for another: a line that cannot be written is counted,
and said to be lost once writing works again. No lock is taken; where threads meet, they do so in a deque or a
``SimpleQueue``, whose single operations are atomic, also for a signal handler that logs within a log call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from io import FileIO
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from alex_actors.log_formats import Entry, Format
from alex_actors.logs.output import MOST_WAITING, Output

BATCH = 262_144
"""Bytes from which on a write is not made longer. Between two writes busy threads keep the interpreter for 5 ms
(``sys.getswitchinterval``): with a quarter of this, a queue falls behind at 60,000 lines a second."""

_PAUSE = 0.01
"""Seconds between two writes of a queue that keeps up. No person sees it, and without it each line would wake
the thread that writes, which then fights the others for the interpreter."""


class Writer(Protocol):
    """Takes whole lines, from any thread."""

    def write(self, line: bytes) -> None:
        """Write one line, now or soon. Never raises."""

    @property
    def lost(self) -> int:
        """Return how many lines could not be written, in all. Those that still wait are not among them."""

    def flush(self, *, timeout: float) -> bool:
        """Wait, at most ``timeout`` seconds, until no line waits of those so far. Return whether that is so."""

    def close(self, *, timeout: float) -> None:
        """Flush, say what was lost, if that can be written now, and close. Later lines are lost."""


class QueuedWriter:
    """Writes lines to a pipe or a terminal in a thread of its own, so that one that is stuck holds up nobody.

    What waits is joined into one write. When too much waits, lines are lost until there is room.
    """

    def __init__(
        self, file: FileIO, *, lost_line: Callable[[int], bytes], most_waiting: int = MOST_WAITING
    ) -> None:
        """``lost_line`` makes the line that says how many were lost. The file is closed by the thread."""
        self._output = Output(file, lost_line=lost_line)
        self._most_waiting = most_waiting
        self._closed = False
        self._queue: SimpleQueue[bytes | SimpleQueue[None] | None] = SimpleQueue()
        """Lines; queues of those who wait until all before is written; at the end None."""
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Return how many lines could not be written, in all. Those that still wait are not among them."""
        too_late = 0 if self._thread.is_alive() else self._queue.qsize()
        return self._output.lost + too_late

    def write(self, line: bytes) -> None:
        """Have one line written soon."""
        if self._closed or self._queue.qsize() >= self._most_waiting:
            self._output.lose(1)
        else:
            self._queue.put(line)

    def flush(self, *, timeout: float) -> bool:
        """Wait, at most ``timeout`` seconds, until no line waits of those so far. Return whether that is so."""
        if self._closed:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        done: SimpleQueue[None] = SimpleQueue()
        self._queue.put(done)
        try:
            done.get(timeout=timeout)
        except Empty:
            return False
        return True

    def close(self, *, timeout: float) -> None:
        """Flush, and end the thread; one that is stuck for longer than ``timeout`` seconds is left behind."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        item = self._queue.get()
        while item is not None:
            if isinstance(item, bytes):
                item = self._write_batch(item)
            else:
                item.put(None)
                item = self._queue.get()
        self._output.append(())  # says what was lost last
        self._output.close()

    def _write_batch(self, first: bytes) -> bytes | SimpleQueue[None] | None:
        """Write a line and those that wait behind it. Return what comes after them, which may take long."""
        lines: list[bytes] = []
        size = 0
        item: bytes | SimpleQueue[None] | None = first
        while isinstance(item, bytes) and size < BATCH:
            lines.append(item)
            size += len(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                self._output.append(lines)
                time.sleep(_PAUSE)
                return self._queue.get()
        self._output.append(lines)
        return item


class Sinks:
    """All outputs: formats an entry once a format, and writes it everywhere."""

    def __init__(
        self,
        outputs: Sequence[tuple[Format, Sequence[Writer]]],
        *,
        also: Callable[[Entry], None] | None = None,
    ) -> None:
        """``also`` is given each entry, in the thread that logs: it must not wait, raise or change it."""
        self._outputs = outputs
        self._also = also
        self._writers = [writer for _, writers in outputs for writer in writers]

    def write(self, entry: Entry) -> None:
        """Write an entry."""
        for format_entry, writers in self._outputs:
            line = format_entry(entry)
            for writer in writers:
                writer.write(line)
        if self._also is not None:
            self._also(entry)

    @property
    def lost(self) -> int:
        """Return how many lines could not be written, over all outputs."""
        return sum(writer.lost for writer in self._writers)

    def flush(self, *, timeout: float) -> bool:
        """Wait, at most ``timeout`` seconds an output, until no line waits. Return whether that is so."""
        flushed = [writer.flush(timeout=timeout) for writer in self._writers]
        return all(flushed)

    def close(self, *, timeout: float) -> None:
        """Close all outputs; wait at most ``timeout`` seconds for each to take what still waits."""
        for writer in self._writers:
            writer.close(timeout=timeout)
