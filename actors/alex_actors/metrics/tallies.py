"""What counts where it happens: cheap to write, by one thread, and to be read by any.

The instruments of prometheus-client take a lock for each observation, which any thread may hold while others wait
for it. These take none: a thread writes its own, and who reads makes a copy, which is one step of the interpreter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

K = TypeVar("K")


class Observed(NamedTuple):
    """What a histogram has seen, as Prometheus has it: each bucket counts what those below it count as well."""

    buckets: list[tuple[str, float]]
    """The upper bound of each, inclusive, as text, and how many values are not above it."""
    total: float
    """The sum of all values."""


class Histogram:
    """Values by size. One thread writes."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds``: the upper bounds of the buckets, inclusive, growing; there is one more without a bound."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count a value. One below 0 counts as 0: a clock was set back."""
        value = max(value, 0.0)
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def add(self, other: Histogram) -> None:
        """Count all that another one with the same bounds has seen, which its thread may go on to write."""
        self._counts = [mine + more for mine, more in zip(self._counts, tuple(other._counts), strict=True)]
        self._total += other._total

    def read(self) -> Observed:
        """Return what it has seen. On any thread."""
        counts, total = tuple(self._counts), self._total
        names = [*map(repr, map(float, self._bounds)), "+Inf"]
        return Observed(list(zip(names, map(float, accumulate(counts)), strict=True)), total)


def add_up(tallies: Iterable[dict[K, int]]) -> dict[K, int]:
    """Return the sums, by key, of what several threads have counted, each for itself."""
    total: dict[K, int] = {}
    for tally in tallies:
        for key, count in tally.copy().items():
            total[key] = total.get(key, 0) + count
    return total
