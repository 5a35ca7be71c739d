"""The bench of actors works: what it measures means something, and its table can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bench.actors import (
    QUICK,
    Alex,
    Contestant,
    Measure,
    Pykka,
    Sizes,
    asks_per_second,
    hops_per_second,
    line,
    measure_memory,
    measures,
    number,
    seconds_to_start,
    seconds_to_stop,
    tells_per_second,
)

TINY = Sizes(rounds=1, tells=100, asks=20, actors=10, ring=5, laps=2)


@pytest.fixture(params=[Alex, Pykka], ids=lambda contestant: contestant.name)
def contestant(request: pytest.FixtureRequest) -> Iterator[Contestant]:
    contestant: Contestant = request.param()
    yield contestant
    contestant.close()


@pytest.mark.parametrize(
    "figure", [tells_per_second, asks_per_second, hops_per_second, seconds_to_start, seconds_to_stop]
)
def test_each_figure_is_measured_of_both_contestants(contestant: Contestant, figure: object) -> None:
    assert callable(figure)

    assert figure(contestant, TINY) > 0


def test_memory_is_measured_in_bytes(contestant: Contestant) -> None:
    assert measure_memory(contestant, 10) >= 0


def test_more_a_second_and_fewer_seconds_are_better() -> None:
    rate = Measure("rate", "1/s", tells_per_second, higher_is_better=True)
    span = Measure("span", "s", seconds_to_start, higher_is_better=False)

    assert rate.times_better(300, 100) == 3
    assert span.times_better(0.5, 10) == 20


def test_a_line_says_whether_the_aim_was_met() -> None:
    measure = Measure("start 10 actors", "s", seconds_to_start, higher_is_better=False, aim=20)

    met = line(measure, 0.1, 2.0)
    missed = line(measure, 0.1, 1.9)

    assert met.endswith("20.0x  aim 20: met")
    assert missed.endswith("19.0x  aim 20: missed")
    assert re.fullmatch(r"start 10 actors +0\.1 +2 s +20\.0x  aim 20: met", met)


def test_every_measure_has_a_line_of_its_own() -> None:
    titles = [measure.title for measure in measures(QUICK)]

    assert len(set(titles)) == len(titles) == 6


@pytest.mark.parametrize(("figure", "text"), [(0.01234, "0.0123"), (12.345, "12.3"), (1234567.8, "1,234,568")])
def test_a_figure_is_shown_with_the_digits_that_mean_something(figure: float, text: str) -> None:
    assert number(figure) == text
