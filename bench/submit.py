"""What a submit costs, and how many tasks are finished: ours, which records all of it durably, beside a no-op.

    python -m bench.submit [--quick]

Prints requests a second and latencies of ``POST /api/tasks`` at 1, 16 and 64 connections, as it is and with
server and load generator pinned to a core each, next to the same ``POST`` on bare Falcon and waitress that
does nothing; then five-step tasks finished a second; then how long a cancel in the middle of a step takes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bench.load import Load, generate, get, post
from bench.servers import ServerProcess, alex, no_op

TASK = json.dumps({"task": "Simulate 5 steps of 0 ms"}).encode()
LONG_TASK = json.dumps({"task": "Simulate 20 steps of 500 ms"}).encode()
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()  # Linux alone can pin


def main() -> None:
    """Run the bench and print its tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="a hundredth of the requests, to see that it runs")
    quick = arguments.parse_args().quick
    count = 100 if quick else 4000
    rounds = 1 if quick else 3

    print(f"POST /api/tasks, {count} requests, median of {rounds} rounds; latencies in ms")
    print(
        f"{'':12}{'connections':>12}{'no-op/s':>10}{'alex/s':>10}{'ratio':>8}{'p50':>8}{'p99':>8}{'finished/s':>12}"
    )
    for pinned in (False, True):
        for connections in (1, 16, 64):
            row = [submits(count, connections, pinned=pinned) for _ in range(rounds)]
            nothing = statistics.median(nothings.per_second for nothings, _, _ in row)
            ours = statistics.median(load.per_second for _, load, _ in row)
            finished = statistics.median(each for _, _, each in row)
            p50, p99 = (statistics.median(load.percentile(p) for _, load, _ in row) for p in (50, 99))
            name = "pinned" if pinned else "as it is"
            print(f"{name:12}{connections:12}{nothing:10.0f}{ours:10.0f}{ours / nothing:8.2f}", end="")
            print(f"{p50:8.2f}{p99:8.2f}{finished:12.0f}", flush=True)
    cancel_count = 20 if quick else 200
    print(f"\ncancel in the middle of a 500 ms step, {cancel_count} times; latencies in ms")
    for connections in (1, 16):
        cancels = cancel_latencies(cancel_count, connections)
        print(f"{connections:3} at once: p50 {cancels.percentile(50):.1f}, p99 {cancels.percentile(99):.1f}")


def submits(count: int, connections: int, *, pinned: bool) -> tuple[Load, Load, float]:
    """Load the no-op, then ours. Returns both, and how many of our tasks were finished a second."""
    nothing, _ = load_server(no_op, count, connections, pinned=pinned, finish=False)
    ours, finished = load_server(alex, count, connections, pinned=pinned, finish=True)
    return nothing, ours, finished


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
    """Keep the server on one core and this process on another."""
    if pinned and len(CORES) > 1:
        first, second, *_ = CORES
        server.pin(first)
        os.sched_setaffinity(0, {second})
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
