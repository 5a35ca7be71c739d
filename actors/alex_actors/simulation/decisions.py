"""All that chance decides in a run: drawn from a seed, kept as numbers, and played again from these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from alex_actors.simulation.exhaustive import NotExplorableError

T = TypeVar("T")

FINE = 1_000_000
"""Of how many parts a probability is a whole number."""


class Decisions:
    """Makes every choice of a run, and keeps it: the numbers in ``made`` are the run.

    0 always stands for the plainest choice (the first option, no), so that a run whose numbers are made smaller
    is a plainer run: how Hypothesis shrinks (MacIver, Donaldson: "Test-case reduction via test-case generation",
    ECOOP 2020).
    """

    def __init__(self, seed: int, script: Sequence[int] | None = None) -> None:
        """Draw from ``seed``; with a script, take its numbers instead, and 0 when they are used up."""
        self._random = Random(seed)  # noqa: S311 - to be repeatable is the point
        self._script = script
        self.made: list[int] = []

    def take(self, count: int, draw: Callable[[Random], int]) -> int:
        """Return one of ``count`` options by number: what ``draw`` returns, unless there is a script."""
        if self._script is None:
            number = draw(self._random)
        elif len(self.made) < len(self._script):
            number = self._script[len(self.made)] % count
        else:
            number = 0
        self.made.append(number)
        return number

    def pick(self, count: int) -> int:
        """Return a number from 0 to below ``count``, each as likely."""
        return self.take(count, lambda random: int(random.random() * count))

    def choose(self, options: Sequence[T]) -> T:
        """Return one of the options, each as likely."""
        return options[self.pick(len(options))]

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.take(2, lambda random: int(random.random() < probability)) == 1

    def between(self, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""
        return low + (high - low) * self.pick(FINE) / FINE


class NoDecisions(Decisions):
    """Decides nothing but who goes on, for which there is a strategy.

    For a search of all orders: what is drawn would depend on who asks first, which no step says of itself.
    """

    def __init__(self) -> None:
        super().__init__(0)

    def pick(self, count: int) -> int:
        """Raise NotExplorableError."""
        msg = f"The scenario leaves to chance which of {count} it is: a search of all orders has no chance in it."
        raise NotExplorableError(msg)

    def chance(self, probability: float) -> bool:
        """Raise NotExplorableError."""
        msg = f"The scenario leaves to chance ({probability}) what happens: a search of all orders has none in it."
        raise NotExplorableError(msg)
