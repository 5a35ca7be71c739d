"""How many interleavings an execution stands for: the linear extensions of a partial order, counted exactly."""

from __future__ import annotations

MOST_DOWNSETS = 1_000_000
"""Downsets that a table may hold: 225 bytes and 2 µs each. What makes them many is width, not length: k processes
that never meet, of n steps each, have (n + 1)^k."""


class TooManyDownsetsError(Exception):
    """The order is too wide to be counted within the bound."""


class LinearExtensions:
    """The number of linear extensions of a finite partial order, as its elements are added and taken back.

    Elements are 0, 1, 2, … in an order that extends the partial order; each is added with the set of those before
    it. Dynamic programming over downsets (sets that contain, with each element, all before it): an extension of a
    downset ends with one of its maximal elements, so that their number is the sum over what is left without it.
    Only downsets that contain the new element are new, which suits a depth-first search: what two executions have
    in common is counted once. Sets are bit masks: bit i stands for element i.
    """

    def __init__(self, *, most_downsets: int = MOST_DOWNSETS) -> None:
        self._most_downsets = most_downsets
        self._extensions = {0: 1}  # downset: how many linear extensions it has
        # layers[i + 1]: downsets whose last element is i, each with its maximal elements; a subset comes first
        self._layers: list[list[tuple[int, int]]] = [[(0, 0)]]

    def __len__(self) -> int:
        """Return how many elements there are."""
        return len(self._layers) - 1

    @property
    def count(self) -> int:
        """The number of linear extensions of all that has been added; 1 if nothing has."""
        return self._extensions[(1 << len(self)) - 1]

    def add(self, before: int) -> None:
        """Add the next element: `before` is the mask of all before it, not only the nearest.

        Raises `TooManyDownsetsError`, and then holds what it held before.
        """
        element = 1 << len(self)
        extensions = self._extensions
        layer: list[tuple[int, int]] = []
        self._layers.append(layer)
        for nearest in range(before.bit_length(), len(self)):  # no other has all of `before`
            for downset, maximal in self._layers[nearest]:
                if before & ~downset:
                    continue
                larger = downset | element
                number = extensions[downset]  # those that end with the new element
                others = remaining = maximal & ~before
                while remaining:
                    last = remaining & -remaining
                    remaining ^= last
                    number += extensions[larger ^ last]
                extensions[larger] = number
                layer.append((larger, others | element))
            if len(extensions) > self._most_downsets:
                self.keep(len(self) - 1)
                raise TooManyDownsetsError

    def keep(self, elements: int) -> None:
        """Take back all but the first so many elements."""
        while len(self) > elements:
            for downset, _ in self._layers.pop():
                del self._extensions[downset]
