"""Event streams as their readers see them: raw sockets, and a frame parsed once however many streams carry it.

Thousands of streams get the same bytes. On two cores whatever their reader spends is taken from the server that
it measures, so a frame that is known already costs one look into a dictionary.
"""

from __future__ import annotations

import json
import socket
from datetime import datetime
from typing import NamedTuple

MANY_FRAMES = 20_000
"""Different frames that are kept before they are forgotten and parsed anew: about 20 MB."""
LARGEST_READ = 65_536
"""Bytes that are read from a socket at once."""
ENDS = frozenset({"task_completed", "task_failed", "task_cancelled"})
"""What the last event of a task is called."""


class Event(NamedTuple):
    """A frame: ``id`` is 0 if it has none, ``recorded`` is in seconds since the epoch, a comment has no name."""

    id: int
    name: str
    recorded: float


class Frames:
    """Makes events of bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, Event] = {}

    def split(self, data: bytes) -> tuple[list[Event], bytes]:
        """Return the events in ``data``, and what is left: the beginning of a frame, or nothing."""
        *frames, rest = data.split(b"\n\n")
        known = self._known
        return [known.get(frame) or self._parse(frame) for frame in frames], rest

    def _parse(self, frame: bytes) -> Event:
        fields = dict(line.split(": ", 1) for line in frame.decode().split("\n") if not line.startswith(":"))
        recorded = 0.0
        if "id" in fields:
            recorded = datetime.fromisoformat(json.loads(fields["data"])["timestamp"]).timestamp()
        event = Event(int(fields.get("id", 0)), fields.get("event", ""), recorded)
        if len(self._known) >= MANY_FRAMES:
            self._known.clear()
        self._known[frame] = event
        return event


class Stream:
    """A connection that reads a stream.

    ``status`` is 0 until the reply has begun. ``connected`` says whether the first frame has come. Raises
    OSError if the server cannot be reached.
    """

    __slots__ = ("_frames", "_rest", "connected", "count", "position", "socket", "status")

    def __init__(self, address: tuple[str, int], request: bytes, *, source: str, frames: Frames) -> None:
        self._frames = frames
        self._rest = b""
        self.status = 0
        self.connected = False
        self.count = 0
        self.position = 0
        self.socket = socket.create_connection(address, timeout=60, source_address=(source, 0))
        self.socket.sendall(request)
        self.socket.setblocking(False)  # noqa: FBT003 - the parameter has no name

    def read(self) -> list[Event] | None:
        """Return the events that have come whole; None if the stream has ended, or the reply is no stream."""
        try:
            data = self.socket.recv(LARGEST_READ)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        if not data:
            return None
        if self._rest:
            data = self._rest + data
        if not self.status:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return []
            self.status = int(head.split(b" ", 2)[1])
        if self.status != 200:
            return None
        events, self._rest = self._frames.split(data)
        if not self.connected and events:
            self.connected = True
        return events


def watch(path: str, *, after: int = 0, version: str = "HTTP/1.1") -> bytes:
    """Return the request for a stream as it goes over the wire. ``after`` is the id of the last event seen."""
    resume = f"Last-Event-ID: {after}\r\n" if after else ""
    return f"GET {path} {version}\r\nHost: localhost\r\nAccept: text/event-stream\r\n{resume}\r\n".encode()
