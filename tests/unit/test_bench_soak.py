"""The soaks work: readers find what is missing, and verdicts what grew."""

from __future__ import annotations

import asyncio
import random
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from subprocess import Popen

import pytest

from bench import soak_tasks
from bench.event_streams import Frames
from bench.machine import Usage
from bench.servers import ServerProcess, alex
from bench.soak import grown
from bench.soak_tasks import Look
from bench.watchers import Watch, Watcher

linux = pytest.mark.skipif(sys.platform != "linux", reason="the bench runs on Linux only")
PATH = "/api/sessions/a/events"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("ids", [[12, 14, 15], [12, 13, 13, 14], [13, 12, 14], [12, 13, 14, 15, 16], [10, 12]])
def test_what_differs_from_what_is_recorded_is_found(ids: list[int]) -> None:
    watch = Watch(PATH, after=11, ids=array("q", ids))

    assert watch.fault([10, 11, 12, 13, 14, 15]) is not None


def test_a_reader_who_left_early_has_the_beginning() -> None:
    watch = Watch(PATH, after=11, ids=array("q", [12, 13]))

    assert watch.fault([10, 11, 12, 13, 14]) is None
    watch.complete = True
    assert watch.fault([10, 11, 12, 13, 14]) == (
        f"{PATH} after 11: 2 events instead of 3; at place 2 came [] instead of [14]"
    )


def test_a_watcher_that_is_cut_off_in_the_middle_of_frames_receives_what_is_recorded() -> None:
    log, cuts = list(range(3, 60)), random.Random(1)
    watcher, counts = asyncio.run(_watch(log, cuts))

    (watch,) = watcher.watches

    assert watch.fault(log) is None
    assert watch.complete
    assert counts["left by the server"] > 3
    assert counts["resumed"] > 3


async def _watch(log: Sequence[int], cuts: random.Random) -> tuple[Watcher, Counter[str]]:
    """Serve a log to one watcher, whose connections are cut at random bytes, until it has seen all."""
    counts: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        after = int(head.partition(b"Last-Event-ID: ")[2].partition(b"\r\n")[0] or 0)
        stream = b"".join(_frame(event) for event in log if event > after)
        if not stream:
            watcher.finish()
        writer.write(HEAD + stream[: cuts.randint(0, 1500)])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        watcher = Watcher(
            address=server.sockets[0].getsockname(),
            topic=lambda: PATH,
            last=lambda _path: log[-1],
            randomness=random.Random(2),
            frames=Frames(),
            counts=counts,
            retry=0.0,
        )
        await asyncio.wait_for(watcher.run(), 20)
    return watcher, counts


def _frame(event: int) -> bytes:
    return f'id: {event}\nevent: thinking\ndata: {{"timestamp": "2026-01-02T03:04:05.000006Z"}}\n\n'.encode()


def test_what_stays_the_same_has_not_grown(capsys: pytest.CaptureFixture[str]) -> None:
    assert grown(_samples(Usage(1.0, 100_000_000, 20, 1000)), streams=1000) == []
    assert "100.0 and 100.0 MB, 1000 and 1000 descriptors, 20 and 20 threads" in capsys.readouterr().out


def test_memory_descriptors_and_threads_that_grow_are_found() -> None:
    later = Usage(1.0, 106_000_000, 21, 1051)

    wrong = grown(_samples(later), streams=1000)

    assert [each.split()[0] for each in wrong] == ["memory", "descriptors", "threads"]


def _samples(later: Usage) -> list[tuple[float, Usage]]:
    """Samples of ten minutes, the last of which are different."""
    first = Usage(1.0, 100_000_000, 20, 1000)
    times = [5.0 * number for number in range(1, 121)]
    return [(at, first if at < 300 else later) for at in times]


SHORT = 100


@linux
def test_what_short_tasks_leave_behind_is_what_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    with alex() as server:
        looks = soak_tasks.looks_at(server, SHORT, settle=0.0)
        wrong = soak_tasks.grown(looks[-2:])
        logged = server.errors()

    assert [look.tasks for look in looks] == [1, 10, 20, 40, 60, 80, SHORT]
    assert len({look.actors for look in looks}) == 1
    assert looks[-1].database + looks[-1].wal > SHORT * 100
    assert wrong == []
    assert logged == []
    table = capsys.readouterr().out
    assert table.splitlines()[0] == soak_tasks.HEADER
    assert "from 80 to 100 tasks:" in table


def test_what_tasks_leave_behind_in_memory_is_found() -> None:
    early = Look(10_000, Usage(1.0, 90_000_000, 20, 30), actors=1, database=1, wal=1, log=1)
    same = Look(100_000, Usage(9.0, 93_000_000, 20, 34), actors=1, database=90_001, wal=1, log=1)
    an_id_a_task = 90_000 * 130
    more = Look(100_000, Usage(9.0, 90_000_000 + an_id_a_task, 21, 35), actors=2, database=90_001, wal=1, log=1)

    assert soak_tasks.grown([early, same]) == []
    assert [each.split()[0] for each in soak_tasks.grown([early, more])] == [
        "memory",
        "descriptors",
        "threads",
        "actors",
    ]


def test_a_fault_that_the_server_logged_is_found(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    lines = '{"event":"a","level":"info"}\n{"event":"b","level":"error"}\n'
    (tmp_path / "logs" / "alex.jsonl").write_text(lines, encoding="utf-8")

    with Popen(["true"], text=True) as process:
        errors = ServerProcess(("", 0), process, tmp_path).errors()

    assert errors == ['logged: {"event":"b","level":"error"}']
