"""Actors of ours on a pool beside Pykka's own, one thread each: messages, starts, memory.

``python -m bench.actors`` takes about three minutes; ``--quick`` a few seconds, with figures that mean nothing.
The contestants take turns, round by round, so that what else the machine does hits both; medians are shown.
"""

from __future__ import annotations

import argparse
import gc
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psutil
import pykka
import structlog

from alex_actors.actor import PooledActor
from alex_actors.dispatchers import PoolDispatcher
from alex_actors.messages import Ask, Tell, ask, tell
from alex_actors.values import Context

CONTEXT = Context("4bf92f3577b34da6a3ce929d0e0e4736")
TIMEOUT = 600.0
"""Seconds until a measurement is given up."""

TOKENS = 100
"""Messages that go round a ring at once."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    tells: int
    asks: int
    actors: int
    ring: int
    laps: int


FULL = Sizes(rounds=3, tells=200_000, asks=20_000, actors=10_000, ring=1_000, laps=2)
QUICK = Sizes(rounds=1, tells=2_000, asks=500, actors=200, ring=20, laps=2)


class Count(Tell["PooledCounter"], frozen=True, kw_only=True):
    """Count one more, and pass a token on that has hops left."""

    hops: int = 0


class Counted(Ask["PooledCounter", int], frozen=True, kw_only=True):
    """Say how many were counted."""


class PooledCounter(PooledActor):
    """Counts messages; in a ring, hands them on. Ours."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self.next: pykka.ActorRef[PooledCounter] | None = None
        self.finish: queue.SimpleQueue[None] | None = None

    def on_receive(self, message: Count | Counted) -> int | None:
        """Handle a message."""
        if isinstance(message, Counted):
            return message.reply(self._count)
        self._count += 1
        if message.hops > 0 and self.next is not None:
            tell(self.next, Count(context=CONTEXT, hops=message.hops - 1))
        elif self.finish is not None:
            self.finish.put(None)
        return None


class ThreadedCounter(pykka.ThreadingActor):
    """Counts messages; in a ring, hands them on. Pykka's."""

    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self.next: pykka.ActorRef[ThreadedCounter] | None = None
        self.finish: queue.SimpleQueue[None] | None = None

    def on_receive(self, message: Count | Counted) -> int | None:
        """Handle a message."""
        if isinstance(message, Counted):
            return message.reply(self._count)
        self._count += 1
        if message.hops > 0 and self.next is not None:
            self.next.tell(Count(context=CONTEXT, hops=message.hops - 1))
        elif self.finish is not None:
            self.finish.put(None)
        return None


Ref = pykka.ActorRef[Any]  # Any: one contestant's actors or the other's


class Contestant(Protocol):
    """One way to run actors."""

    name: str

    def start(self) -> Ref:
        """Start a counter."""

    def tell(self, actor: Ref, message: Count) -> None:
        """Send a message without an answer."""

    def ask(self, actor: Ref) -> int:
        """Send a message, and wait for the answer."""

    def close(self) -> None:
        """Stop what is left."""


class Alex:
    """Our actors, on the pool that the server has."""

    name = "alex"

    def __init__(self) -> None:
        log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
        self._pool = PoolDispatcher(name="actors", threads=4, log=log)

    def start(self) -> Ref:
        """Start a counter."""
        return self._pool.spawn(PooledCounter, supervisor=_fail)

    def tell(self, actor: Ref, message: Count) -> None:
        """Send a message without an answer."""
        tell(actor, message)

    def ask(self, actor: Ref) -> int:
        """Send a message, and wait for the answer."""
        return ask(actor, Counted(context=CONTEXT), timeout=TIMEOUT)

    def close(self) -> None:
        """Stop what is left."""
        self._pool.stop(timeout=TIMEOUT)


class Pykka:
    """Pykka's threading actors."""

    name = "pykka"

    def start(self) -> Ref:
        """Start a counter."""
        return ThreadedCounter.start()

    def tell(self, actor: Ref, message: Count) -> None:
        """Send a message without an answer."""
        actor.tell(message)

    def ask(self, actor: Ref) -> int:
        """Send a message, and wait for the answer."""
        counted: int = actor.ask(Counted(context=CONTEXT), block=True, timeout=TIMEOUT)
        return counted

    def close(self) -> None:
        """Stop what is left."""
        pykka.ActorRegistry.stop_all(timeout=TIMEOUT)


def _fail(error: BaseException) -> None:
    sys.exit(f"An actor of the bench crashed: {error!r}")


# What is measured. Each takes a contestant and the sizes, and returns one figure.


def tells_per_second(contestant: Contestant, sizes: Sizes) -> float:
    """Messages to one actor from one thread, until the last is handled."""
    actor, message = contestant.start(), Count(context=CONTEXT)
    begin = time.perf_counter()
    for _ in range(sizes.tells):
        contestant.tell(actor, message)
    counted = contestant.ask(actor)
    seconds = time.perf_counter() - begin
    stop_all([actor])
    if counted != sizes.tells:
        msg = f"{contestant.name} handled {counted} of {sizes.tells} messages"
        raise RuntimeError(msg)
    return sizes.tells / seconds


def asks_per_second(contestant: Contestant, sizes: Sizes) -> float:
    """Questions to one actor, one after the other."""
    actor = contestant.start()
    begin = time.perf_counter()
    for _ in range(sizes.asks):
        contestant.ask(actor)
    seconds = time.perf_counter() - begin
    stop_all([actor])
    return sizes.asks / seconds


