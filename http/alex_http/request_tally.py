"""What is counted of requests and of streams. Each thread counts for itself, so that none waits for another."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Generic, TypeVar, get_args

from alex_actors.metrics.tallies import Histogram, add_up
from alex_http.transport.feed import Reason

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets: most replies take a millisecond or two, and one that waits for news up to a minute."""

T = TypeVar("T")


class _PerThread(Generic[T]):
    """One for each thread that ever asked for its own.

    A thread that comes after another may have its identity: then it goes on with what that has left.
    """

    __slots__ = ("_all", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._all: dict[int, T] = {}

    def mine(self) -> T:
        """Return the calling thread's."""
        mine = self._all.get(get_ident())
        if mine is None:
            mine = self._all[get_ident()] = self._make()
        return mine

    def all(self) -> tuple[T, ...]:
        """Return those of all threads."""
        return tuple(self._all.values())


class _Requests:
    __slots__ = ("answered", "refused", "seconds")

    def __init__(self) -> None:
        self.answered: dict[tuple[str, str, str], int] = {}
        self.seconds: dict[tuple[str, str], Histogram] = {}
        self.refused: dict[str, int] = {}


class RequestTally:
    """Requests by method, route and status. Any thread."""

    def __init__(self) -> None:
        self._threads = _PerThread(_Requests)

    def answer(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. ``method`` and ``route`` must be some of few: each is kept for good."""
        mine = self._threads.mine()
        name = method, route, str(status)
        mine.answered[name] = mine.answered.get(name, 0) + 1
        took = mine.seconds.get((method, route))
        if took is None:
            took = mine.seconds[method, route] = Histogram(SECONDS)
        took.observe(seconds)

    def refuse(self, status: int) -> None:
        """Count a request that the transport has refused."""
        refused = self._threads.mine().refused
        refused[str(status)] = refused.get(str(status), 0) + 1

    def answered_so_far(self) -> dict[tuple[str, str, str], int]:
        """Return how many were answered, by method, route and status."""
        return add_up(one.answered for one in self._threads.all())

    def seconds_so_far(self) -> dict[tuple[str, str], Histogram]:
        """Return how long they took, by method and route."""
        total: dict[tuple[str, str], Histogram] = {}
        for one in self._threads.all():
            for name, seconds in one.seconds.copy().items():
                total.setdefault(name, Histogram(SECONDS)).add(seconds)
        return total

    def refused_so_far(self) -> dict[str, int]:
        """Return how many were refused, by status."""
        return add_up(one.refused for one in self._threads.all())


class StreamTally:
    """Events that streams sent, and why streams were closed. Any thread."""

    def __init__(self) -> None:
        self._sent = _PerThread[dict[str, int]](dict)
        self._closed = _PerThread[dict[str, int]](dict)

    def send(self, events: int) -> None:
        """Count events that a stream sent."""
        mine = self._sent.mine()
        mine["events"] = mine.get("events", 0) + events

    def close(self, reason: Reason) -> None:
        """Count a stream that was closed."""
        mine = self._closed.mine()
        mine[reason] = mine.get(reason, 0) + 1

    def sent_so_far(self) -> int:
        """Return how many events all streams have sent."""
        return add_up(self._sent.all()).get("events", 0)

    def closed_so_far(self) -> dict[str, int]:
        """Return how many were closed, by reason."""
        return dict.fromkeys(get_args(Reason), 0) | add_up(self._closed.all())
