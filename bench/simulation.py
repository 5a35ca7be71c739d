"""What the simulator does in a second, how soon it finds what is broken, and how many orders small scenarios have.

    python -m bench.simulation [--quick] [--seeds N]

Prints runs and steps a second of the whole server under ``N`` seeds, with and without faults, beside three bare
actors on the same dispatcher; for each mutation of the server, how many seeds it took until it was found, with
schedules that are drawn uniformly (even seeds) and by priorities (odd seeds); and for the smallest scenarios how
many orders of their steps there are, how many of them make a difference, and how long it took to run those.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pykka

from alex_actors.actor import PooledActor
from alex_actors.core import Core
from alex_actors.messages import Ask, Tell, ask, tell
from alex_actors.simulation import Explored, Simulation, Violation, explore
from alex_actors.simulation.every_order import explore_every_order
from alex_actors.simulation.exploring import Played, Scenario
from alex_actors.simulation.store import SimulatedStore
from alex_actors.values import Context
from tests.simulation.exhaustive_scenarios import SCENARIOS
from tests.simulation.http_clients import HttpSide
from tests.simulation.mutation import Mutation
from tests.simulation.mutations import MUTATIONS
from tests.simulation.whole_system import WholeSystem

CONTEXT = Context("4bf92f3577b34da6a3ce929d0e0e4736")
TIMEOUT = 10.0
"""Virtual seconds that a client of the bare actors waits for an answer: none takes any."""

MESSAGES = 10
"""Messages that each client of the bare actors sends: a run then has about as many steps as one of the server."""


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    seeds: int
    most: int
    """Seeds of a kind after which a mutation is given up."""
    orders: int | None
    """Runs after which a scenario is given up whose orders are all to be run; None: never."""
    mutations: Sequence[Mutation] = MUTATIONS


FULL = Sizes(seeds=1000, most=500, orders=100_000)
QUICK = Sizes(seeds=10, most=5, orders=20)


# Three bare actors.


class Pass(Tell["Link"], frozen=True, kw_only=True):
    """Count one more, and hand it on."""


class Count(Ask["Link", int], frozen=True, kw_only=True):
    """Say how many were counted."""


class Link(PooledActor):
    """Counts, and hands on to the next."""

    def __init__(self, *, following: pykka.ActorRef[Link] | None) -> None:
        super().__init__()
        self._following = following
        self._count = 0

    def on_receive(self, message: Pass | Count) -> int | None:
        """Handle a message."""
        if isinstance(message, Count):
            return message.reply(self._count)
        self._count += 1
        if self._following is not None:
            tell(self._following, message)
        return None


def bare(simulation: Simulation) -> None:
    """Two clients send messages through a chain of three actors, and ask the last how many there were."""
    last = simulation.spawn(lambda: Link(following=None), label="last")
    middle = simulation.spawn(lambda: Link(following=last), label="middle")
    first = simulation.spawn(lambda: Link(following=middle), label="first")

    def send() -> None:
        for _ in range(MESSAGES):
            tell(first, Pass(context=CONTEXT))
            ask(last, Count(context=CONTEXT), timeout=TIMEOUT)

    for name in ("alice", "bob"):
        simulation.client(name, send)


# The whole server.


class Servers:
    """Scenarios of the whole server, over one store."""

    def __init__(self, *, store: SimulatedStore) -> None:
        self._store = store
        self._http = HttpSide()

    def scenario(self, core: type[Core] = Core, *, faults: bool = True, sharing: bool | None = None) -> Scenario:
        """Return the scenario with this core; ``sharing`` says whether tasks have sub-agents, None: some do."""

        def scenario(simulation: Simulation) -> None:
            WholeSystem(
                simulation, store=self._store, core=core, http=self._http, faults=faults, sharing=sharing
            ).play()

        return scenario


def seeds_until_found(scenario: Scenario, seeds: Iterable[int]) -> tuple[int, Exception] | None:
    """Return how many of the seeds it took until something was found, and what; None if nothing was."""
    for count, seed in enumerate(seeds, start=1):
        error = Played(scenario, seed).error
        if error is not None:
            return count, error
    return None


# The tables.


def speed(title: str, explored: Explored, reference: Explored | None) -> str:
    """Return a line of the first table; with a reference, say how its rates compare with that one's."""
    runs, steps = explored.runs / explored.seconds, explored.steps / explored.seconds
    line = f"{title:<28}{runs:>10,.0f}{steps:>12,.0f}{explored.steps / explored.runs:>12,.0f}"
    if reference is None:
        return line
    times_runs = runs * reference.seconds / reference.runs
    return f"{line}{times_runs:>12.1f}x{steps * reference.seconds / reference.steps:>9.1f}x"