def seconds_to_start(contestant: Contestant, sizes: Sizes) -> float:
    """From nothing to so many actors, each of which has handled a message."""
    message = Count(context=CONTEXT)
    begin = time.perf_counter()
    actors = [contestant.start() for _ in range(sizes.actors)]
    for actor in actors:
        contestant.tell(actor, message)
    contestant.ask(actors[-1])
    seconds = time.perf_counter() - begin
    stop_all(actors)
    return seconds


def seconds_to_stop(contestant: Contestant, sizes: Sizes) -> float:
    """From so many actors to none."""
    actors = [contestant.start() for _ in range(sizes.actors)]
    for actor in actors:
        contestant.tell(actor, Count(context=CONTEXT))
    contestant.ask(actors[-1])
    begin = time.perf_counter()
    stop_all(actors)
    return time.perf_counter() - begin


def hops_per_second(contestant: Contestant, sizes: Sizes) -> float:
    """Messages from actor to actor round a ring, many at once."""
    actors = [contestant.start() for _ in range(sizes.ring)]
    finish: queue.SimpleQueue[None] = queue.SimpleQueue()
    for actor, following in zip(actors, [*actors[1:], actors[0]], strict=True):
        proxy: Any = actor.proxy()  # Any: Pykka's proxies have the attributes of their actor
        proxy.next = following
        proxy.finish = finish
    contestant.ask(actors[-1])
    hops = sizes.ring * sizes.laps
    begin = time.perf_counter()
    for start in range(TOKENS):
        contestant.tell(actors[start * sizes.ring // TOKENS], Count(context=CONTEXT, hops=hops))
    for _ in range(TOKENS):
        finish.get(timeout=TIMEOUT)
    seconds = time.perf_counter() - begin
    stop_all(actors)
    return TOKENS * hops / seconds


def bytes_per_actor(contestant: Contestant, sizes: Sizes) -> float:
    """Resident memory of an idle actor, in a process of its own."""
    command = [sys.executable, __file__, "--memory", contestant.name, str(sizes.actors)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    return float(result.stdout)


def measure_memory(contestant: Contestant, actors: int) -> float:
    """Return the bytes by which this process grows for each idle actor."""
    process = psutil.Process()
    contestant.ask(contestant.start())  # what the first actor brings with it is not counted
    gc.collect()
    before = process.memory_info().rss
    kept = [contestant.start() for _ in range(actors)]
    for actor in kept:
        contestant.ask(actor)
    gc.collect()
    return (process.memory_info().rss - before) / len(kept)


def stop_all(actors: Iterable[Ref]) -> None:
    """Stop actors, and wait until they have."""
    for stopping in [actor.stop(block=False) for actor in actors]:
        stopping.get(timeout=TIMEOUT)


# The table.


@dataclass(frozen=True)
class Measure:
    """A line of the table."""

    title: str
    unit: str
    figure: Callable[[Contestant, Sizes], float]
    higher_is_better: bool
    aim: float | None = None
    """How many times better than Pykka's ours should be."""

    def times_better(self, ours: float, theirs: float) -> float:
        """Return by what factor ours is better."""
        return ours / theirs if self.higher_is_better else theirs / ours


def measures(sizes: Sizes) -> Sequence[Measure]:
    """Return what is measured, in the order of the table."""
    return (
        Measure("tell, one actor", "1/s", tells_per_second, higher_is_better=True, aim=3),
        Measure("ask, one actor", "1/s", asks_per_second, higher_is_better=True),
        Measure(f"ring of {sizes.ring:,} actors", "1/s", hops_per_second, higher_is_better=True),
        Measure(f"start {sizes.actors:,} actors", "s", seconds_to_start, higher_is_better=False, aim=20),
        Measure(f"stop {sizes.actors:,} actors", "s", seconds_to_stop, higher_is_better=False),
        Measure("memory of an idle actor", "bytes", bytes_per_actor, higher_is_better=False, aim=5),
    )


def compare(measure: Measure, contestants: tuple[Contestant, Contestant], sizes: Sizes) -> tuple[float, float]:
    """Return the medians of ours and theirs, measured in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    for round_number in range(sizes.rounds):
        turns = [(contestants[0], ours), (contestants[1], theirs)]
        for contestant, figures in reversed(turns) if round_number % 2 else turns:
            gc.collect()
            figures.append(measure.figure(contestant, sizes))
    return statistics.median(ours), statistics.median(theirs)


def line(measure: Measure, ours: float, theirs: float) -> str:
    """Return a line of the table."""
    ratio = measure.times_better(ours, theirs)
    verdict = ""
    if measure.aim is not None:
        verdict = f"aim {measure.aim:g}: {'met' if ratio >= measure.aim else 'missed'}"
    return f"{measure.title:<26}{number(ours):>12}{number(theirs):>12} {measure.unit:<6}{ratio:>8.1f}x  {verdict}"


def number(figure: float) -> str:
    """Return a figure with three digits, or all that lie before the point."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def run(sizes: Sizes, write: Callable[[str], object]) -> None:
    """Measure everything, and write the table line by line."""
    write(f"{'':<26}{'alex':>12}{'pykka':>12} {'':<6}{'better':>9}")
    for measure in measures(sizes):
        contestants = (Alex(), Pykka())  # new for each: what one measurement leaves must not burden the next
        try:
            write(line(measure, *compare(measure, contestants, sizes)).rstrip())
        finally:
            for contestant in contestants:
                contestant.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it works, within seconds")
    parser.add_argument("--memory", nargs=2, metavar=("CONTESTANT", "ACTORS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory:
        name, actors = options.memory
        contestant = Alex() if name == Alex.name else Pykka()
        print(measure_memory(contestant, int(actors)), flush=True)
        contestant.close()
    else:
        run(QUICK if options.quick else FULL, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
