"""The lines at the bottom of a terminal that change, below those that stay."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text


class Bottom:
    """Draws a few lines again and again, and writes what stays above them, once.

    Each change is one write, so that nothing flickers. What is erased is counted in rows of the width that the
    terminal has then: a terminal that was made narrower has wrapped the lines that were drawn before.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._drawn: Sequence[int] = ()
        """The widths of the lines that are on the screen."""
        self._shown = ""

    def draw(self, lines: Sequence[Text], above: str = "") -> None:
        """Write what stays, and the lines below it in place of those that are there."""
        width = self.console.width - 1  # a line that is full has the cursor wait for the next one
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        with self.console.capture() as captured:
            for number, line in enumerate(lines):
                self.console.print(line, end="\n" if number < len(lines) - 1 else "", no_wrap=True, crop=True)
        shown = captured.get()
        if not above and shown == self._shown:
            return
        self._write(self._erasing() + above + shown)
        self._drawn = [cell_len(line.plain) for line in lines]
        self._shown = shown

    def clear(self) -> None:
        """Erase the lines."""
        self._write(self._erasing())
        self._drawn, self._shown = (), ""

    def _erasing(self) -> str:
        if not self._drawn:
            return ""
        rows = sum(max(1, -(-width // self.console.width)) for width in self._drawn)
        # Row by row: what is erased at once from the first row of the screen on, tmux puts into its scrollback.
        return "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (rows - 1)

    def _write(self, text: str) -> None:
        if text:
            self.console.file.write(text)
            self.console.file.flush()
