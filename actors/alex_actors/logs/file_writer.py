"""Writes the file of the log, in the thread that logs, and goes on in the next one when it is full.

No lock is taken; where threads meet, they do so in deques, whose single operations are atomic, also for a signal
handler that logs within a log call.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from io import FileIO
from math import inf
from typing import Protocol

from alex_actors.logs.output import MOST_WAITING, Output

_SECONDS_BETWEEN_LOOKS = 1.0
"""Between two looks at the file's name, of 2 µs each: as long may lines go to one that somebody has renamed."""


class Successor(Protocol):
    """Says which file of the log comes next. For one thread at a time; all raise OSError if the disk does."""

    def room_in(self, file: FileIO) -> float:
        """Return how many bytes the file takes until it is full."""

    def next_file(self, file: FileIO) -> FileIO | None:
        """Return the file to go on in; None: this one."""


class FileWriter:
    """Appends lines to a regular file that was opened to append, in the thread that logs: a crash loses none.

    A line is one ``write``, which the kernel puts at the end of the file in one piece, so threads need not take
    turns. Only after a write has failed they do: each leaves its line in a deque, and the one that gets the turn
    writes what is there, ends the torn line and says what was lost. The others go on, since who has the turn looks
    into the deque once more after giving it back. When all is written, lines are written directly again.

    One thing is left open: a line that another thread writes between a write that is cut short and the moment in
    which that is known stands behind the torn one. It takes a disk that is full and has room at the next moment.

    When the file is full, whose line filled it takes the turn and goes on in the next one; it does so, too, within
    a second, when somebody has renamed or removed the file. The others write to the old file until they see the
    new one. A count that threads share may miss some bytes: before anything is done, the file's size is asked.
    """

    def __init__(
        self,
        file: FileIO,
        *,
        lost_line: Callable[[int], bytes],
        torn: bool = False,
        most_waiting: int = MOST_WAITING,
        successor: Successor | None = None,
        not_rotated: Callable[[OSError], bytes] = lambda _: b"",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``lost_line`` makes the line that says how many were lost; ``torn``: the file ends within a line.

        ``not_rotated`` makes the line that says why there is no next file: it is written once until there is one.
        ``successor`` None: there is none, ever. ``now`` is in seconds.
        """
        self._output = Output(file, lost_line=lost_line, torn=torn)
        self._most_waiting = most_waiting
        self._successor = successor
        self._not_rotated = not_rotated
        self._now = now
        self._direct = not torn  # changed by who has the turn
        self._waiting: deque[bytes] = deque()
        """Lines; empty ones stand for lines that were cut short."""
        self._turn: deque[None] = deque([None])
        """Empty while a thread has the turn."""
        self._closed = False
        self._stuck = False  # whether it was said that there is no next file
        self._room = self._next_look = inf  # bytes until the file is full, more or less; when to look at its name
        if successor:
            self._look_again(successor, file)

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
                self._room -= written
                if self._room <= 0 or self._now() >= self._next_look:
                    self._mend()
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
        self._closed = True
        self._output.close()

    def _mend(self) -> None:
        """Go on in the next file, if it is time; write what waits, and what has to be said before. One thread."""
        while True:
            try:
                self._turn.pop()
            except IndexError:
                return
            try:
                if self._successor and not self._closed and (self._room <= 0 or self._now() >= self._next_look):
                    self._succeed(self._successor)
                if self._waiting or not self._direct or self._output.lost:
                    self._write_waiting()
            finally:
                self._turn.append(None)
            if not self._waiting:
                return

    def _write_waiting(self) -> None:
        self._direct = False
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._output.torn |= b"" in lines
        self._direct = self._output.append([line for line in lines if line])

    def _succeed(self, successor: Successor) -> None:
        """Go on in the next file, if there has to be one. One that cannot be made leaves us in this one."""
        before = self._output.file
        try:
            if file := successor.next_file(before):
                self._output.go_on_in(file)
                if self._closed:  # meanwhile, by another thread
                    self._output.close()
            self._stuck = False
        except OSError as error:
            if not self._stuck:
                self._stuck = True
                self._waiting.append(self._not_rotated(error))
        except ValueError:  # the file was closed meanwhile, by another thread
            return
        self._look_again(successor, self._output.file)

    def _look_again(self, successor: Successor, file: FileIO) -> None:
        """Look whether it has to be another file once this one is full, and each second."""
        self._next_look = self._now() + _SECONDS_BETWEEN_LOOKS
        try:
            room = successor.room_in(file)
        except (OSError, ValueError):  # as above
            room = inf
        self._room = inf if self._stuck else room
