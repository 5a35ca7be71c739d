"""Who is next: ways to draw a schedule from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

LENGTHS = (30, 100, 300, 1000)
"""Choices among which the change points of a schedule lie: how many a run has, is not known before."""

DEPTHS = (1, 2, 3, 4)
"""Steps whose order matters to a bug: few bugs have more, says the paper. Depth d takes d - 1 change points."""


class Strategy(Protocol):
    """Picks who takes the next step."""

    def pick(self, names: Sequence[str], random: Random) -> int:
        """Return the index of one of those who can, given their names; the first is the plainest choice."""


class Uniform:
    """Anyone, each as likely."""

    def pick(self, names: Sequence[str], random: Random) -> int:
        """Return the index of one of them."""
        return int(random.random() * len(names))


class Priorities:
    """Whoever has the highest priority, with a few points at which that one falls below all others.

    Probabilistic concurrency testing: a bug that needs d steps in a certain order is found with a probability of
    at least 1 / (n * k ** (d - 1)) in a run of k steps by n, where uniform picking needs luck at every step
    (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized scheduler with probabilistic guarantees of
    finding bugs", ASPLOS 2010). As there, priorities are drawn at the start, and of the change points the one
    that was drawn i-th has the priority -i, wherever it lies. Differently, d and k are drawn for each run, a step
    counts only where there is a choice, and after the last of ``LENGTHS`` anyone is picked: whoever waits for
    others by sending itself messages would keep these waiting for ever (Coyote's fair scheduler does the same).

    Priorities belong to names, which are the same in every process.
    """

    def __init__(self) -> None:
        self._priorities: dict[str, float] = {}
        self._changes: dict[int, int] | None = None
        self._steps = 0

    def pick(self, names: Sequence[str], random: Random) -> int:
        """Return the index of the one with the highest priority."""
        if self._changes is None:
            length, depth = random.choice(LENGTHS), random.choice(DEPTHS)
            self._changes = {random.randrange(length): -number for number in range(1, depth)}
        if self._steps == LENGTHS[-1]:
            return int(random.random() * len(names))
        priorities = self._priorities
        for name in names:
            if name not in priorities:
                priorities[name] = random.random()
        index = max(range(len(names)), key=lambda at: priorities[names[at]])
        if self._steps in self._changes:
            priorities[names[index]] = self._changes[self._steps]
        self._steps += 1
        return index


class Plain:
    """Whoever is offered first: a run with nothing out of the ordinary."""

    def pick(self, names: Sequence[str], random: Random) -> int:  # noqa: ARG002 - as Strategy has it
        """Return the first."""
        return 0


def strategy_of(seed: int) -> Strategy:
    """Return the strategy for a seed: each sees what the other misses, so every second seed goes to each."""
    return Uniform() if seed % 2 == 0 else Priorities()
