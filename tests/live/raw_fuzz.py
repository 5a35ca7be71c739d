"""Sends a server thousands of requests that are none, and looks what becomes of it.

    python -m tests.live.raw_fuzz --cases 200000 [--seed N]

Starts a server of its own. Each case is to be answered or closed within seconds, with no status of the fives but
501, each error as a problem, and nothing may be left of it. Ends with 1 if something is wrong, and prints the
seed, by which the same is sent again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.live.process import ServerProcess, until
from tests.live.raw_requests import SHAPES, SMUGGLED, Case, drawn

AT_ONCE = 32
"""Connections at the same time."""
WITHIN = 10.0
"""Seconds in which each case is to be over."""
HURRY = {
    "TIMEOUTS__REQUEST_HEADERS_SECONDS": "1",
    "TIMEOUTS__REQUEST_BODY_SECONDS": "1",
    "LOG__LEVEL": "info",
}
"""Settings of a server that waits for half a request no longer than the tests do."""
GROWTH = 48 * 1024 * 1024
"""Bytes that a server may have more afterwards: memory that Python keeps for itself."""

_REPLY = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH = re.compile(rb"^Content-Length: ([0-9]+)\r$", re.MULTILINE)


class Held(NamedTuple):
    """What a process holds."""

    sockets: int
    threads: int
    rss: int


class Outcome:
    """What was seen: cases by the status of their first reply, and what was wrong."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.wrongs: list[str] = []

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.statuses.total()

    def take(self, case: Case, received: bytes, *, ended: bool) -> None:
        """Judge one case by what was received until its connection was closed, if it was."""
        try:
            statuses = list(replies(received))
        except ValueError as error:
            statuses = []
            self._wrong(case, f"{error}", received)
        first = statuses[0] if statuses else None
        self.statuses[str(first or "closed")] += 1
        if not ended:
            self._wrong(case, f"not over within {WITHIN:g} seconds", received)
        elif any(status >= 500 and status != 501 for status in statuses):
            self._wrong(case, f"status {statuses}", received)
        elif case.statuses and first not in case.statuses:
            self._wrong(case, f"status {first} instead of {sorted(case.statuses)}", received)
        elif case in SHAPES and SMUGGLED in case.sent and len(statuses) > 1:
            self._wrong(case, "answered what was smuggled", received)

    def _wrong(self, case: Case, what: str, received: bytes) -> None:
        self.wrongs.append(f"{case.name}: {what}\n  sent {case.sent[:600]!r}\n  received {received[:600]!r}")


def replies(received: bytes) -> Iterator[int]:
    """Yield the statuses of final replies, in order. Raises ValueError for what is none, or no problem."""
    at = 0
    while at < len(received):
        head = _REPLY.match(received, at)
        if head is None:
            raise ValueError(f"no reply at byte {at}")
        at, status = head.end(), int(head[1])
        if status < 200:
            continue
        yield status
        length = _LENGTH.search(head[3] + b"\r\n")
        if length is None and status != 204:
            return  # a stream, to the end of its connection
        body = received[at : at + int(length[1])] if length and status != 204 else b""
        if body.startswith(b"HTTP/1."):  # of HEAD there is none
            body = b""
        at += len(body)
        if status >= 400:
            _check_problem(status, head[3], body)


def _check_problem(status: int, headers: bytes, body: bytes) -> None:
    if b"Content-Type: application/problem+json\r\n" not in headers:
        raise ValueError(f"{status} is no problem")
    if body and json.loads(body)["status"] != status:
        raise ValueError(f"{status} is another problem")


async def send(case: Case, host: str, port: int, rng: random.Random) -> tuple[bytes, bool]:
    """Send a case, in one to three pieces; return what is received, and whether the server closed in time."""
    reader, writer = await asyncio.open_connection(host, port)
    received: list[bytes] = []
    cuts = sorted(rng.randint(0, len(case.sent)) for _ in range(rng.choice((0, 0, 1, 2))))
    try:
        async with asyncio.timeout(WITHIN):
            try:
                for begin, end in zip([0, *cuts], [*cuts, len(case.sent)], strict=True):
                    writer.write(case.sent[begin:end])
                    await writer.drain()
                    await asyncio.sleep(0)
                if case.says_end:
                    writer.write_eof()
            except OSError:
                pass  # it is refused, and may have been told why
            try:
                while more := await reader.read(65_536):
                    received.append(more)
            except OSError:
                pass
    except TimeoutError:
        return b"".join(received), False
    finally:
        writer.transport.abort()
    return b"".join(received), True


async def run(url: str, cases: Iterator[Case], rng: random.Random) -> Outcome:
    """Send cases, so many at once, and return what was seen."""
    outcome, address = Outcome(), urlsplit(url)

    async def worker() -> None:
        for case in cases:
            received, ended = await send(case, address.hostname or "", address.port or 0, rng)
            outcome.take(case, received, ended=ended)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return outcome


def generated(count: int, rng: random.Random) -> Iterator[Case]:
    """Yield as many cases: each well-known shape, then what is drawn."""
    yield from SHAPES[:count]
    for _ in range(count - len(SHAPES)):
        yield drawn(rng)


def held(pid: int) -> Held:
    """Return what a process holds. Linux only."""
    process = Path(f"/proc/{pid}")
    resident = int((process / "statm").read_text().split()[1]) * 4096
    return Held(
        sum(map(_is_socket, (process / "fd").iterdir())), len(list((process / "task").iterdir())), resident
    )


def _is_socket(descriptor: Path) -> bool:
    try:
        return descriptor.readlink().name.startswith("socket:")
    except FileNotFoundError:  # closed meanwhile
        return False


def fuzz(server: ServerProcess, *, cases: int, seed: int) -> Outcome:
    """Send cases to a server whose settings are HURRY; return what was seen, what it holds afterwards included."""
    pid = server.process.pid
    asyncio.run(run(server.url, generated(200, random.Random(0)), random.Random(0)))  # for what is made at first
    before = held(pid)
    rng = random.Random(seed)
    outcome = asyncio.run(run(server.url, generated(cases, rng), rng))
    outcome.wrongs += [f"a fault of the server: {line}" for line in server.troubles()[:5]]
    try:
        until(lambda: held(pid).sockets <= before.sockets, "what was opened is closed", within=30)
    except AssertionError as error:
        outcome.wrongs.append(f"{error}: {before} became {held(pid)}")
    after = held(pid)
    if after.threads > before.threads or after.rss > before.rss + GROWTH:
        outcome.wrongs.append(f"{before} became {after}")
    return outcome


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    with tempfile.TemporaryDirectory() as directory:
        server = ServerProcess(Path(directory), settings=HURRY)
        try:
            server.wait_until_listening()
            begun, before = time.monotonic(), held(server.process.pid)
            outcome = fuzz(server, cases=options.cases, seed=seed)
            took, after = time.monotonic() - begun, held(server.process.pid)
            if server.stop() != 0:
                outcome.wrongs.append("it did not stop as it should")
        finally:
            server.kill()
    for wrong in outcome.wrongs[:20]:
        sys.stdout.write(f"{wrong}\n")
    sys.stdout.write(
        f"{outcome.cases} cases in {took:.0f} s, seed {seed}: {dict(sorted(outcome.statuses.items()))}\n"
        f"{len(outcome.wrongs)} wrong; at the start {before}, at the end {after}\n"
    )
    return 1 if outcome.wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
