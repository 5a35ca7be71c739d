"""Counting linear extensions."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from alex_actors.simulation.interleavings import LinearExtensions, TooManyDownsetsError


def counted(order: list[int]) -> int:
    """Return the number of linear extensions of an order: for each element, the mask of all before it."""
    table = LinearExtensions()
    for before in order:
        table.add(before)
    return table.count


def random_order(rng: random.Random) -> list[int]:
    """Return a partial order of a few elements, transitively closed."""
    order: list[int] = []
    for element in range(rng.randint(1, 7)):
        before = 0
        for earlier in range(element):
            if rng.random() < 0.3:
                before |= order[earlier] | 1 << earlier
        order.append(before)
    return order


def respects(arrangement: tuple[int, ...], order: list[int]) -> bool:
    """Return whether each element comes after all that are before it."""
    placed = 0
    for element in arrangement:
        if order[element] & ~placed:
            return False
        placed |= 1 << element
    return True


@pytest.mark.parametrize("seed", range(10))
def test_the_count_is_that_of_all_arrangements_that_respect_the_order(seed: int) -> None:
    order = random_order(random.Random(seed))

    number = counted(order)

    arrangements = itertools.permutations(range(len(order)))
    assert number == sum(respects(arrangement, order) for arrangement in arrangements), order


def test_a_chain_has_one_extension_and_nothing_has_one_too() -> None:
    assert counted([]) == 1
    assert counted([(1 << element) - 1 for element in range(500)]) == 1


def test_chains_that_never_meet_have_a_multinomial_number_of_extensions() -> None:
    chains, length = 4, 9
    order = [sum(1 << other for other in range(i % chains, i, chains)) for i in range(chains * length)]

    assert counted(order) == math.factorial(chains * length) // math.factorial(length) ** chains


def test_what_is_taken_back_leaves_nothing_behind() -> None:
    table = LinearExtensions()
    for before in (0, 0, 0b01, 0b11):
        table.add(before)

    table.keep(2)

    assert (len(table), table.count) == (2, 2)
    table.add(0b11)
    table.add(0)
    assert table.count == counted([0, 0, 0b11, 0]) == 8


def test_an_order_too_wide_for_the_table_is_refused_and_changes_nothing() -> None:
    table = LinearExtensions(most_downsets=10)
    for _ in range(3):
        table.add(0)

    with pytest.raises(TooManyDownsetsError):
        table.add(0)

    assert (len(table), table.count) == (3, 6)
    table.add(0b111)
    assert table.count == 6
