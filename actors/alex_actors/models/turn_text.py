"""The text of a model's turn as it comes: of whole characters, and not longer than can be recorded."""

from __future__ import annotations

import re
from bisect import bisect_right

import msgspec

from alex_actors.text import encodable

LONGEST_TEXT = 800_000
"""Bytes of JSON that a turn's text may be: with the secrets in it replaced by something longer, it still fits into
an event. No model says as much at once."""

LONG_NOTICE = "\n\n[The answer ends here: it is too long to be recorded.]"
"""The end of a text that was cut."""

_HALF = re.compile("[\ud800-\udfff]")


class TurnText:
    """Takes the pieces of a text. Joined, what it returns for them is ``content``."""

    def __init__(self) -> None:
        self.is_cut = False
        """Whether there was more than is kept."""
        self._pieces: list[str] = []
        self._half = ""
        self._room = LONGEST_TEXT

    @property
    def content(self) -> str:
        """Return the text so far."""
        return "".join(self._pieces)

    def add(self, text: str) -> str:
        """Take the next piece, and return what it adds. Half a character waits for the other half."""
        text = paired(self._half + text)
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return self._keep(text.removesuffix(self._half))

    def end(self, notice: str = "") -> str:
        """Return what is to be added at the end: half a character that was left over, and a notice."""
        half, self._half = self._half, ""
        ended = self._keep(half) + notice
        self._pieces.append(notice)
        return ended

    def _keep(self, text: str) -> str:
        if self.is_cut or not text:
            return ""
        text = encodable(text)
        size = json_size(text)
        if size > self._room:
            self.is_cut = True
            text = fitting(text, self._room)
        self._room -= size
        self._pieces.append(text)
        return text


def paired(text: str) -> str:
    """Return a text in which two halves of a surrogate pair are one character; single halves stay."""
    if text.isascii() or _HALF.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def json_size(text: str) -> int:
    """Return how many bytes a text has as JSON, without its quotation marks."""
    return len(msgspec.json.encode(text)) - 2


def fitting(text: str, size: int) -> str:
    """Return as much of a text, from its beginning, as has so many bytes as JSON."""
    if json_size(text) <= size:
        return text
    return text[: bisect_right(range(len(text)), size, key=lambda length: json_size(text[:length])) - 1]
