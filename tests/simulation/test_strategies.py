"""Ways to draw a schedule: what each finds sooner than the other."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from alex_actors.simulation.strategies import LENGTHS, Priorities, Strategy, Uniform, strategy_of

NEVER = 3000


def seeds_until(finds: Callable[[Strategy, Random], bool], make: Callable[[], Strategy]) -> int:
    """Return how many seeds it takes until one finds it."""
    return next((seed for seed in range(NEVER) if finds(make(), Random(seed))), NEVER)


def median(finds: Callable[[Strategy, Random], bool], make: Callable[[], Strategy]) -> int:
    """Return the same, without the luck of where the seeds begin."""
    return sorted(
        seeds_until(lambda strategy, random, start=start: finds(strategy, Random(random.random() + start)), make)  # type: ignore[misc]  # a default
        for start in range(9)
    )[4]


def schedule_of(strategy: Strategy, random: Random, steps: dict[str, int]) -> list[str]:
    """Return who took which step, where everybody takes so many steps and can always go on."""
    left = dict(steps)
    taken = []
    while left:
        names = list(left)
        name = names[strategy.pick(names, random)]
        taken.append(name)
        left[name] -= 1
        if not left[name]:
            del left[name]
    return taken


def one_is_delayed(strategy: Strategy, random: Random) -> bool:
    """Depth 1: b and c take all their many steps before the first of a."""
    taken = schedule_of(strategy, random, {"a": 5, "b": 20, "c": 20})
    return "a" not in taken[:40]


def one_is_interrupted(strategy: Strategy, random: Random) -> bool:
    """Depth 2: all of b's steps come between the third and the fourth of a."""
    taken = schedule_of(strategy, random, {"a": 20, "b": 10, "c": 5})
    first, last = taken.index("b"), len(taken) - 1 - taken[::-1].index("b")
    return taken[:first].count("a") == taken[:last].count("a") == 3


def two_take_turns(strategy: Strategy, random: Random) -> bool:
    """Deep: a and b take turns all the time, as only luck at each step brings about."""
    return schedule_of(strategy, random, {"a": 4, "b": 4}) in (list("abababab"), list("babababa"))


@pytest.mark.parametrize("bug", [one_is_delayed, one_is_interrupted])
def test_priorities_find_what_is_not_deep_in_a_long_run_with_fewer_seeds(
    bug: Callable[[Strategy, Random], bool],
) -> None:
    by_priorities, uniform = median(bug, Priorities), median(bug, Uniform)

    assert by_priorities * 10 < uniform


def test_uniform_picking_finds_what_is_deep_with_fewer_seeds() -> None:
    by_priorities, uniform = median(two_take_turns, Priorities), median(two_take_turns, Uniform)

    assert uniform < by_priorities


def test_without_change_points_who_is_first_goes_on_until_it_is_done() -> None:
    whole = 0
    for seed in range(400):
        taken = schedule_of(Priorities(), Random(seed), {"a": 5, "b": 5, "c": 5})
        whole += all(len({*taken[start : start + 5]}) == 1 for start in (0, 5, 10))

    assert whole >= 100  # a fourth has none, and the points of others often lie behind the end


def test_the_order_of_the_low_priorities_is_not_that_of_their_change_points() -> None:
    def lower_later(seed: int) -> bool | None:
        strategy, random = Priorities(), Random(seed)
        demoted = []
        for _ in range(LENGTHS[-1]):
            strategy.pick(["a", "b", "c"], random)
            demoted += [name for name, value in strategy._priorities.items() if value < 0 and name not in demoted]
        if len(demoted) < 2:
            return None
        return strategy._priorities[demoted[1]] < strategy._priorities[demoted[0]]

    orders = {lower_later(seed) for seed in range(200)}

    assert {True, False} <= orders


def test_after_many_steps_everybody_has_a_turn() -> None:
    strategy, random = Priorities(), Random(1)

    picked = [strategy.pick(["a", "b"], random) for _ in range(LENGTHS[-1] + 100)]

    assert set(picked[LENGTHS[-1] :]) == {0, 1}


def test_every_second_seed_goes_to_each() -> None:
    kinds = [type(strategy_of(seed)) for seed in range(4)]

    assert kinds == [Uniform, Priorities, Uniform, Priorities]
