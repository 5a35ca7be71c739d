"""What ten thousand event streams cost, beside a loop that does nothing else, and beside a thread for each.

    python -m bench.streams [--sizes 1,100,1000,10000] [--spread SESSIONS] [--long-polls N] [--quick]

For each number of streams of one session: the time to open them, the server's memory and threads; how long an
event takes from its recording to the first, the median and the last reader while a task runs; the server's CPU
for each delivery; and the latency of an unrelated GET, while the streams are idle and while events go out.
Readers and the GETs are processes of their own. Runs on Linux only.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.load import Load, generate, get, paced, percentile, post
from bench.long_polls import AIM as LONG_POLL_AIM
from bench.long_polls import measure as measure_long_polls
from bench.machine import Noise, Usage
from bench.readers import Watched, allow_descriptors, reading
from bench.servers import ServerProcess, alex, bare_loop, thread_per_stream

WORKERS = 8
"""Threads that handle requests."""
MOST_THREADS = 1000
"""Streams that a thread each is tried for."""
AN_EVENT = 300e-6
"""Seconds that there are for recording each."""
EVERY = 0.005
"""Seconds between two GETs."""
HEADER = (
    f"{'':18}{'streams':>8}{'open s':>8}{'kB each':>9}{'after':>7}{'threads':>8}"
    f"{'first p50':>11}{'median':>8}{'last p50':>10}{'p95':>8}{'us/event':>10}"
    f"{'GET p50':>9}{'p99':>8}{'idle':>8}{'p99':>8}{'meanwhile':>11}{'p99':>8}"
)
LEGEND = f"""\
kB each: the server's memory for each stream, open and idle; after: once the task has ended. us/event: CPU of the
server for each event delivered, the task's own work included. Of an event, milliseconds from its timestamp to the
first, the median and the last reader; p50 and p95 of the events. GET: milliseconds of GET /api/tasks/ID, one each
{1000 * EVERY:g} ms: without any stream, which shows what the machine can do now; while the streams are idle; and
while events go out."""


@dataclass(frozen=True)
class Contestant:
    """A server to measure; ``start`` takes the number of streams, ``version`` is the readers' HTTP.

    It gets ``a_delivery`` seconds for each, so that an event does not wait until the one before it is through.
    """

    name: str
    start: Callable[[int], AbstractContextManager[ServerProcess]]
    version: str
    most: int
    a_delivery: float


CONTESTANTS = (
    Contestant(
        "alex",
        lambda streams: alex(
            server__threads=WORKERS,
            limits__max_streams=streams + 100,
            limits__max_streams_per_client=streams + 100,
        ),
        "HTTP/1.1",
        most=15_000,
        a_delivery=50e-6,
    ),
    Contestant("bare loop", lambda _streams: bare_loop(), "HTTP/1.1", most=15_000, a_delivery=50e-6),
    Contestant(  # HTTP/1.0, so that its frames come as they are, not in chunks
        "thread per stream",
        lambda streams: thread_per_stream(streams + WORKERS),
        "HTTP/1.0",
        most=MOST_THREADS,
        a_delivery=400e-6,
    ),
)


@dataclass(frozen=True)
class Figures:
    """A line of the table. Bytes, seconds, and milliseconds in the loads."""

    streams: int
    opened: float
    memory: float
    memory_after: float
    threads: int
    watched: Watched
    cpu: float
    without: Load
    idle: Load
    meanwhile: Load

    @property
    def cpu_each(self) -> float:
        """Microseconds of the server's CPU for each delivery."""
        return 1e6 * self.cpu / self.watched.deliveries


