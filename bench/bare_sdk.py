"""Calls of a model by OpenAI's own SDK and nothing else, in a process of its own: what ``bench.models`` compares.

    python -m bench.bare_sdk < job.json

Takes a Job as JSON on stdin and prints a Report.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import openai

WARM_UP = 20
"""Calls until all is imported, compiled and connected that is so once in a process."""


class Job(msgspec.Struct, frozen=True):
    """The calls to make, one each ``every`` seconds: 0, all at once."""

    base_url: str
    key: str
    every: float
    warm_up: dict[str, Any]  # JSON, as below: made WARM_UP times before anything is measured
    bodies: list[dict[str, Any]]  # JSON of chat completions, as an agent sent it


class Report(msgspec.Struct, frozen=True):
    """What they took: seconds of each, in the order of the job; CPU in seconds, memory in bytes."""

    seconds: list[float]
    wall: float
    """Seconds from the first call to the end of the last."""
    cpu: float
    memory: int
    threads: int


def main() -> None:
    """Do what stdin says."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(work(job))))


async def work(job: Job) -> Report:
    """Make all calls, and return what they took."""
    async with openai.AsyncOpenAI(base_url=job.base_url, api_key=job.key, max_retries=0) as client:
        await asyncio.gather(*(_call_at(0.0, client, job.warm_up) for _ in range(WARM_UP)))
        before, start = _cpu(), time.perf_counter()
        calls = [_call_at(start + number * job.every, client, body) for number, body in enumerate(job.bodies)]
        seconds = await asyncio.gather(*calls)
        wall = time.perf_counter() - start
    return Report(seconds, wall, _cpu() - before, _most_memory(), threading.active_count())


async def _call_at(due: float, client: openai.AsyncOpenAI, body: dict[str, Any]) -> float:  # Any: JSON
    await asyncio.sleep(due - time.perf_counter())
    began = time.perf_counter()
    pieces: list[str] = []
    async with await client.chat.completions.create(**body) as stream:
        async for chunk in stream:
            pieces.extend(choice.delta.content or "" for choice in chunk.choices)
    if not "".join(pieces):
        msg = "the model said nothing"
        raise RuntimeError(msg)
    return time.perf_counter() - began


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _most_memory() -> int:
    """Return the most that this process had resident, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
