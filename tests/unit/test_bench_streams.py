"""The bench of streams works: its readers count what comes, its figures mean something, its table can be read."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from bench.event_streams import Event, Frames, watch
from bench.load import Load, percentile
from bench.long_polls import delays
from bench.machine import Usage
from bench.readers import Readers, Watched, reading
from bench.servers import ServerProcess, thread_per_stream
from bench.streams import CONTESTANTS, HEADER, Figures, line, measure, ratios

linux = pytest.mark.skipif(sys.platform != "linux", reason="the bench runs on Linux only")
FRAME = b'id: 17\nevent: task_started\ndata: {"timestamp": "2026-01-02T03:04:05.000006Z"}\n\n'


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with thread_per_stream(12) as server:
        yield server


def test_a_frame_has_its_id_its_name_and_when_it_was_recorded() -> None:
    events, rest = Frames().split(FRAME)

    assert events == [Event(17, "task_started", 1767323045.000006)]
    assert rest == b""


def test_a_frame_that_comes_in_two_pieces_is_one_event() -> None:
    frames = Frames()

    for cut in range(1, len(FRAME) - 1):
        none, rest = frames.split(FRAME[:cut])
        events, nothing = frames.split(rest + FRAME[cut:])
        assert (none, [event.id for event in events], nothing) == ([], [17], b"")


def test_comments_and_frames_without_id_are_no_recorded_events() -> None:
    events, _ = Frames().split(b": heartbeat\n\nretry: 1000\nevent: connected\ndata: {}\n\n")

    assert events == [Event(0, "", 0.0), Event(0, "connected", 0.0)]


def test_a_stream_that_was_read_before_is_asked_for_from_there() -> None:
    assert b"Last-Event-ID" not in watch("/api/tasks/task-1/events")
    assert b"\r\nLast-Event-ID: 17\r\n" in watch("/api/tasks/task-1/events", after=17)


@linux
def test_all_streams_are_measured_beside_a_thread_for_each(server: ServerProcess) -> None:
    (threads,) = [each for each in CONTESTANTS if each.name == "thread per stream"]

    found = measure(threads, 3, steps=1, spread=1, idle=0.01)

    assert found.watched.deliveries == 3 * 5
    assert found.watched.watchers == {3}
    assert len(found.watched.last) == 5
    for first, median, last in zip(found.watched.first, found.watched.median, found.watched.last, strict=True):
        assert first <= median <= last
    assert found.cpu > 0
    assert found.threads >= 3


@linux
def test_readers_whom_the_server_refuses_fail(server: ServerProcess) -> None:
    readers = Readers(server.address, version="HTTP/1.0")

    with pytest.raises(ConnectionError, match="after status 404"):
        readers.open(["/nothing"], streams=1, after=0)

    readers.close()


@linux
def test_streams_of_a_process_end_with_it(server: ServerProcess) -> None:
    before = Usage.of(server.process.pid)

    with reading(server.address, ["/api/sessions/a/events"], streams=5, after=0, version="HTTP/1.0") as (
        _,
        seconds,
    ):
        during = Usage.of(server.process.pid)

    assert seconds > 0
    assert during.descriptors == before.descriptors + 5


def test_a_delay_counts_from_the_end_of_the_task_to_the_reply() -> None:
    body = b'{"task_id": "task-1", "completed_at": "1970-01-01T00:00:10.500000Z"}'

    assert delays(Load(10.0, [9.0], [body], arrivals=[10.512])) == [pytest.approx(12.0)]


def test_a_reply_that_comes_before_the_end_is_a_fault() -> None:
    body = b'{"task_id": "task-1", "completed_at": null}'

    with pytest.raises(ValueError, match=r"before the end of the tasks.*task-1"):
        delays(Load(10.0, [9.0], [body], arrivals=[10.0]))


def test_a_task_that_ends_before_all_are_waited_for_makes_the_figures_worthless() -> None:
    body = b'{"task_id": "task-1", "completed_at": "1970-01-01T00:00:10.500000Z"}'

    with pytest.raises(RuntimeError, match=r"ended 1\.5 s after the last poll"):
        delays(Load(10.0, [9.0, 1.5], [body, body], arrivals=[10.5, 10.5]))


@pytest.mark.parametrize(("percent", "figure"), [(0, 1), (50, 51), (99, 100), (100, 100)])
def test_a_percentile_is_a_figure_that_was_measured(percent: float, figure: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == figure


def test_a_line_has_a_figure_under_each_title() -> None:
    row = line("alex", _figures(cpu=0.1))

    assert len(row) == len(HEADER)
    assert row.split()[1:5] == ["1,000", "2.00", "3.0", "5.0"]
    assert row.split()[10] == "10.0"  # microseconds: 0.1 s for 10,000 deliveries


def test_ratios_say_how_many_times_better_ours_is() -> None:
    said = ratios(_figures(cpu=0.1), _figures(cpu=0.3))

    assert "CPU 3.00" in said
    assert "memory 1.00" in said


def _figures(*, cpu: float) -> Figures:
    return Figures(
        streams=1000,
        opened=2.0,
        memory=3000,
        memory_after=5000,
        threads=12,
        watched=Watched(10_000, frozenset({1000}), first=[1.0], median=[2.0], last=[4.0]),
        cpu=cpu,
        without=Load(1.0, [0.001], []),
        idle=Load(1.0, [0.002], []),
        meanwhile=Load(1.0, [0.003], []),
    )
