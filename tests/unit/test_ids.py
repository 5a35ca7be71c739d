"""Names that sort by age."""

from __future__ import annotations

import random
import re
import threading
import uuid

import pytest

from alex_actors.clock import SystemClock
from alex_actors.ids import TimeOrderedIds
from tests.unit.actor_fakes import WAIT, OwnedClock


def ids_of(clock: OwnedClock) -> TimeOrderedIds:
    return TimeOrderedIds(clock=clock, random_bits=random.Random(1).getrandbits)


def uuid_of(name: str) -> uuid.UUID:
    return uuid.UUID(name.partition("-")[2])


def test_a_name_says_what_it_names() -> None:
    ids = ids_of(OwnedClock())

    assert re.fullmatch(r"task-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ids.task())
    assert re.fullmatch(r"session-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ids.session())


def test_a_name_is_a_uuid_of_version_7_with_the_time_in_its_first_48_bits() -> None:
    clock = OwnedClock()
    ids = ids_of(clock)
    clock.seconds = 12.345

    made = uuid_of(ids.task())

    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == milliseconds(clock)


def milliseconds(clock: OwnedClock) -> int:
    return round(clock.now().timestamp() * 1000)


def test_names_of_one_millisecond_sort_by_age_however_many_there_are() -> None:
    ids = ids_of(OwnedClock())

    made = [ids.task() for _ in range(10_000)]

    assert made == sorted(set(made))


def test_names_sort_by_age_while_time_goes_on() -> None:
    clock = OwnedClock()
    ids = ids_of(clock)
    made = []

    for step in range(1_000):
        clock.seconds = step * 0.0007
        made += [ids.session() for _ in range(5)]

    assert made == sorted(set(made))


def test_names_sort_by_age_although_the_clock_is_set_back() -> None:
    clock = OwnedClock()
    ids = ids_of(clock)
    clock.seconds = 3600
    before = ids.task()

    clock.seconds = 0
    after = ids.task()

    assert before < after


def test_names_are_those_of_the_clock_again_once_it_has_caught_up() -> None:
    clock = OwnedClock()
    ids = ids_of(clock)
    for _ in range(10_000):  # more than the counter holds: runs ahead of the clock by 2 ms
        ids.task()

    clock.seconds = 1
    made = uuid_of(ids.task())

    assert made.int >> 80 == milliseconds(clock)


def test_names_are_unique_and_in_order_on_many_threads() -> None:
    ids = TimeOrderedIds(clock=SystemClock(), random_bits=random.Random(1).getrandbits)
    made: list[list[str]] = [[] for _ in range(8)]

    def make(names: list[str]) -> None:
        names.extend(ids.task() for _ in range(500))

    threads = [threading.Thread(target=make, args=(names,)) for names in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)

    assert len({name for names in made for name in names}) == 8 * 500
    assert all(names == sorted(names) for names in made)


def test_two_servers_that_start_at_once_make_different_names() -> None:
    clock = OwnedClock()
    one = TimeOrderedIds(clock=clock, random_bits=random.Random(1).getrandbits)
    two = TimeOrderedIds(clock=clock, random_bits=random.Random(2).getrandbits)

    assert one.task() != two.task()


@pytest.mark.parametrize("bits", [0, 1, 2**128 - 1])
def test_a_trace_id_is_32_hexadecimal_digits_and_not_all_zeros(bits: int) -> None:
    ids = TimeOrderedIds(clock=OwnedClock(), random_bits=lambda _: bits)

    trace = ids.trace()

    assert re.fullmatch(r"[0-9a-f]{32}", trace)
    assert int(trace, 16) == max(bits, 1)
