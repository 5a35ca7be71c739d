"""Where log lines go: a file, which is written directly, and standard output, which has a queue and a thread.

Nothing here raises in the one who logs, or makes it wait for another: a line that cannot be written is counted,
and said to be lost once writing works again. No lock is taken; where threads meet, they do so in a deque or a
``SimpleQueue``, whose single operations are atomic, also for a signal handler that logs within a log call.
"""

from __future__ import annotations

import select
import time
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from io import FileIO
from itertools import accumulate
from queue import Empty, SimpleQueue
from threading import Thread, get_ident
from typing import Protocol

from alex_actors.log_formats import Entry, Format

MOST_WAITING = 10_000
"""Lines that may wait for an output: 3 MB of usual ones, and half a second of a server under full load."""

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


class _Output:
    """A file that lines are appended to: how many were lost, and whether the last one has its end.

    ``put``, ``lose`` and ``lost`` are for all threads, the rest is for one at a time.
    """

    def __init__(self, file: FileIO, *, lost_line: Callable[[int], bytes], torn: bool = False) -> None:
        """``lost_line`` makes the line that says how many were lost; ``torn``: the file ends within a line."""
        self.torn = torn
        self._file = file
        self._lost_line = lost_line
        self._told = 0
        # Each thread counts for itself: ``+=`` on a number that threads share is not sure to be exact.
        self._lost: defaultdict[int, int] = defaultdict(int)

    @property
    def lost(self) -> int:
        """Return how many lines were lost, in all."""
        return sum(tuple(self._lost.values()))

    def lose(self, lines: int) -> None:
        """Count lines as lost."""
        self._lost[get_ident()] += lines

    def put(self, data: bytes) -> int | None:
        """Write what can be written at once. Return how many bytes; None if the file is full for the moment."""
        try:
            # FileIO, and not a bare descriptor: after close() it refuses, where the number might by then be
            # another file's, the database's for one.
            return self._file.write(data)
        except (OSError, ValueError):  # no space, closed pipe, closed file
            return 0

    def append(self, lines: Sequence[bytes]) -> bool:
        """Write lines, after a line that says what was lost before them. Return whether nothing is lost now."""
        if not self._mended():
            self.lose(len(lines))
            return False
        ends = list(accumulate(map(len, lines), initial=0))
        written = self._put_all(b"".join(lines))
        if written == ends[-1]:
            return True
        whole = bisect_right(ends, written + 1) - 1  # one that lacks but its newline is whole: it gets it later
        self.torn = written != ends[whole]
        self.lose(len(lines) - whole)
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _mended(self) -> bool:
        """End a torn line and report lost ones. Return whether that is done, or was not needed."""
        lost = self.lost - self._told
        mending = b"\n" * self.torn + (self._lost_line(lost) if lost else b"")
        written = self._put_all(mending)
        if written < len(mending):
            self.torn = written != int(self.torn)  # unless nothing but the missing end was written
            return False
        self.torn = False
        self._told += lost
        return True

    def _put_all(self, data: bytes) -> int:
        """Write all of it, unless that fails, for as long as it takes. Return how many bytes were written."""
        rest = data
        while rest and (written := self.put(rest)) != 0:
            if written is None:  # a pipe or a terminal that somebody else has made non-blocking
                select.select((), (self._file,), ())
            else:
                rest = rest[written:]
        return len(data) - len(rest)


class FileWriter:
    """Appends lines to a regular file that was opened to append, in the thread that logs: a crash loses none.

    A line is one ``write``, which the kernel puts at the end of the file in one piece, so threads need not take
    turns. Only after a write has failed they do: each leaves its line in a deque, and the one that gets the turn
    writes what is there, ends the torn line and says what was lost. The others go on, since who has the turn looks
    into the deque once more after giving it back. When all is written, lines are written directly again.

    One thing is left open: a line that another thread writes between a write that is cut short and the moment in
    which that is known stands behind the torn one. It takes a disk that is full and has room at the next moment.
    """

    def __init__(
        self,
        file: FileIO,
        *,
        lost_line: Callable[[int], bytes],
        torn: bool = False,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """``lost_line`` makes the line that says how many were lost; ``torn``: the file ends within a line."""
        self._output = _Output(file, lost_line=lost_line, torn=torn)
        self._most_waiting = most_waiting
        self._direct = not torn  # changed by who has the turn
        self._waiting: deque[bytes] = deque()
        """Lines; empty ones stand for lines that were cut short."""
        self._turn: deque[None] = deque([None])
        """Empty while a thread has the turn."""

    @property
    def lost(self) -> int:
        """Return how many lines could not be written, in all."""
        return self._output.lost

    def write(self, line: bytes) -> None:
        """Write one line."""
        # Asked in this order, or a thread could overtake itself: _direct is unset before lines leave the deque.
        if not self._waiting and self._direct:
            written = self._output.put(line)
            if written == len(line):
                return
            if written:
                if written < len(line) - 1:  # else only the newline is missing, and comes later
                    self._output.lose(1)
                line = b""
        elif len(self._waiting) >= self._most_waiting:  # whoever has the turn is stuck in a write
            self._output.lose(1)
            return
        self._waiting.append(line)
        self._mend()

    def flush(self, *, timeout: float) -> bool:
        """Return whether no line waits, which is so unless another thread is about to write it."""
        del timeout
        return not self._waiting

    def close(self, *, timeout: float) -> None:
        """Say what was lost, if that can be written now, and close the file. Later lines are lost."""
        del timeout
        self._mend()
        self._output.close()

    def _mend(self) -> None:
        """Write what waits, and what has to be said before it, unless another thread does."""
        while True:
            try:
                self._turn.pop()
            except IndexError:
                return
            try:
                self._direct = False
                lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
                self._output.torn |= b"" in lines
                self._direct = self._output.append([line for line in lines if line])
            finally:
                self._turn.append(None)
            if not self._waiting:
                return


class QueuedWriter:
    """Writes lines to a pipe or a terminal in a thread of its own, so that one that is stuck holds up nobody.

    What waits is joined into one write. When too much waits, lines are lost until there is room.
    """

    def __init__(
        self, file: FileIO, *, lost_line: Callable[[int], bytes], most_waiting: int = MOST_WAITING
    ) -> None:
        """``lost_line`` makes the line that says how many were lost. The file is closed by the thread."""
        self._output = _Output(file, lost_line=lost_line)
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

    def __init__(self, outputs: Sequence[tuple[Format, Sequence[Writer]]]) -> None:
        self._outputs = outputs
        self._writers = [writer for _, writers in outputs for writer in writers]

    def write(self, entry: Entry) -> None:
        """Write an entry."""
        for format_entry, writers in self._outputs:
            line = format_entry(entry)
            for writer in writers:
                writer.write(line)

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
