"""Readers who misbehave: they come and go, resume, start again, stop reading, and reset their connections.

Each keeps what it received, so that it can be compared with what is recorded.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bench.event_streams import ENDS, Frames, watch

Whim: TypeAlias = Literal["reconnect", "reset", "start again", "stop reading"]
WHIMS: tuple[Whim, ...] = ("reconnect", "reset", "start again", "stop reading")
WEIGHTS = (5, 2, 1, 2)
PATIENCE = 30.0
"""Mean seconds until a reader does something else than read."""
LONG_PAUSE = 40.0
"""Seconds without reading after which the server has cut a connection that it could not write to."""
SMALL_BUFFER = 4096
"""Bytes that wait in a reader, and in its kernel: small, so that one who stops reading is noticed."""
RETRY = 0.5
"""Seconds until a reader whom the server left comes again."""


@dataclass
class Watch:
    """What was received of a stream from one position on, across its connections."""

    path: str
    after: int
    ids: array[int] = field(default_factory=lambda: array("q"))
    complete: bool = False
    """Whether nothing more can come."""

    @property
    def position(self) -> int:
        """The id of the last event received."""
        return self.ids[-1] if self.ids else self.after

    def fault(self, recorded: list[int]) -> str | None:
        """Say where this differs from what is recorded; None if it does not. ``recorded`` is in order."""
        expected = [event for event in recorded if event > self.after]
        if not self.complete:
            expected = expected[: len(self.ids)]
        if self.ids.tolist() == expected:
            return None
        place = next(
            (i for i, (a, b) in enumerate(zip(self.ids, expected, strict=False)) if a != b), len(expected)
        )
        place = min(place, len(self.ids))
        return (
            f"{self.path} after {self.after}: {len(self.ids)} events instead of {len(expected)}; at place {place} "
            f"came {self.ids[place : place + 3].tolist()} instead of {expected[place : place + 3]}"
        )


class Watcher:
    """Watches one topic after the other until it is told to finish.

    ``topic`` returns the path of what to watch next; ``last`` the id that a stream that never ends will have
    reached when all is over, once that is known.
    """

    def __init__(
        self,
        *,
        address: tuple[str, int],
        topic: Callable[[], str],
        last: Callable[[str], int | None],
        randomness: random.Random,
        frames: Frames,
        counts: Counter[str],
        retry: float = RETRY,
    ) -> None:
        self._address = address
        self._topic = topic
        self._last = last
        self._random = randomness
        self._frames = frames
        self._counts = counts
        self._retry = retry
        self._finishing = False
        self._timeout: asyncio.Timeout | None = None
        self.watches: list[Watch] = []

    def finish(self) -> None:
        """Have it read to the end of what it watches now, and return."""
        self._finishing = True
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Watch until finished."""
        while not self._finishing:
            path = self._topic()
            if self.watches and self.watches[-1].path == path:  # it has ended, and there is nothing new yet
                await self._idle(self._retry)
                continue
            now = Watch(path, after=0)
            self.watches.append(now)
            try:
                while not self._seen(now):
                    again = await self._connection(now)
                    if again is not None:
                        now = again
                        self.watches.append(now)
            finally:
                now.complete = True  # also if it is given up: what is missing then is a fault

    def _seen(self, now: Watch) -> bool:
        """Whether there is no more to be read."""
        last = self._last(now.path) if self._finishing else None
        return now.complete or (last is not None and now.position >= last)

    async def _connection(self, now: Watch) -> Watch | None:
        """Read on one connection. Returns another watch if this is to start again."""
        try:
            reader, writer = await self._connected()
        except OSError:
            self._counts["not connected"] += 1
            await asyncio.sleep(self._retry)
            return None
        try:
            writer.write(watch(now.path, after=now.position))
            self._counts["opened" if now.position == now.after else "resumed"] += 1
            return await self._read(now, reader, writer)
        except ConnectionError:
            self._counts["reset by the server"] += 1
            return None
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            sock.setblocking(False)  # noqa: FBT003 - the parameter has no name
            await asyncio.get_running_loop().sock_connect(sock, self._address)
            return await asyncio.open_connection(sock=sock, limit=SMALL_BUFFER)
        except BaseException:
            sock.close()
            raise

    async def _read(self, now: Watch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Watch | None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status == 204:
            now.complete = True
            return None
        if status != 200:
            self._counts[f"status {status}"] += 1
            await asyncio.sleep(self._retry)
            return None
        rest = b""
        while True:
            ended, rest = await self._take(now, reader, rest, self._random.expovariate(1 / PATIENCE))
            if ended:
                if not now.complete:
                    self._counts["left by the server"] += 1
                    await asyncio.sleep(self._retry)
                return None
            if self._seen(now):
                return None
            if self._finishing:
                continue
            (whim,) = self._random.choices(WHIMS, WEIGHTS)
            self._counts[whim] += 1
            if whim != "stop reading":
                return await self._leave(now, whim, writer)
            await self._idle(LONG_PAUSE if self._random.random() < 0.3 else self._random.uniform(0, 5))

    async def _leave(self, now: Watch, whim: Whim, writer: asyncio.StreamWriter) -> Watch | None:
        """Close the connection, and stay away for a while. Returns another watch if this is to start again."""
        if whim == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        writer.close()
        await self._idle(self._random.uniform(0, 3))
        if whim == "start again":
            return Watch(now.path, after=self._random.choice(now.ids[-100:] or array("q", [now.after])))
        return None

    async def _take(
        self, now: Watch, reader: asyncio.StreamReader, rest: bytes, seconds: float
    ) -> tuple[bool, bytes]:
        """Read for so long, or to the end when finishing. Returns whether it has ended, and the rest."""
        with suppress(TimeoutError):
            async with self._within(1.0 if self._finishing else seconds):
                while data := await reader.read(SMALL_BUFFER):
                    events, rest = self._frames.split(rest + data)
                    for event in events:
                        if event.id:
                            now.ids.append(event.id)
                            now.complete |= event.name in ENDS and "/tasks/" in now.path
                return True, rest
        return False, rest

    async def _idle(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with self._within(seconds):
                await asyncio.Event().wait()

    @asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        """Raise TimeoutError after so many seconds, or when it is to finish."""
        try:
            async with asyncio.timeout(seconds) as self._timeout:
                yield
        finally:
            self._timeout = None
