"""How often a client may do something: a minute's worth at once, then one at a time, each for itself."""

from __future__ import annotations

import pytest

from alex_http.rates import MOST_CLIENTS, Rate


class Clock:
    """Seconds that go on when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("per_minute", [1, 7, 60, 1000])
def test_a_minutes_worth_may_come_at_once_and_no_more(clock: Clock, per_minute: int) -> None:
    rate = Rate(per_minute=per_minute, now=clock)

    waits = [rate.take("a") for _ in range(per_minute + 3)]

    assert waits[:per_minute] == [0] * per_minute
    assert all(1 <= wait <= 60 for wait in waits[per_minute:])


def test_who_waits_as_long_as_it_was_told_is_let_in(clock: Clock) -> None:
    rate = Rate(per_minute=7, now=clock)
    while not (wait := rate.take("a")):
        pass

    clock.seconds += wait

    assert wait == 9
    assert rate.take("a") == 0


def test_who_was_refused_does_not_wait_longer_for_it(clock: Clock) -> None:
    rate = Rate(per_minute=6, now=clock)
    for _ in range(100):
        rate.take("a")

    clock.seconds += 10

    assert [rate.take("a"), rate.take("a")] == [0, 10]


def test_in_the_long_run_a_minute_has_as_many_as_the_limit(clock: Clock) -> None:
    rate = Rate(per_minute=10, now=clock)

    let_in = 0
    for _ in range(6000):
        clock.seconds += 0.1
        let_in += not rate.take("a")

    assert let_in == 10 + 10 * 10 - 1


def test_each_client_is_counted_for_itself(clock: Clock) -> None:
    rate = Rate(per_minute=1, now=clock)

    assert [rate.take("a"), rate.take("b"), bool(rate.take("a"))] == [0, 0, True]


def test_no_more_clients_are_remembered_than_two_generations(clock: Clock) -> None:
    rate = Rate(per_minute=1, now=clock)
    rate.take("first")

    for number in range(MOST_CLIENTS):
        rate.take(number)
    in_the_generation_before = rate.take("first")
    for number in range(3 * MOST_CLIENTS):
        rate.take(number)

    assert in_the_generation_before > 0
    assert len(rate._recent) + len(rate._before) <= 2 * MOST_CLIENTS
