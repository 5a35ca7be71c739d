"""What is left of long results: a model is given less than a computer could hold, and told that there is more."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

MAX_TEXT = 64 * 1024
"""Bytes of a file or of a command's output, characters of a listing or of hits, that one tool call returns.

About 16,000 tokens: a few such results still fit into a model's context.
"""


def whole_characters(data: bytes) -> tuple[str, int]:
    """Return the text of bytes that may end within a character, and how many bytes of them it is.

    The half character is left out, for whoever reads on; what is no UTF-8 is shown by replacement characters.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(data)
    half, _ = decoder.getstate()
    return text, len(data) - len(half)


def head(data: bytes, *, size: int) -> str:
    """Return the text of the first bytes of ``size``, with a note if there are more."""
    if size <= len(data):
        return data.decode(errors="replace")
    text, _ = whole_characters(data)
    return f"{text}\n[only the first {len(data):,} of {size:,} bytes are shown]"


def fitting(lines: Iterable[str]) -> list[str]:
    """Return as many of the first lines as make up a text that a tool may return; at least one if there is one."""
    found: list[str] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if found and size > MAX_TEXT:
            break
        found.append(line)
    return found
