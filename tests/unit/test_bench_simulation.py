"""The bench of the simulator works: what it counts means something, and its tables can be read."""

from __future__ import annotations

from alex_actors.simulation import Explored, Simulation
from bench.simulation import MESSAGES, Sizes, bare, found, number, run, seeds_until_found, speed
from tests.simulation.exhaustive_scenarios import SCENARIOS
from tests.simulation.mutations import MUTATIONS

TINY = Sizes(seeds=2, most=1, orders=2, mutations=MUTATIONS[::25])


def test_seeds_are_counted_until_something_is_found() -> None:
    runs: list[Simulation] = []

    def fails_at_the_third(simulation: Simulation) -> None:
        runs.append(simulation)
        simulation.check(len(runs) < 3, "There are less than three runs.")

    first = seeds_until_found(fails_at_the_third, range(0, 20, 2))

    assert first is not None
    assert first[0] == 3


def test_nothing_is_found_where_nothing_is_broken() -> None:
    assert seeds_until_found(bare, range(5)) is None


def test_the_bare_actors_pass_every_message_on() -> None:
    counted = []

    def scenario(simulation: Simulation) -> None:
        bare(simulation)
        simulation.at_the_end(lambda: counted.append(len([e for e in simulation.trace if e.who == "last"])))

    seeds_until_found(scenario, [0])

    assert counted[0] >= 2 * MESSAGES


def test_a_line_compares_its_rates_with_those_of_the_whole_server() -> None:
    whole = Explored(runs=100, steps=10_000, seconds=2.0)

    line = speed("three actors", Explored(runs=100, steps=2_000, seconds=0.2), whole)

    assert line.split() == ["three", "actors", "500", "10,000", "20", "10.0x", "2.0x"]


def test_a_mutation_that_is_not_found_has_no_number() -> None:
    assert found(None) == "-"
    assert found((1200, AssertionError())) == "1,200"


def test_a_count_that_nobody_reads_is_shown_by_its_size() -> None:
    assert number(1_234_567) == "1,234,567"
    assert number(12 * 10**20) == "1.2e+21"


def test_each_mutation_that_is_asked_for_and_every_small_scenario_has_a_line() -> None:
    lines: list[str] = []

    run(TINY, lines.append)

    begins = [line[:36].rstrip() for line in lines]
    assert [name for name in (*(one.name for one in TINY.mutations), *SCENARIOS) if name not in begins] == []
    assert sum(line.startswith(("whole server", "three actors")) for line in lines) == 3
