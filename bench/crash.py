"""A server that is killed under load, over and over, and what it says of what it had acknowledged.

    python -m bench.crash [--kills 100] [--seed N]

Clients submit tasks with every strategy into sessions that they share, cancel, delete, repeat submits under their
keys, read, and follow streams. At a random moment the server gets SIGKILL; it is started again on the same data,
and what the clients were told is compared with what is there: tasks, cancels, deletions, keys, and every event
that anybody has seen. One kill in five comes while it starts. In the end every task has to have ended, once, and
none that waits in its session's line to have overlapped another; and the log of all its runs is checked, as
``alex trace --check`` does. Prints a table; exits with 1 if anything was wrong. The seed decides what the clients
do and when the kills come, not how far the server gets until then.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.checked_log import check_log
from bench.crash_checks import Checks, Told
from bench.crash_load import Load
from bench.machine import Noise
from tests.live.process import ServerProcess

MOST_STEPS = 60
"""How much clients have done when the kill comes, at most: not how long they had, for machines differ."""
LONGEST_RUN = 5.0
"""Seconds until the kill in any case."""
LOOK = 0.001
"""Seconds from one look at that to the next."""
START = 1.0
"""Seconds within which a server starts, about: a kill that is to meet the start comes by then."""
LOOKED_AT_AGAIN = 20
"""Tasks that have ended long ago and are compared after each kill; after the last, all are."""
ENDS_WITHIN = 30.0
"""Seconds in which every task ends once the server is left alone."""
SHOWN = 20
"""Faults that are printed."""


class Crashes:
    """One data directory, and the servers that are killed on it, one after the other."""

    def __init__(self, directory: Path, *, kills: int, seed: int) -> None:
        self.told = Told()
        self.kills_at_start = 0
        self._directory = directory
        self._kills = kills
        self._random = random.Random(seed)

    async def run(self) -> None:
        """Kill it that many times; then compare everything, and stop it in good order."""
        for number in range(self._kills):
            if self._random.random() < 0.2:
                self._kill_while_it_starts()
            else:
                await self._run_once(number)
        await self._finish()

    def _kill_while_it_starts(self) -> None:
        self.kills_at_start += 1
        server = ServerProcess(self._directory)
        time.sleep(self._random.uniform(0.2, START))  # so that the kill comes somewhere in its start
        server.kill()

    async def _run_once(self, number: int) -> None:
        server = ServerProcess(self._directory)
        try:
            server.wait_until_listening()
            async with client_of(server) as client:
                await self._compare(client)
                load = Load(told=self.told, client=client, randomness=self._random, number=number)
                work = asyncio.create_task(load.run())
                await until_steps(self.told, self._random.randint(1, MOST_STEPS))
                server.send(signal.SIGKILL)
                await work
        finally:
            server.kill()

    async def _compare(self, client: httpx.AsyncClient) -> None:
        """Compare what is not settled, and some of what is."""
        told = self.told
        ended = [one for one in told.submitted if told.seen[one]["completed_at"] is not None]
        unsettled = [one for one in told.submitted if told.seen[one]["completed_at"] is None]
        again = self._random.sample(ended, min(LOOKED_AT_AGAIN, len(ended)))
        checks = Checks(told, client)
        await checks.tasks([one for one in [*unsettled, *again] if not told.is_deleted(one)])
        told.counts["tasks compared"] += len(unsettled) + len(again)

    async def _finish(self) -> None:
        server = ServerProcess(self._directory)
        try:
            server.wait_until_listening()
            async with client_of(server) as client:
                await Checks(self.told, client).ends(within=ENDS_WITHIN)
            code = server.stop()
            if code != 0:
                self.told.wrong.append(f"the last server stopped with exit code {code}: {server.stderr}")
            self.told.wrong += [f"the log has {line}" for line in server.troubles()]
        finally:
            server.kill()


async def until_steps(told: Told, more: int) -> None:
    """Wait until clients have done so much more."""
    wanted, deadline = told.steps + more, time.monotonic() + LONGEST_RUN
    while told.steps < wanted and time.monotonic() < deadline:
        await asyncio.sleep(LOOK)


def client_of(server: ServerProcess) -> httpx.AsyncClient:
    """Return a client that waits as long as a test does."""
    return httpx.AsyncClient(base_url=server.url, timeout=2 * ENDS_WITHIN, trust_env=False)


def report(crashes: Crashes, *, kills: int, seed: int) -> str:
    """Return what was done, and what was wrong, as a table."""
    told = crashes.told
    rows = {
        "kills": f"{kills} ({crashes.kills_at_start} while it started)",
        **{name: f"{count:,}" for name, count in sorted(told.counts.items())},
        "events compared": f"{sum(map(len, told.events.values())):,}",
        "wrong": f"{len(told.wrong):,}",
    }
    width = max(map(len, rows))
    lines = [f"seed {seed}", *(f"{name:{width}}  {value}" for name, value in rows.items())]
    return "\n".join([*lines, *told.wrong[:SHOWN]])


def main() -> None:
    """Run it, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.crash", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="how often it is killed (default: 100)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000), help="of all chance (default: any)")
    options = parser.parse_args()
    noise, began = Noise(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="alex-crash-") as directory:
        crashes = Crashes(Path(directory), kills=options.kills, seed=options.seed)
        asyncio.run(crashes.run())
        crashes.told.wrong += check_log(Path(directory) / "data", tasks=len(crashes.told.submitted))
        print(report(crashes, kills=options.kills, seed=options.seed))
    print(f"{time.monotonic() - began:.0f} s. {noise}")
    sys.exit(1 if crashes.told.wrong else 0)


if __name__ == "__main__":
    main()
