"""Readers of event streams on raw sockets: what comes is seen byte by byte, and frames when they are whole."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import httpx

from tests.live.client import TERMINAL, Client
from tests.live.process import SOON, Json

LARGEST_READ = 65_536
"""Bytes that are read from a socket at once."""
COMMENT = "comment"
"""What the event of a frame is called here that is a comment: it has no name of its own."""

_FIELDS = re.compile(r"(?:retry: \d+\n)?(?:id: (?P<id>\d+)\n)?event: (?P<event>\w+)\ndata: (?P<data>.+)")


class Frame(NamedTuple):
    """What an empty line ends. ``id`` is 0 if it has none; of a comment, ``data`` is what follows the colon."""

    id: int
    event: str
    data: str

    def json(self) -> Json:
        """Return its data, decoded."""
        decoded: Json = json.loads(self.data)
        return decoded


class Head(NamedTuple):
    """The status and the headers of a reply."""

    status: int
    headers: httpx.Headers


def split_frames(received: bytes) -> tuple[list[Frame], bytes]:
    """Return the whole frames, and the bytes of one that is not. Raises AssertionError if one is malformed."""
    *whole, rest = received.split(b"\n\n")
    return list(map(_frame, whole)), rest


def _frame(received: bytes) -> Frame:
    text = received.decode()
    if text.startswith(":") and "\n" not in text:
        return Frame(0, COMMENT, text[1:])
    fields = _FIELDS.fullmatch(text)
    assert fields is not None, f"no frame: {received!r}"
    return Frame(int(fields["id"] or 0), fields["event"], fields["data"])


def split_head(received: bytes) -> tuple[Head | None, bytes]:
    """Return the head of a reply, None if it is not whole, and the bytes that follow."""
    lines, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None, received
    status, *headers = lines.decode("latin-1").split("\r\n")
    pairs = [header.split(": ", 1) for header in headers]
    return Head(int(status.split(" ")[1]), httpx.Headers([(name, value) for name, value in pairs])), rest


def request(
    path: str,
    headers: Mapping[str, object] | None = None,
    *,
    method: str = "GET",
    version: str = "HTTP/1.1",
) -> bytes:
    """Return a request for a stream, with these headers besides Host, and Accept if it is not among them."""
    given = {"Host": "localhost", "Accept": "text/event-stream"} | dict(headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} {version}\r\n{lines}\r\n".encode()


def connect(url: str, *, source: str = "", buffer: int | None = None) -> socket.socket:
    """Open a connection, from the address ``source``, with a receive buffer of so many bytes. Raises OSError."""
    address = urlsplit(url)
    sock = socket.socket()
    sock.settimeout(SOON)
    if buffer is not None:  # before it is connected: the window is agreed on then
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    try:
        sock.bind((source, 0))
        sock.connect((address.hostname, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close a connection as a process that dies does at times: with a reset in place of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_one_reply(sock: socket.socket) -> httpx.Response:
    """Read one reply and nothing of what follows it."""
    received = b""
    while (head := split_head(received)[0]) is None:
        received += _some(sock, 1)
    length = int(head.headers["Content-Length"])
    body = b""
    while len(body) < length:
        body += _some(sock, length - len(body))
    return httpx.Response(head.status, headers=head.headers, content=body)


def _some(sock: socket.socket, most: int) -> bytes:
    data = sock.recv(most)
    assert data, "the connection ends inside of a reply, or before it"
    return data


class Stream:
    """A stream that is read frame by frame, each within ``SOON``."""

    def __init__(self, sock: socket.socket, sent: bytes) -> None:
        """Send a request on a connection, and read the head of the reply."""
        self.sock = sock
        self.rest = b""
        """What came of a frame that is not whole."""
        self._frames: list[Frame] = []
        sock.sendall(sent)
        self.head, self.rest = self._read_head()
        if self.is_open:
            self._frames, self.rest = split_frames(self.rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames until the end of the stream, which is where a frame ends."""
        while (frame := self.next()) is not None:
            yield frame

    @property
    def is_open(self) -> bool:
        """Whether the reply is a stream."""
        return str(self.head.headers.get("content-type")).startswith("text/event-stream")

    def next(self) -> Frame | None:
        """Return the next frame; None at the end."""
        while not self._frames:
            data = self._read()
            if not data:
                assert self.rest == b"", f"the stream ends inside of a frame: {self.rest!r}"
                return None
            self._frames, self.rest = split_frames(self.rest + data)
        return self._frames.pop(0)

    def until(self, event: str, *, times: int = 1) -> list[Frame]:
        """Return the frames up to one with this event, the first of them, or as many as there are ``times``."""
        taken: list[Frame] = []
        while times:
            frame = self.next()
            assert frame is not None, f"the stream ended before {event}"
            taken.append(frame)
            times -= frame.event == event
        return taken

    def body(self) -> bytes:
        """Return what follows the head, unparsed, up to the end. For a reply that is no stream."""
        return b"".join([self.rest, *iter(self._read, b"")])

    def _read(self) -> bytes:
        return self.sock.recv(LARGEST_READ)

    def _read_head(self) -> tuple[Head, bytes]:
        received = b""
        while True:
            head, rest = split_head(received)
            if head is not None:
                return head, rest
            data = self._read()
            assert data, f"the reply ends inside of its head: {received!r}"
            received += data


def open_stream(
    client: Client,
    path: str,
    headers: Mapping[str, object] | None = None,
    *,
    source: str = "",
    buffer: int | None = None,
) -> Stream:
    """Ask for a stream on a connection of its own, as ``connect`` and ``request`` have it."""
    return Stream(connect(client.url, source=source, buffer=buffer), request(path, headers))


def as_frames(events: Iterable[Mapping[str, object]]) -> list[tuple[int, str, Mapping[str, object]]]:
    """Return events as they are recorded in the form of ``as_recorded``."""
    return [(int(str(event["event_id"])), str(event["event_type"]), event) for event in events]


def as_recorded(frames: Iterable[Frame]) -> list[tuple[int, str, Mapping[str, object]]]:
    """Return what frames say was recorded: the id, the type and the data of each that has an id."""
    return [(frame.id, frame.event, frame.json()) for frame in frames if frame.id]


def recorded_in_session(client: Client, session_id: str) -> list[Json]:
    """Return all events of a session's tasks that are recorded, in order."""
    tasks = client.tasks(session_id=session_id, limit=1000)["tasks"]
    events = [event for task in tasks for event in client.events(task["task_id"])]
    return sorted(events, key=lambda event: int(event["event_id"]))


def is_terminal(frame: Frame) -> bool:
    """Return whether nothing follows on a task's stream."""
    return frame.event in TERMINAL
