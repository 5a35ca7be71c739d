"""From the bytes of an event stream to its frames, within a limit. No input or output.

As the standard has it (https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6): UTF-8, whatever the
Content-Type says, and lines that end with CR LF, LF or CR.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from httpx_sse import ServerSentEvent

from alex_http.client.errors import BadReply

LARGEST_FRAME = 16 * 2**20
"""Bytes of one frame. The server's are some KiB; a task's text and its answer, the largest, at most a few MiB."""

_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)?")


class Frames:
    """The frames of one connection. Holds no more than one frame that is not whole."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_cr = False
        self._size = 0
        self._event = ""
        self._data: list[str] = []
        self._retry: int | None = None

    def received(self, piece: bytes) -> Iterator[ServerSentEvent]:
        """Take what came next; yield the frames that are whole with it. Raises BadReply if one is too long."""
        begin = 1 if self._after_cr and piece.startswith(b"\n") else 0
        if piece:
            self._after_cr = piece.endswith(b"\r")
        for match in _LINE.finditer(piece, begin):  # one at a time: a piece may have millions of lines
            self._line += match[0]
            if self._size + len(self._line) > LARGEST_FRAME:
                raise BadReply(f"This is no stream of Alex Runtime: a frame is longer than {LARGEST_FRAME} bytes.")
            if match[0].endswith((b"\n", b"\r")):
                frame = self._whole_line()
                if frame is not None:
                    yield frame

    def _whole_line(self) -> ServerSentEvent | None:
        """Take the line that is whole now; return the frame that it ends, if it says something."""
        line = self._line.rstrip(b"\r\n").decode("utf-8", "replace")
        size, self._line = len(self._line), bytearray()
        if line:
            if not line.startswith(":"):  # nothing is kept of a comment
                self._size += size
                self._field(*line.partition(":")[::2])
            return None
        frame = ServerSentEvent(event=self._event, data="\n".join(self._data), retry=self._retry)
        says_something = self._event or self._data or self._retry is not None
        self._event, self._data, self._retry, self._size = "", [], None, 0
        return frame if says_something else None

    def _field(self, name: str, value: str) -> None:
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "retry" if value.isascii() and value.isdigit() and len(value) < 20:
                self._retry = int(value)
            case _:
                pass  # the id, too: it stands in the event
