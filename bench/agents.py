"""Many agents at once: wall time over the ideal, memory and threads of the server.

    python -m bench.agents [--tasks 5000] [--steps 5] [--milliseconds 2000]

Submits tasks that each sleep in steps, all at once, and watches the server until the last has ended.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time

import psutil

from bench.load import generate, post
from bench.servers import alex
from bench.submit import completed


def main() -> None:
    """Run the bench and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--milliseconds", type=int, default=2000)
    arguments = parser.parse_args()
    measure(arguments.tasks, arguments.steps, arguments.milliseconds)


def measure(tasks: int, steps: int, milliseconds: int) -> None:
    """Run the tasks, and print."""
    body = json.dumps({"task": f"Simulate {steps} steps of {milliseconds} ms"}).encode()
    ideal = steps * milliseconds / 1000
    with alex() as server:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        started = time.perf_counter()
        submitted = generate(
            server.address, itertools.repeat(post("/api/tasks", body), tasks), connections=64, status=b"201"
        )
        most_memory, most_threads, done = before, process.num_threads(), 0
        while done < tasks:
            most_memory = max(most_memory, process.memory_info().rss)
            most_threads = max(most_threads, process.num_threads())
            done = completed(server)
            time.sleep(0.05)  # looking takes time from the server that is looked at
        wall = time.perf_counter() - started
    print(f"{tasks} tasks of {steps} steps of {milliseconds} ms")
    print(f"submitted in        {submitted.seconds:8.2f} s")
    after = wall - submitted.seconds
    a_task = (most_memory - before) / tasks / 1024
    print(
        f"all ended after     {wall:8.2f} s from the first submit: {wall / ideal:.2f} times the ideal {ideal:g} s"
    )
    print(f"                    {after:8.2f} s from the last submit, {after / ideal:.2f} x")
    print(f"memory a task       {a_task:8.1f} KiB over {before / 2**20:.0f} MiB at rest")
    print(f"threads             {most_threads:8d}")


if __name__ == "__main__":
    main()
