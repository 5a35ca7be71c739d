"""What a submit costs, and how many tasks are finished: ours, which records all of it durably, beside others.

    python -m bench.submit [--quick] [--loop epoll --loop poll] [--no-by-hand]

Prints requests a second and latencies of ``POST /api/tasks`` at 1, 16 and 64 connections, as it is and with
server and load generator pinned to a core each, next to the same ``POST`` on servers that do nothing and on one
that is written by hand and records nothing; five-step tasks finished a second; then how long a cancel in the
middle of a step takes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bench.load import Load, generate, get, post
from bench.machine import Noise
from bench.servers import ServerProcess, alex, by_hand, no_op, python_for_by_hand

TASK = json.dumps({"task": "Simulate 5 steps of 0 ms"}).encode()
LONG_TASK = json.dumps({"task": "Simulate 20 steps of 500 ms"}).encode()
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()  # Linux alone can pin


class Row:
    """What was measured of one way to load: rounds of each contestant, whose medians are shown."""

    def __init__(self) -> None:
        self._loads: dict[str, list[Load]] = {}
        self._finished: dict[str, list[float]] = {}

    def add(self, name: str, load: Load, finished: float) -> None:
        """Add a round."""
        self._loads.setdefault(name, []).append(load)
        self._finished.setdefault(name, []).append(finished)

    def per_second(self, name: str) -> float:
        """Return the replies a second; nan if it was not measured."""
        return (
            statistics.median(load.per_second for load in self._loads[name]) if name in self._loads else math.nan
        )

    def finished(self, name: str) -> float:
        """Return the tasks that were finished a second; nan if it was not measured."""
        return statistics.median(self._finished[name]) if name in self._finished else math.nan

    def percentile(self, name: str, percent: float) -> float:
        """Return a latency in milliseconds."""
        return statistics.median(load.percentile(percent) for load in self._loads[name])


HEADER = (
    f"{'':14}{'at once':>8}{'no-op plain/s':>15}{'no-op own/s':>13}{'alex/s':>9}{'of own':>8}{'p50':>7}{'p99':>7}"
    f"{'finished/s':>12}{'by hand/s':>11}{'finished/s':>12}{'alex to it':>12}"
)
LEGEND = """\
no-op: a Falcon app that does nothing, on plain waitress and on our own server; by hand: FastAPI and uvicorn, tasks
in a dict, nothing recorded; finished: five-step tasks from the first submit to the end of the last. pinned: server
and load generator on a core each. Latencies in ms."""


def main() -> None:
    """Run the bench and print its tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="a hundredth of the requests, to see that it runs")
    arguments.add_argument(
        "--loop", action="append", choices=("epoll", "poll"), help="the server's loop; repeatable"
    )
    arguments.add_argument("--no-by-hand", action="store_true", help="install no FastAPI to compare with")
    options = arguments.parse_args()
    count, rounds = (100, 1) if options.quick else (4000, 3)
    noise = Noise()

    print(f"POST /api/tasks, {count} requests, median of {rounds} rounds\n{LEGEND}")
    with contextlib.ExitStack() as stack:
        python = None if options.no_by_hand else stack.enter_context(python_for_by_hand())
        print(HEADER)
        for loop, pinned, connections in itertools.product(options.loop or ["epoll"], (False, True), (1, 16, 64)):
            row = submits(count, connections, rounds=rounds, pinned=pinned, loop=loop, python=python)
            print(line(f"{loop}, pinned" if pinned else loop, connections, row), flush=True)
    print("aim: at 16 and 64, half of the no-op on the same server; p50 under 1 ms at 1; more than 5,000/s")
    cancel_count = 20 if options.quick else 200
    print(f"\ncancel in the middle of a 500 ms step, {cancel_count} times; latencies in ms")
    for connections in (1, 16):
        cancels = cancel_latencies(cancel_count, connections)
        print(f"{connections:3} at once: p50 {cancels.percentile(50):.1f}, p99 {cancels.percentile(99):.1f}")
    print(noise)


def submits(count: int, connections: int, *, rounds: int, pinned: bool, loop: str, python: str | None) -> Row:
    """Load all contestants in turns, round by round, so that what else the machine does hits all."""
    contestants: list[tuple[str, Callable[[], AbstractContextManager[ServerProcess]], bool]] = [
        ("plain", lambda: no_op("plain"), False),
        ("own", lambda: no_op("own", loop), False),
        ("alex", lambda: alex(server__loop=loop), True),
    ]
    if python:
        contestants.append(("by hand", lambda: by_hand(python), True))
    row = Row()
    for _ in range(rounds):
        for name, start, finish in contestants:
            row.add(name, *load_server(start, count, connections, pinned=pinned, finish=finish))
    return row


def line(name: str, connections: int, row: Row) -> str:
    """Return a line of the table."""
    ours = row.per_second("alex")
    return (
        f"{name:14}{connections:8}{row.per_second('plain'):15,.0f}{row.per_second('own'):13,.0f}{ours:9,.0f}"
        f"{ours / row.per_second('own'):8.2f}{row.percentile('alex', 50):7.2f}{row.percentile('alex', 99):7.2f}"
        f"{row.finished('alex'):12,.0f}{row.per_second('by hand'):11,.0f}{row.finished('by hand'):12,.0f}"
        f"{ours / row.per_second('by hand'):12.2f}"
    )


def load_server(
    start: Callable[[], AbstractContextManager[ServerProcess]],
    count: int,
    connections: int,
    *,
    pinned: bool,
    finish: bool,
) -> tuple[Load, float]:
    """Submit tasks to a fresh server; with ``finish``, wait until all have ended."""
    with start() as server, pinning(server, pinned=pinned):
        warm_up = max(20, count // 20)
        request = post("/api/tasks", TASK)
        generate(server.address, itertools.repeat(request, warm_up), connections=connections, status=b"201")
        started = time.perf_counter()
        load = generate(server.address, itertools.repeat(request, count), connections=connections, status=b"201")
        if finish:
            wait_until_completed(server, warm_up + count)
        return load, count / (time.perf_counter() - started)


@contextmanager
def pinning(server: ServerProcess, *, pinned: bool) -> Iterator[None]:
    """Keep the server on one core and this process on another; or give it all, whatever it takes by itself."""
    if pinned and len(CORES) > 1:
        first, second, *_ = CORES
        server.keep_on({first})
        os.sched_setaffinity(0, {second})
    elif CORES:
        server.keep_on(CORES)
    try:
        yield
    finally:
        if CORES:
            os.sched_setaffinity(0, CORES)


def wait_until_completed(server: ServerProcess, count: int) -> None:
    """Return when so many tasks are completed."""
    while completed(server) < count:
        time.sleep(0.01)  # looking takes time from the server that is looked at


def completed(server: ServerProcess) -> int:
    """Return how many tasks are completed."""
    request = get("/api/tasks?status=completed&limit=1")
    (body,) = generate(server.address, iter([request]), connections=1, status=b"200").bodies
    total: int = json.loads(body)["total"]
    return total


def cancel_latencies(count: int, connections: int) -> Load:
    """Start tasks that sleep, and cancel each in the middle of a step."""
    with alex() as server:
        submits = itertools.repeat(post("/api/tasks", LONG_TASK), count)
        submitted = generate(server.address, submits, connections=16, status=b"201")
        time.sleep(0.2)  # into the first step, which takes half a second
        cancels = (post(f"/api/tasks/{json.loads(body)['task_id']}/cancel", b"{}") for body in submitted.bodies)
        return generate(server.address, cancels, connections=connections, status=b"200")


if __name__ == "__main__":
    main()
