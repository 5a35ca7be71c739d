"""What the log costs: the same server with no log but of errors, with one of facts, and with one of messages too.

    python -m bench.log [--quick] [--rounds N]

Prints, for each level, how long a submit takes, what a whole task takes of the server's CPU, and what the log
writes for it, beside those without a log; then what a line costs by itself. The servers run side by side and take
turns, batch by batch, so that what else the machine does hits all: ratios are medians of those of each round.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alex_actors.log import Log
from alex_actors.logs.reading import read_lines
from bench.load import generate, post
from bench.machine import Noise, Usage
from bench.servers import ServerProcess, alex
from bench.submit import pinning, wait_until_completed

TASK = json.dumps({"task": "Simulate 5 steps of 0 ms"}).encode()
LEVELS = ("error", "info", "debug")
"""The first is what the others are compared with: of a server without faults it logs nothing."""
SOME = 20_000
AIM = 1.05
"""A submit with the log of facts, beside one without."""


@dataclass(frozen=True)
class Batch:
    """What some tasks took, in microseconds a task."""

    alone: float
    """Median latency of a submit with no other under way."""
    together: float
    """Time of the client for each of 16 submits at once."""
    cpu: float
    """Of the server, from the submit to the end of the task."""


@dataclass(frozen=True)
class Written:
    """What the log has of a task."""

    lines: float
    bytes: float
    some: tuple[dict[str, Any], ...] = ()  # Any: as they stand in the log
    """The last lines, to be logged again."""


def main() -> None:
    """Run the bench and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="few tasks, to see that it runs")
    arguments.add_argument("--rounds", type=int, help="batches of each level  [default: 30]")
    options = arguments.parse_args()
    count, rounds = (20, 1) if options.quick else (400, options.rounds or 30)
    noise = Noise()

    batches, written = measure(count, rounds)
    print(f"five-step tasks, {rounds} rounds of {count}; medians, in µs")
    print(HEADER)
    for level in LEVELS:
        print(line(level, batches, written[level]))
    cost = line_cost(written["info"].some)
    of_a_task = cost * written["info"].lines
    share = of_a_task / statistics.median(batch.cpu for batch in batches[LEVELS[0]])
    own = f"{of_a_task:.0f} ({share:.1%})"
    print(f"logged again, a line takes {cost:.1f} µs of CPU, those of a task at info {own}")
    print(f"aim: a submit at info takes less than {AIM} of one without")
    print(noise)


def measure(count: int, rounds: int) -> tuple[dict[str, list[Batch]], dict[str, Written]]:
    """Load the servers in turns, each first in every third round. Return batches and what was logged, by level."""
    batches: dict[str, list[Batch]] = {level: [] for level in LEVELS}
    ended = 0
    with ExitStack() as stack:
        servers = {level: stack.enter_context(alex(log__level=level)) for level in LEVELS}
        # Each takes any core else, and who shares that one makes more of a difference than a log.
        for server in servers.values():
            stack.enter_context(pinning(server, pinned=True))
        for number in range(-1, rounds):
            for level in LEVELS[number % 3 :] + LEVELS[: number % 3]:
                batch = load(servers[level], count, ended=ended)
                if number >= 0:  # the first warms up
                    batches[level].append(batch)
            ended += count + count // 4
        return batches, {level: written_by(server, ended) for level, server in servers.items()}


def load(server: ServerProcess, count: int, *, ended: int) -> Batch:
    """Submit tasks one after another, then 16 at once; wait until all have ended."""
    before = Usage.of(server.process.pid).cpu
    few, request = count // 4, post("/api/tasks", TASK)
    alone = generate(server.address, itertools.repeat(request, few), connections=1, status=b"201")
    together = generate(server.address, itertools.repeat(request, count), connections=16, status=b"201")
    wait_until_completed(server, ended + few + count)
    return Batch(
        alone=statistics.median(alone.latencies) * 1e6,
        together=together.seconds / count * 1e6,
        cpu=(Usage.of(server.process.pid).cpu - before) / (few + count) * 1e6,
    )


def written_by(server: ServerProcess, tasks: int) -> Written:
    """Return what the server has logged for each task; what it says of itself is among it."""
    lines = list(read_lines(server.data / "logs" / "alex.jsonl"))
    some = tuple(json.loads(line) for line in lines[-SOME:])
    return Written(lines=len(lines) / tasks, bytes=(sum(map(len, lines)) + len(lines)) / tasks, some=some)


def line_cost(lines: Sequence[dict[str, Any]]) -> float:  # Any: as they stand in the log
    """Return the microseconds of CPU that such a line takes: to make it, to redact and to write it."""
    facts = [{name: value for name, value in line.items() if name not in ("ts", "level")} for line in lines]
    with tempfile.TemporaryDirectory(prefix="alex-bench-") as directory:
        log = Log.open(
            level="info", log_file=Path(directory) / "alex.jsonl", stdout=None, environ=os.environ,
            now=lambda: datetime.now(UTC), max_file_bytes=104_857_600, keep_files=1,
        )  # fmt: skip
        start = time.process_time()
        for fact in facts:
            log.logger.info(fact.pop("event"), **fact)
        seconds = time.process_time() - start
        log.close()
    return seconds / len(facts) * 1e6


HEADER = (
    f"{'level':7}{'submit alone':>14}{'of none':>9}{'16 at once':>12}{'of none':>9}"
    f"{'CPU of a task':>15}{'of none':>9}{'lines':>8}{'bytes':>8}"
)


def line(level: str, batches: dict[str, list[Batch]], written: Written) -> str:
    """Return a line of the table."""
    none = batches[LEVELS[0]]
    figures = [
        ([getattr(batch, name) for batch in batches[level]], [getattr(batch, name) for batch in none])
        for name in ("alone", "together", "cpu")
    ]
    alone, together, cpu = ((statistics.median(ours), ratio(ours, without)) for ours, without in figures)
    return (
        f"{level:7}{alone[0]:14.0f}{alone[1]:9.3f}{together[0]:12.0f}{together[1]:9.3f}"
        f"{cpu[0]:15.0f}{cpu[1]:9.3f}{written.lines:8.1f}{written.bytes:8.0f}"
    )


def ratio(ours: Sequence[float], without: Sequence[float]) -> float:
    """Return the median of the ratios of each round."""
    return statistics.median(one / other for one, other in zip(ours, without, strict=True))


if __name__ == "__main__":
    main()
