"""A thousand streams that come and go while tasks run, for minutes: nothing grows, and nothing is missed.

    python -m bench.soak [--minutes 10] [--streams 1000] [--seed N]
    python -m bench.soak --tasks 100000

Readers reconnect, resume, start again, stop reading and reset their connections; tasks are submitted, waited for
and cancelled all the while. The server's memory, descriptors and threads are sampled every few seconds, and have
to be the same at the end as after the first minute; what each reader received has to be what is recorded, and the
log has to be as ``alex trace --check`` wants it. Exits with 1 otherwise. The seed decides what each reader does,
not when exactly. Runs on Linux only.

With ``--tasks`` so many short tasks run instead, without streams, and what the server takes is compared after the
first tenth of them and at the end: ``soak_tasks.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import secrets
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx

from bench import soak_tasks
from bench.checked_log import check_log
from bench.event_streams import Frames
from bench.machine import Noise, Usage
from bench.readers import allow_descriptors
from bench.servers import ServerProcess, alex
from bench.watchers import Watch, Watcher

SESSIONS = 20
"""Sessions; the first has the most events, and the fewest readers."""
RATE = 5.0
"""Tasks submitted a second."""
BUSY = "Simulate 400 steps of 20 ms"
"""What runs in the first session, over and over: 100 events a second."""
SAMPLES = 5.0
"""Seconds from one look at the server to the next."""
COMPARED = 30.0
"""Seconds whose median is compared: those after the first minute, and the last."""
MEMORY_TOLERANCE = 0.05
"""By how much memory may differ: allocators keep some of what was freed, here and there."""
DESCRIPTOR_TOLERANCE = 0.05
"""By how many descriptors, of the number of streams: a few are just being opened again."""
FINISH = 60.0
"""Seconds that readers have to read what is left when nothing is recorded any more."""
WARM = 100
"""Requests and streams at once before the first look."""
SETTLE = 2.0
"""Seconds for the server to close what its clients have closed."""
REST_TOLERANCE = 20
"""How many more descriptors may be open once all streams are closed: two for each connection of a worker to the
database, which are made when several are needed at once, and kept."""


class Soak:
    """What goes on while the server is watched."""

    def __init__(self, server: ServerProcess, *, streams: int, seconds: float, seed: int) -> None:
        host, port = server.address
        self._server = server
        self._seconds = seconds
        self._random = random.Random(seed)
        self._counts: Counter[str] = Counter()
        self._http = httpx.AsyncClient(
            base_url=f"http://{host}:{port}", timeout=90, limits=httpx.Limits(max_connections=500)
        )
        self._sessions = [f"soak-{number}" for number in range(SESSIONS)]
        self._tasks: list[str] = []
        self._last: dict[str, int] = {}
        self._begin = 0.0
        frames = Frames()
        self._watchers = [
            Watcher(
                address=server.address,
                topic=lambda number=number: self._topic(number),  # type: ignore[misc]  # mypy: a lambda's default
                last=self._last.get,
                randomness=random.Random(f"{seed}/{number}"),
                frames=frames,
                counts=self._counts,
            )
            for number in range(streams)
        ]

    def _topic(self, number: int) -> str:
        """Return what a reader watches next: one in ten a task, one in a hundred the busy session."""
        if number % 10 == 9:
            return f"/api/tasks/{self._tasks[-1]}/events"
        if number % 100 == 0:
            return f"/api/sessions/{self._sessions[0]}/events"
        return f"/api/sessions/{self._sessions[1 + number % (SESSIONS - 1)]}/events"

    async def run(self) -> list[str]:
        """Go on for the time that was asked for. Return what was wrong."""
        async with self._http:
            await self._warm_up()
            at_rest = Usage.of(self._server.process.pid)
            self._begin = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as everything:
                watching = [everything.create_task(watcher.run()) for watcher in self._watchers]
                sampling = everything.create_task(self._sample())
                async with asyncio.TaskGroup() as work:
                    work.create_task(self._keep_busy())
                    work.create_task(self._submit_all(work))
                print("all tasks have ended; the readers read to the end", flush=True)
                samples = await sampling
                recorded = await self._recorded()
                print("what is recorded is known", flush=True)
                for watcher in self._watchers:
                    watcher.finish()
                _, late = await asyncio.wait(watching, timeout=FINISH)
                for task in late:
                    task.cancel()
        await asyncio.sleep(SETTLE)  # until the server has closed what the readers have
        left = Usage.of(self._server.process.pid)
        print("  ".join(f"{name}: {count:,}" for name, count in sorted(self._counts.items())))
        wrong = grown(samples, streams=len(self._watchers)) if self._seconds > 60 + 2 * COMPARED else []
        if left.descriptors > at_rest.descriptors + REST_TOLERANCE:
            wrong.append(f"{left.descriptors} descriptors at rest, {at_rest.descriptors} before")
        if left.threads > at_rest.threads + 1:
            wrong.append(f"{left.threads} threads at rest, {at_rest.threads} before")
        if late:
            wrong.append(f"{len(late)} readers had not read to the end after {FINISH:g} s")
        return wrong + self._compared(recorded) + self._server.errors()

    async def _warm_up(self) -> None:
        """Have each session begin, and the server open all that it opens once: connections of its threads."""
        for session in self._sessions:
            await self._submit(session, "Simulate 1 steps of 0 ms", wait=5)
        await asyncio.gather(*(self._http.get("/api/tasks") for _ in range(WARM)))
        async with contextlib.AsyncExitStack() as streams:
            for number in range(WARM):
                path = f"/api/sessions/{self._sessions[number % SESSIONS]}/events"
                await streams.enter_async_context(self._http.stream("GET", path))
        await asyncio.sleep(SETTLE)

    @property
    def _over(self) -> bool:
        return asyncio.get_running_loop().time() >= self._begin + self._seconds

    async def _sample(self) -> list[tuple[float, Usage]]:
        """Look at the server every few seconds."""
        samples = []
        while not self._over:
            await asyncio.sleep(SAMPLES)
            used = Usage.of(self._server.process.pid)
            samples.append((asyncio.get_running_loop().time() - self._begin, used))
            if len(samples) % 6 == 0 or self._over:
                print(
                    f"{samples[-1][0]:6.0f} s  {used.memory / 1e6:7.1f} MB  {used.descriptors:6} descriptors"
                    f"  {used.threads:4} threads  {used.cpu:7.1f} s of CPU",
                    flush=True,
                )
        return samples

    # What is done besides watching.

    async def _keep_busy(self) -> None:
        while not self._over:
            await self._submit(self._sessions[0], BUSY, wait=60)

    async def _submit_all(self, work: asyncio.TaskGroup) -> None:
        """Submit tasks; wait for some, cancel some."""
        draw = self._random
        while not self._over:
            await asyncio.sleep(draw.expovariate(RATE))
            text = f"Simulate {draw.randint(1, 10)} steps of {draw.choice((0, 20, 100, 300))} ms"
            text += " then fail" if draw.random() < 0.1 else ""
            session = draw.choice(self._sessions[1:])
            kind = draw.random()
            wait = 60 if kind < 0.3 else draw.choice((0, 1))
            work.create_task(self._submit(session, text, wait=wait, cancel=kind > 0.85))

    async def _submit(self, session: str, text: str, *, wait: float, cancel: bool = False) -> None:
        """Submit a task, and see it through."""
        strategy = self._random.choice(("enqueue", "parallel"))
        body = {"task": text, "session_id": session, "multitask_strategy": strategy}
        reply = (await self._http.post("/api/tasks", json=body)).raise_for_status()
        task_id = reply.json()["task_id"]
        self._tasks.append(task_id)
        self._counts["submitted"] += 1
        if cancel:
            await asyncio.sleep(self._random.random())
            self._counts[f"cancel {(await self._http.post(f'/api/tasks/{task_id}/cancel')).status_code}"] += 1
        while (await self._state(task_id, wait))["completed_at"] is None:
            self._counts["waited"] += 1
            wait = 60

    async def _state(self, task_id: str, wait: float) -> dict[str, Any]:  # Any: JSON
        reply = (await self._http.get(f"/api/tasks/{task_id}", params={"wait": wait})).raise_for_status()
        state: dict[str, Any] = reply.json()  # Any: JSON
        return state

    # What is compared at the end.

    async def _recorded(self) -> dict[str, list[int]]:
        """Read the ids of all events, by the path of their streams; what the readers wait for is known then."""
        recorded: dict[str, list[int]] = {f"/api/sessions/{session}/events": [] for session in self._sessions}
        for task_id in self._tasks:
            path = f"/api/tasks/{task_id}/events"
            events: list[dict[str, Any]] = []  # Any: JSON
            while page := await self._page(path, events[-1]["event_id"] if events else 0):
                events += page
            recorded[path] = [event["event_id"] for event in events]
            recorded[f"/api/sessions/{events[0]['session_id']}/events"] += recorded[path]
        for path, ids in recorded.items():
            ids.sort()
            if "/sessions/" in path:
                self._last[path] = ids[-1]
        return recorded

    async def _page(self, path: str, after: int) -> list[dict[str, Any]]:  # Any: JSON
        asked = {"after": str(after), "limit": "1000"}
        reply = await self._http.get(path, params=asked, headers={"Accept": "application/json"})
        events: list[dict[str, Any]] = reply.raise_for_status().json()["events"]  # Any: JSON
        return events

    def _compared(self, recorded: dict[str, list[int]]) -> list[str]:
        watches: list[Watch] = [watch for watcher in self._watchers for watch in watcher.watches]
        received = sum(len(watch.ids) for watch in watches)
        print(f"{received:,} events received in {len(watches):,} watches of {len(recorded):,} streams")
        return [fault for watch in watches if (fault := watch.fault(recorded[watch.path])) is not None]


def grown(samples: Sequence[tuple[float, Usage]], *, streams: int) -> list[str]:
    """Compare the medians of the time after the first minute with those of the end. Return what differs."""
    end = samples[-1][0]
    early = [used for at, used in samples if 60 <= at < 60 + COMPARED]
    late = [used for at, used in samples if at > end - COMPARED]
    memory, later_memory = (statistics.median(used.memory for used in part) for part in (early, late))
    threads, later_threads = (statistics.median(used.threads for used in part) for part in (early, late))
    open_files, later_open_files = (statistics.median(used.descriptors for used in part) for part in (early, late))
    print(
        f"after the first minute and at the end: {memory / 1e6:.1f} and {later_memory / 1e6:.1f} MB, "
        f"{open_files:g} and {later_open_files:g} descriptors, {threads:g} and {later_threads:g} threads"
    )
    wrong = []
    if later_memory > memory * (1 + MEMORY_TOLERANCE):
        wrong.append(f"memory grew by {later_memory / memory - 1:.1%}, more than {MEMORY_TOLERANCE:.0%}")
    if later_open_files > open_files + DESCRIPTOR_TOLERANCE * streams:
        wrong.append(f"descriptors grew from {open_files:g} to {later_open_files:g}")
    if later_threads > threads:
        wrong.append(f"threads grew from {threads:g} to {later_threads:g}")
    return wrong


def main() -> None:
    """Run it, and exit with 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--tasks", type=int, help="run so many short tasks, and no streams")
    options = parser.parse_args()
    if options.tasks is not None and options.tasks < 100:
        parser.error("--tasks: 100 or more, since the first hundredth of them is looked at")
    noise = Noise()
    if options.tasks is not None:
        wrong = run_tasks(options.tasks)
        right = "what ended left nothing behind but what is recorded"
    else:
        wrong = run_streams(options.streams, seconds=60 * options.minutes, seed=options.seed)
        right = "the same at the end as after the first minute; received is what is recorded"
    print(noise)
    print("\n".join(wrong[:20]) or right)
    sys.exit(1 if wrong else 0)


def run_tasks(tasks: int) -> list[str]:
    """Run short tasks through a server as it is shipped. Returns what was wrong."""
    print(f"{tasks:,} tasks: {soak_tasks.TASK}, {soak_tasks.IN_A_SESSION} in a session", flush=True)
    with alex() as server:
        return soak_tasks.soak(server, tasks)


def run_streams(streams: int, *, seconds: float, seed: int) -> list[str]:
    """Have streams come and go. Returns what was wrong."""
    print(f"{streams:,} streams for {seconds / 60:g} minutes, --seed {seed}", flush=True)
    allow_descriptors(streams + 1000)
    with alex(server__threads=8, server__max_connections=streams + 1000) as server:
        wrong = asyncio.run(Soak(server, streams=streams, seconds=seconds, seed=seed).run())
        wrong += check_log(server.data)
    print(f"memory may differ by {MEMORY_TOLERANCE:.0%}, descriptors by {DESCRIPTOR_TOLERANCE:.0%} of the streams")
    return wrong


if __name__ == "__main__":
    main()
