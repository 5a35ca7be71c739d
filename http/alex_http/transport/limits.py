"""What clients may take: sizes, times, connections; and how much of their requests is kept in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias


class Head(NamedTuple):
    """A request of which nothing has come but its headers."""

    method: str
    path: str
    """As WSGI has it."""
    headers: Mapping[str, str]
    """By names as WSGI has them, without ``HTTP_``."""


BodyLimit: TypeAlias = Callable[[Head], int]
"""The largest body, in bytes, that a request may have. Asked on the loop's thread, which nothing may hold up."""

LEAST_RATE = 8 * 1024
"""Bytes a second that a client has to send or take at least, beyond the time that it has anyhow: 64 kbit/s, which
a bad mobile network has. Without it, the time would have to be that of the largest body on the slowest network."""
KEPT_ALIVE = 120.0
"""Seconds that a connection may be silent between two requests. Longer than proxies (60) and clients (5 to 75)
keep one that they do not use, so that they close first."""
LINGER = 5.0
"""Seconds for which what a refused client still sends is read and dropped, so that it gets to read its reply."""
LONGEST_BODY = 600.0
"""Seconds that a body may take in all, however large it is: 64 MiB at a megabit a second. ``body_seconds`` may say
more."""
FREE = 8 * 1024
"""Bytes of each request that are not counted: most requests are smaller, and are taken whatever others send."""
STEP = 16 * 1024
"""Bytes in which memory is counted, about as it is taken."""


class Limits(NamedTuple):
    """What one client may take, and all together."""

    header_bytes: int = 64 * 1024
    """Of a request line with its headers. Browsers and proxies send up to 32 KiB."""
    url_bytes: int = 8 * 1024
    """Of the target in the request line."""
    body_of: BodyLimit | None = None
    """Which body is too large, where that is not ``max_body`` for all."""
    memory_bytes: int = 128 * 1024 * 1024
    """Of requests that are being received or answered, in all: who comes with more is told to come again."""
    large_memory_bytes: int = 128 * 1024 * 1024
    """The same of those whose body is, or may be, larger than ``max_body``: they take no room from the others."""
    header_seconds: float = 20.0
    """From a request's first byte to the end of its headers; and until that byte, on a new connection."""
    body_seconds: float = 60.0
    """From there to the end of its body, and a second more for each ``LEAST_RATE`` bytes; the same for a reply.
    A body has ``LONGEST_BODY`` seconds in all."""
    connections_per_address: int = 1_000
    """More are answered at once that they are too many, and closed."""
    uncounted: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks that may have any number of connections: whoever is here needs none to do harm."""
    trusted_proxies: tuple[str, ...] = ()
    """Those whose ``X-Forwarded-For`` and ``-Proto`` are believed; nor are their connections counted."""


class Memory:
    """How many bytes of requests are kept, in all. For the loop's thread, but for ``give_back``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._given_back: deque[int] = deque()

    @property
    def used(self) -> int:
        """How many there are."""
        while self._given_back:
            self._used -= self._given_back.popleft()
        return self._used

    def grow(self, before: int, after: int) -> bool:
        """Have one take so many bytes instead of as many as before; return whether there is room for them.

        One alone may have any number: what is too large for all is so by other limits.
        """
        others = self.used - before
        if others and others + after > self._most:
            return False
        self._used = others + after
        return True

    def give_back(self, size: int) -> None:
        """Take notice that so many are kept no more. From any thread."""
        self._given_back.append(size)
