"""Makes a failing run plainer: fewer decisions out of the ordinary, as long as it fails in the same way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

Numbers: TypeAlias = tuple[int, ...]
Fails: TypeAlias = Callable[[Numbers], Sequence[int] | None]
"""Runs with these decisions; returns those that were made, or None if the run does not fail in the same way.
Raises Enough to end the search."""


class Enough(Exception):
    """No more runs."""


MOST_RUNS = 600
"""Runs that making a failure plainer may take: a second or a few."""


def shrink(numbers: Sequence[int], fails: Fails, *, most_runs: int = MOST_RUNS) -> tuple[Numbers, int]:
    """Return the plainest decisions found that still fail, and how many runs that took.

    Plainer has fewer decisions that are not 0, then is shorter, then smaller. What is tried goes from the coarsest
    to the finest, again and again until nothing helps any more: delta debugging (Zeller, Hildebrandt: "Simplifying
    and isolating failure-inducing input", 2002) on the numbers that made the run instead of on its steps, so that
    every try is a run that can be. A number is first made 0 and only then left out: that shifts what all later
    ones decide.
    """
    shrinker = _Shrinker(_trimmed(numbers), fails, most_runs)
    before = None
    with contextlib.suppress(Enough):
        while before != shrinker.best:
            before = shrinker.best
            shrinker.flatten()
            shrinker.leave_out()
            shrinker.lower()
    return shrinker.best, shrinker.runs


class _Shrinker:
    """The plainest decisions so far, and ways to make them plainer."""

    def __init__(self, numbers: Numbers, fails: Fails, most_runs: int) -> None:
        self.best = numbers
        self.runs = 0
        self._fails = fails
        self._most_runs = most_runs
        self._tried = {numbers}

    def flatten(self) -> None:
        """Make decisions 0: all of them, halves, quarters, …; the latest first, on which the fewest depend."""
        size = sum(map(bool, self.best))
        while size:
            end = sum(map(bool, self.best))
            while end > 0:
                start = max(0, end - size)
                chosen = set(self._places()[start:end])
                self._try(tuple(0 if place in chosen else number for place, number in enumerate(self.best)))
                end = min(start, sum(map(bool, self.best)))
            size //= 2

    def leave_out(self) -> None:
        """Leave out the decision before each that is not 0, or that one itself: what comes then, comes earlier."""
        for size in (8, 4, 2, 1):
            for place in reversed(self._places()):
                for start in (place - size, place):
                    if 0 <= start < len(self.best):
                        self._try(self.best[:start] + self.best[start + size :])

    def lower(self) -> None:
        """Make decisions smaller."""
        for place in reversed(self._places()):
            for smaller in _below(self.best, place):
                if self._try((*self.best[:place], smaller, *self.best[place + 1 :])):
                    break

    def _places(self) -> list[int]:
        """Return where decisions are not 0."""
        return [place for place, number in enumerate(self.best) if number]

    def _try(self, numbers: Numbers) -> bool:
        """Return whether this is plainer and still fails; then it is the best."""
        candidate = _trimmed(numbers)
        if candidate in self._tried:
            return False
        if self.runs == self._most_runs:
            raise Enough
        self._tried.add(candidate)
        self.runs += 1
        made = self._fails(candidate)
        if made is None or _size(_trimmed(made)) >= _size(self.best):
            return False
        self.best = _trimmed(made)
        return True


def _below(numbers: Numbers, place: int) -> Iterator[int]:
    number = numbers[place] if place < len(numbers) else 0
    yield from (smaller for smaller in dict.fromkeys((1, number // 2, number - 1)) if 0 < smaller < number)


def _trimmed(numbers: Sequence[int]) -> Numbers:
    """Return them without the noughts at their end: a run takes nought where there is nothing."""
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return tuple(numbers[:end])


def _size(numbers: Numbers) -> tuple[int, int, Numbers]:
    return sum(map(bool, numbers)), len(numbers), numbers