def main() -> None:
    """Run the bench and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1,100,1000,10000", help="numbers of streams, with commas")
    parser.add_argument(
        "--spread", type=int, default=1, metavar="SESSIONS", help="over so many sessions, a task each"
    )
    parser.add_argument("--steps", type=int, default=20, help="steps of each task: two events a step")
    parser.add_argument("--long-polls", type=int, metavar="N", help="measure N long polls instead")
    parser.add_argument("--over", type=float, default=20.0, help="seconds over which the long polls' tasks end")
    parser.add_argument("--quick", action="store_true", help="see that it works, within seconds")
    options = parser.parse_args()
    sizes = [1, 20] if options.quick else [int(size) for size in options.sizes.split(",")]
    noise = Noise()
    if options.long_polls:
        allow_descriptors(options.long_polls + 100)
        print(measure_long_polls(options.long_polls, over=options.over, workers=WORKERS), LONG_POLL_AIM, sep="\n")
    else:
        compare(sizes, steps=3 if options.quick else options.steps, spread=options.spread, idle=3.0)
    print(noise)


def compare(sizes: Sequence[int], *, steps: int, spread: int, idle: float) -> None:
    """Measure all at each size, and print a line for each."""
    print(f"{LEGEND}\n{HEADER}")
    for streams in sizes:
        figures = {}
        for contestant in CONTESTANTS:
            if streams <= contestant.most and (spread == 1 or contestant.name == "alex"):
                found = measure(contestant, streams, steps=steps, spread=min(spread, streams), idle=idle)
                figures[contestant.name] = found
                print(line(contestant.name, found), flush=True)
        for other in list(figures)[1:]:
            print(f"  {other} / alex: {ratios(figures['alex'], figures[other])}", flush=True)
    print("aim: 10,000 streams on 8 workers; at most 6 kB each, 15 us an event; GET p99 under 5 ms while idle")


def measure(contestant: Contestant, streams: int, *, steps: int, spread: int, idle: float) -> Figures:
    """Open streams on a fresh server, let a task run in each session, and look."""
    milliseconds = round(max(100.0, 2000 * (contestant.a_delivery * streams + AN_EVENT * spread)))
    with contestant.start(streams) as server:
        sessions = [f"bench-{number}" for number in range(spread)]
        task_ids, after = warm_up(server, sessions)
        look = get(f"/api/tasks/{task_ids[0]}")
        nothing = paced(server.address, look, every=EVERY, until=_elapsed(idle))
        before = Usage.of(server.process.pid)
        paths = [f"/api/sessions/{session}/events" for session in sessions]
        with reading(server.address, paths, streams=streams, after=after, version=contestant.version) as (
            readers,
            opened,
        ):
            quiet = paced(server.address, look, every=EVERY, until=_elapsed(idle))
            opening = Usage.of(server.process.pid)
            task = f"Simulate {steps} steps of {milliseconds} ms"
            readers.start_reading()
            submit(server, sessions, task)
            watched = readers.result()
            end = Usage.of(server.process.pid)
            readers.start_reading()  # once more: what GETs take is not to be counted for the events
            submit(server, sessions, task)
            meanwhile = paced(server.address, look, every=EVERY, until=lambda: readers.done)
            readers.result()
    if watched.watchers not in ({streams // spread}, {streams // spread, streams // spread + 1}):
        msg = f"events went to {sorted(watched.watchers)} streams, not to {streams / spread:g}"
        raise ValueError(msg)
    return Figures(
        streams=streams,
        opened=opened,
        memory=(opening.memory - before.memory) / streams,
        memory_after=(end.memory - before.memory) / streams,
        threads=end.threads,
        watched=watched,
        cpu=end.cpu - opening.cpu,
        without=nothing,
        idle=quiet,
        meanwhile=meanwhile,
    )


def warm_up(server: ServerProcess, sessions: Sequence[str]) -> tuple[list[str], int]:
    """Have a task end in each session. Return the tasks' IDs, and the id of the last event of all."""
    task_ids = submit(server, sessions, "Simulate 1 steps of 0 ms")
    for task_id in task_ids:
        look = get(f"/api/tasks/{task_id}")
        while b'"completed"' not in generate(server.address, iter([look]), connections=1, status=b"200").bodies[0]:
            time.sleep(0.01)  # looking takes time from the server that is looked at
    pages = (get(f"/api/tasks/{task_id}/events") for task_id in task_ids)
    recorded = generate(server.address, pages, connections=1, status=b"200").bodies
    return task_ids, max(json.loads(body)["last_event_id"] for body in recorded)


def submit(server: ServerProcess, sessions: Sequence[str], task: str) -> list[str]:
    """Submit a task in each session. Return the tasks' IDs."""
    bodies = (json.dumps({"task": task, "session_id": session}).encode() for session in sessions)
    requests = (post("/api/tasks", body) for body in bodies)
    connections = min(16, len(sessions))
    replies = generate(server.address, requests, connections=connections, status=b"201").bodies
    return [json.loads(body)["task_id"] for body in replies]


def _elapsed(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end


def line(name: str, found: Figures) -> str:
    """Return a line of the table."""
    watched = found.watched
    return (
        f"{name:18}{found.streams:8,}{found.opened:8.2f}{found.memory / 1000:9.1f}{found.memory_after / 1000:7.1f}"
        f"{found.threads:8}{percentile(watched.first, 50):11.2f}{percentile(watched.median, 50):8.2f}"
        f"{percentile(watched.last, 50):10.2f}{percentile(watched.last, 95):8.2f}{found.cpu_each:10.1f}"
        f"{found.without.percentile(50):9.2f}{found.without.percentile(99):8.2f}"
        f"{found.idle.percentile(50):8.2f}{found.idle.percentile(99):8.2f}"
        f"{found.meanwhile.percentile(50):11.2f}{found.meanwhile.percentile(99):8.2f}"
    )


def ratios(ours: Figures, theirs: Figures) -> str:
    """Return theirs by ours: more than 1 is in favour of ours."""
    compared = {
        "open": theirs.opened / ours.opened,
        "memory": theirs.memory_after / max(1.0, ours.memory_after),
        "last reader": percentile(theirs.watched.last, 50) / percentile(ours.watched.last, 50),
        "CPU": theirs.cpu_each / ours.cpu_each,
        "GET meanwhile p99": theirs.meanwhile.percentile(99) / ours.meanwhile.percentile(99),
    }
    return ", ".join(f"{name} {ratio:.2f}" for name, ratio in compared.items())


if __name__ == "__main__":
    main()
