"""Where ``alex tail`` writes: a terminal, a file, or a program that may have gone."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from shutil import get_terminal_size

from alex_http.terminal.tail_lines import LineFormat, printable


class Output:
    """Standard output: shows lines as they are wanted, and notices when nobody reads it any more."""

    def __init__(self, *, as_json: bool, color: str, utc: bool, full_ids: bool) -> None:
        """``as_json``: lines pass as they are. ``color``: ``auto``, ``always`` or ``never``."""
        self._file = sys.stdout.buffer
        self._terminal = sys.stdout.isatty()
        self._as_json = as_json
        self.shown = False
        """Whether there was a line."""
        self.failure: OSError | None = None
        """Why nothing can be written: a full disk, say."""
        plain = not self._terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._format = LineFormat(
            color=color == "always" or (color == "auto" and not plain),
            width=get_terminal_size().columns if self._terminal else None,
            zone=UTC if utc else None,
            full_ids=full_ids,
        )

    def show(self, line: bytes) -> None:
        """Write a line, soon. Raises BrokenPipeError."""
        self.shown = True
        if not self._as_json:
            text = self._format(line).encode(errors="replace")
        elif self._terminal:  # escapes in it would steer the terminal
            text = f"{printable(line.decode(errors='backslashreplace'))}\n".encode(errors="replace")
        else:
            text = line + b"\n"
        with self._may_fail():
            self._file.write(text)

    def flush(self) -> None:
        """Have all of it written now. Raises BrokenPipeError if nobody reads, also if nothing is written."""
        with self._may_fail():
            self._file.flush()
        if self._terminal:
            self._format.resize(get_terminal_size().columns)
        else:
            reader = select.poll()
            reader.register(self._file.fileno(), 0)  # nothing is asked for; that a pipe has no reader is told
            if any(told & select.POLLERR for _, told in reader.poll(0)):
                raise BrokenPipeError

    @contextmanager
    def _may_fail(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            raise

    def forsake(self) -> None:
        """Write nothing more: what Python flushes at its end goes nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