def found(first: tuple[int, Exception] | None) -> str:
    """Return how many seeds it took, for a column of the second table."""
    return "-" if first is None else f"{first[0]:,}"


def violated(error: Exception) -> str:
    """Return what was violated, in words."""
    return error.invariant if isinstance(error, Violation) else type(error).__name__


def measure_speed(servers: Servers, sizes: Sizes, write: Callable[[str], object]) -> None:
    """Write how much is simulated in a second."""
    write(f"{'':<28}{'runs/s':>10}{'steps/s':>12}{'steps/run':>12}{'runs/s':>13}{'steps/s':>10}")
    whole = explore(servers.scenario(), seeds=sizes.seeds)
    write(speed("whole server", whole, None))
    write(speed("whole server, no faults", explore(servers.scenario(faults=False), seeds=sizes.seeds), whole))
    write(speed("three actors", explore(bare, seeds=sizes.seeds), whole))


def measure_mutations(servers: Servers, sizes: Sizes, write: Callable[[str], object]) -> None:
    """Write how many seeds it took until each mutation was found."""
    write(f"{'seeds until found':<36}{'uniform':>8}{'priorities':>12}  what the first finding violates")
    for mutation in sizes.mutations:
        scenario = servers.scenario(mutation.core, sharing=mutation.sharing)
        uniform = seeds_until_found(scenario, range(0, 2 * sizes.most, 2))
        priorities = seeds_until_found(scenario, range(1, 2 * sizes.most, 2))
        first = min(
            (one for one in (uniform, priorities) if one is not None), key=lambda one: one[0], default=None
        )
        words = "" if first is None else violated(first[1])
        write(f"{mutation.name:<36}{found(uniform):>8}{found(priorities):>12}  {words}".rstrip())


def measure_orders(store: SimulatedStore, sizes: Sizes, write: Callable[[str], object]) -> None:
    """Write how many orders the smallest scenarios have: of whole messages, and of steps up to each send."""
    for steps, interrupted in (("whole messages", False), ("up to each send", True)):
        write(f"{f'every order, {steps}':<36}{'orders':>24}{'run':>10}{'abandoned':>12}{'seconds':>10}")
        for name in SCENARIOS:
            measure_order(name, store, sizes, write, interrupted=interrupted)
        write("")


def measure_order(
    name: str, store: SimulatedStore, sizes: Sizes, write: Callable[[str], object], *, interrupted: bool
) -> None:
    """Write how many orders one of them has."""
    begun = time.perf_counter()
    done = explore_every_order(
        lambda sim: SCENARIOS[name](sim, store), interrupted=interrupted, limit=sizes.orders
    )
    seconds = time.perf_counter() - begun
    orders = "too many to count" if done.interleavings is None else number(done.interleavings)
    given_up = "  given up" if done.limited else ""
    write(f"{name:<36}{orders:>24}{done.executions:>10,}{done.redundant:>12,}{seconds:>10.1f}{given_up}")


def number(count: int) -> str:
    """Return a count in full, or its size if that has more digits than anyone reads."""
    return f"{count:,}" if count < 10**12 else f"{count:.1e}"


def run(sizes: Sizes, write: Callable[[str], object]) -> None:
    """Measure everything, and write the tables line by line."""
    with SimulatedStore() as store:
        servers = Servers(store=store)
        measure_speed(servers, sizes, write)
        write("")
        measure_mutations(servers, sizes, write)
        write("")
        measure_orders(store, sizes, write)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it works, within seconds")
    parser.add_argument("--seeds", type=int, metavar="N", help=f"of the first table; {FULL.seeds} by default")
    options = parser.parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    if options.seeds is not None:
        sizes = replace(sizes, seeds=options.seeds)
    run(sizes, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
