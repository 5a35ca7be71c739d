"""Thousands of replies that wait, each for the end of a task of its own: how long after it each comes."""

from __future__ import annotations

import json
import time
from datetime import datetime

from bench.load import Load, generate, get, percentile, post
from bench.machine import Usage
from bench.servers import alex

A_SUBMIT = 0.004
"""Seconds that there are for each submit and each poll before the first task ends."""
SETTLE = 4.0
"""Seconds between the last poll and the end of the first task: the server has taken all of them in by then."""
AIM = "aim: 5,000 at once on 8 workers, each answered within 20 ms of its task's end"


def measure(polls: int, *, over: float, workers: int) -> str:
    """Have so many tasks end within ``over`` seconds, each waited for. Return what to print."""
    begin = 2 * SETTLE + polls * A_SUBMIT  # until then all are waited for
    with alex(server__threads=workers, server__max_connections=polls + 100) as server:
        waits = [begin + over * number / polls for number in range(polls)]
        bodies = [json.dumps({"task": f"Simulate 1 steps of {1000 * wait:.0f} ms"}).encode() for wait in waits]
        started = time.perf_counter()
        submits = (post("/api/tasks", body) for body in bodies)
        submitted = generate(server.address, submits, connections=16, status=b"201")
        before = Usage.of(server.process.pid)
        tasks = (get(f"/api/tasks/{json.loads(body)['task_id']}?wait=60") for body in submitted.bodies)
        load = generate(server.address, tasks, connections=polls, status=b"200")
        after = Usage.of(server.process.pid)
        took = time.perf_counter() - started
    found = delays(load)
    return (
        f"{polls:,} long polls on {workers} workers; their tasks ended over {over:g} s; {took:.0f} s in all\n"
        f"from a task's end to its reply, ms: p50 {percentile(found, 50):.1f}, p99 {percentile(found, 99):.1f}, "
        f"max {max(found):.1f}; threads {after.threads}; "
        f"CPU {(after.cpu - before.cpu) * 1e6 / polls:.0f} us a poll, its task's end included"
    )


def delays(load: Load) -> list[float]:
    """Return the milliseconds from the end of each task to the arrival of the reply that tells of it.

    Raises ValueError if a reply tells of a task that has not ended, RuntimeError if the first task had ended
    before all were waited for: then the machine is too busy to measure anything.
    """
    tasks = [json.loads(body) for body in load.bodies]
    if waiting := [task["task_id"] for task in tasks if task["completed_at"] is None]:
        msg = f"answered before the end of the tasks {waiting}"
        raise ValueError(msg)
    ends = [datetime.fromisoformat(task["completed_at"]).timestamp() for task in tasks]
    last_sent = max(arrival - latency for arrival, latency in zip(load.arrivals, load.latencies, strict=True))
    if min(ends) < last_sent + SETTLE:
        msg = f"a task ended {min(ends) - last_sent:.1f} s after the last poll was sent: too early"
        raise RuntimeError(msg)
    return [1000 * (arrival - end) for arrival, end in zip(load.arrivals, ends, strict=True)]
