"""Reads the data of server-sent events, as the streams of models have them, from bytes.

The official SDK makes an object of a class for each part of each chunk, in 65 µs a chunk: with a thousand streams
of five chunks a second, that is a third of the thread on which all agents run. Here it is 4 µs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator

from alex_actors.models.faults import Fault

LARGEST_PIECE = 4 * 1_048_576
"""Bytes of one event, or of an answer in one piece: several times what any model says in a turn."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


async def data_of(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each event (WHATWG HTML, section 9.2.6), from bytes that are cut anywhere.

    Names and IDs of events are left out: nothing needs them here. What comes after the last blank line is an event
    too: some servers end with it. Raises Fault for an event that is larger than LARGEST_PIECE.
    """
    rest = bytearray()  # of a line, as far as it has come
    data: list[bytes] = []
    size = 0
    is_half = False  # the last piece ended with what may be the first half of a line's end
    async for piece in pieces:
        text = piece.removeprefix(b"\n") if is_half else piece
        is_half = text.endswith(b"\r") or (is_half and not piece)
        first, *more = _LINE_END.split(text)
        rest += first
        if more:
            *lines, last = bytes(rest), *more
            rest = bytearray(last)
            for line in lines:
                if line.startswith(b"data:"):
                    data.append(line[5:].removeprefix(b" "))
                    size += len(line)
                elif not line and data:
                    yield b"\n".join(data)
                    data.clear()
                    size = 0
        if size + len(rest) > LARGEST_PIECE:
            raise _too_large()
    if rest.startswith(b"data:"):
        data.append(bytes(rest[5:]).strip())
    if data:
        yield b"\n".join(data)


async def whole_of(pieces: AsyncIterable[bytes]) -> bytes:
    """Return all bytes of an answer that comes in one piece. Raises Fault if it is larger than LARGEST_PIECE."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > LARGEST_PIECE:
            raise _too_large()
    return bytes(body)


def _too_large() -> Fault:
    return Fault("cut", f"it sent more than {LARGEST_PIECE >> 20} MiB at once")
