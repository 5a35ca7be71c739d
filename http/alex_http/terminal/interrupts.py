"""Ctrl-C and single keys, without an exception in the middle of something."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType

from alex_http.terminal.views import is_terminal

MOST_NOT_TAKEN = 2
"""Presses of Ctrl-C that wait to be taken: that is done ten times a second, unless the command hangs."""


class Interrupts:
    """Keeps presses of Ctrl-C while entered. A third that nobody takes ends the process, whatever it is at."""

    def __init__(self) -> None:
        self._presses: SimpleQueue[None] = SimpleQueue()  # may be put to in a signal handler

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take SIGINT. SIGTERM and SIGHUP end the process in order, so that the terminal is left as it was."""
        handlers = {signal.SIGINT: self._on_interrupt, signal.SIGTERM: _leave, signal.SIGHUP: _leave}
        before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) is not signal.SIG_IGN  # as nohup has it
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pressed(self, *, within: float = 0.0) -> bool:
        """Return whether it is pressed, again, within so many seconds."""
        try:
            self._presses.get(timeout=within) if within else self._presses.get_nowait()
        except Empty:
            return False
        return True

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._presses.qsize() >= MOST_NOT_TAKEN:
            raise KeyboardInterrupt
        self._presses.put(None)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


class Keys:
    """Single keys of the terminal at standard input, which shows none of them meanwhile."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pressed(self) -> str | None:
        """Return a key that was pressed, in lower case; None if there was none."""
        if not _in_foreground(self._descriptor) or not select.select([self._descriptor], [], [], 0)[0]:
            return None
        return os.read(self._descriptor, 1).decode("ascii", "replace").lower() or None

    def forget(self) -> None:
        """Forget what was pressed before: it was not meant for the question that comes now."""
        if _in_foreground(self._descriptor):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)


@contextmanager
def keys() -> Iterator[Keys | None]:
    """Take keys one by one; None if standard input is no terminal, or that of another command (``alex … &``)."""
    if not is_terminal(sys.stdin) or not _in_foreground(sys.stdin.fileno()):
        yield None
        return
    descriptor = sys.stdin.fileno()

    def take(_number: int = 0, _frame: FrameType | None = None) -> None:
        if _in_foreground(descriptor):
            tty.setcbreak(descriptor)

    before = termios.tcgetattr(descriptor)
    take()
    continued = signal.signal(signal.SIGCONT, take)  # after Ctrl-Z the shell has given it its own modes
    try:
        yield Keys(descriptor)
    finally:
        signal.signal(signal.SIGCONT, continued)
        if _in_foreground(descriptor):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _in_foreground(descriptor: int) -> bool:
    """Return whether the terminal is ours: who changes that of another command is stopped."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # a terminal that controls no process stops none
        return True
