"""Streams as connections: which are refused, how many there may be, how they end with the server, odd clients."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from tests.live.client import JSON_EVENTS, Client, read_reply
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess, until
from tests.live.streams import (
    Stream,
    as_frames,
    as_recorded,
    connect,
    open_stream,
    read_one_reply,
    recorded_in_session,
    request,
    reset,
)

LONG = "Simulate 1 step of 30 s"
LOUD = "Echo " + "x" * 99_000
SMALL_BUFFER = 32_768
"""Bytes: far fewer than what is sent. With 4,096, a segment may find no room and be dropped; the kernel then waits
longer and longer before it sends that again, which took two minutes once."""
GET = b"GET /api/tasks?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
NEIGHBOUR = "127.0.0.2"
"""Another address of this machine: all of 127.0.0.0/8 is, on Linux."""
FEED_READERS = 2
"""Threads that read the store for all streams; they are started when they are needed."""
LONG_STOP = {"TIMEOUTS__SHUTDOWN_SECONDS": "100"}
QUICK_STOP = 30.0
"""Seconds. It takes a fraction of one on a machine that does nothing else; to wait for what is not over takes 40,
four tenths of the time for a stop."""


def path_of(task: Json) -> str:
    """Return where a task's events are."""
    return f"/api/tasks/{task['task_id']}/events"


def path_of_session(task: Json) -> str:
    """Return where the events of a task's session are."""
    return f"/api/sessions/{task['session_id']}/events"


def closed(server: ServerProcess, reason: str) -> list[Json]:
    """Return the lines of the log that tell of streams that were closed for this reason."""
    return [line for line in server.log("stream.closed") if line["reason"] == reason]


@contextmanager
def opened(client: Client, path: str, number: int) -> Iterator[list[Stream]]:
    """Open so many streams, and wait until each has begun."""
    with ExitStack() as closing:
        streams = [closing.enter_context(open_stream(client, path)) for _ in range(number)]
        for stream in streams:
            stream.until("connected")
        yield streams


# What is refused.


@pytest.mark.parametrize(
    ("path", "headers", "status", "names"),
    [
        ("/api/tasks/task-none/events", {}, 404, "task-none"),
        ("/api/sessions/session-none/events", {}, 404, "session-none"),
        ("/api/sse?session_id=session-none", {}, 404, "session-none"),
        ("/api/sse", {}, 400, "session_id"),
        ("/api/sse?session_id=.a", {}, 400, "session_id"),
        ("/api/sse?session_id=a&task_id=b", {}, 400, "task_id"),
        ("/api/tasks/{}/events?after=x", {}, 400, "after"),
        ("/api/tasks/{}/events?after=-1", {}, 400, "after"),
        ("/api/tasks/{}/events?after=1.0", {}, 400, "after"),
        ("/api/tasks/{}/events?after=9223372036854775808", {}, 400, "after"),
        ("/api/tasks/{}/events?after=", {}, 400, "after"),
        ("/api/tasks/{}/events?after=1&after=2", {}, 400, "after"),
        ("/api/tasks/{}/events?limit=1", {}, 400, "limit"),
        ("/api/tasks/{}/events?after=x", {"Last-Event-ID": 1}, 400, "after"),
        ("/api/tasks/{}/events", {"Last-Event-ID": "x"}, 400, "Last-Event-ID"),
        ("/api/tasks/{}/events", {"Last-Event-ID": -1}, 400, "Last-Event-ID"),
        ("/api/tasks/{}/events", {"Last-Event-ID": 2**63}, 400, "Last-Event-ID"),
        ("/api/tasks/{}/events", {"Accept": "text/html"}, 406, "application/json"),
        ("/api/tasks/{}/events", {"Accept": "text/event-stream;q=0"}, 406, "text/event-stream"),
        ("/api/sse?session_id=none", {"Accept": "application/json"}, 406, "text/event-stream"),
    ],
)
def test_what_is_no_stream_is_a_problem_that_says_why(
    client: Client, path: str, headers: dict[str, object], status: int, names: str
) -> None:
    task = client.submit("Say hello")

    with connect(client.url) as sock:
        sock.sendall(request(path.format(task["task_id"]), headers))
        reply = read_reply(sock)
        sock.sendall(GET)  # the connection is as good as before
        another = read_reply(sock)

    assert reply.status_code == reply.json()["status"] == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert names in reply.json()["detail"]
    assert another.status_code == 200


@pytest.mark.parametrize("path", ["/api/tasks/{}/events", "/api/sse"])
def test_a_stream_is_only_to_be_read(client: Client, path: str) -> None:
    task = client.submit("Say hello")

    reply = client.http.post(path.format(task["task_id"]))

    assert (reply.status_code, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


# How many there may be.


def test_more_streams_than_are_allowed_are_refused_until_one_is_closed(start: Start) -> None:
    server = start(settings={"LIMITS__MAX_STREAMS": "2"})
    with Client(server.url) as client:
        task = client.submit(LONG)
        with opened(client, path_of(task), 2) as (first, _):
            refused = client.http.get(path_of(task), headers={"Accept": "text/event-stream"})
            head = client.http.head(path_of(task), headers={"Accept": "text/event-stream"})
            page = client.http.get(path_of(task), headers=JSON_EVENTS)
            unknown = client.http.get("/api/tasks/task-none/events", headers={"Accept": "text/event-stream"})
            reset(first.sock)

            def one_more() -> Stream | None:
                stream = open_stream(client, path_of_session(task))
                if not stream.is_open:
                    stream.sock.close()
                return stream if stream.is_open else None

            another = until(one_more, "a place is free again")
            another.until("connected")
            another.sock.close()

    assert (refused.status_code, refused.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0
    assert "limits.max_streams" in refused.json()["detail"]
    assert (head.status_code, page.status_code, unknown.status_code) == (200, 200, 404)
    assert server.troubles() == []


def test_one_address_may_have_fewer_streams_than_all(start: Start) -> None:
    server = start(settings={"LIMITS__MAX_STREAMS_PER_CLIENT": "2"})
    with Client(server.url) as client:
        task = client.submit(LONG)
        with opened(client, path_of(task), 2):
            refused = client.http.get(path_of(task), headers={"Accept": "text/event-stream"})
            with open_stream(client, path_of(task), source=NEIGHBOUR) as stream:
                first = stream.next()

    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    assert refused.headers["Connection"] == "close"  # a place that it does not need is free for others
    assert first is not None
    assert first.event == "connected"


def test_sixteen_times_as_many_streams_as_workers_leave_other_requests_alone(start: Start) -> None:
    server = start(settings={"SERVER__THREADS": "2"})
    with Client(server.url) as client:
        task = client.submit("Simulate 1000 steps of 2 ms", max_iterations=1000)
        with opened(client, path_of(task), 32) as streams, ThreadPoolExecutor(4) as pool:
            others = [client.ended(client.submit("Say hello")["task_id"]) for _ in range(5)]
            statuses = [reply.status_code for reply in pool.map(client.http.get, ["/api/tasks"] * 200)]
            client.cancel(task["task_id"])
            received = [as_recorded(stream) for stream in streams]

        assert {other["status"] for other in others} == {"completed"}
        assert statuses == [200] * 200
        assert received == [as_frames(client.events(task["task_id"]))] * 32


def test_streams_that_are_closed_leave_nothing_behind(start: Start) -> None:
    server = start()
    process = psutil.Process(server.process.pid)
    with Client(server.url) as client:
        task = client.submit("Simulate 1000 steps of 30 ms", max_iterations=1000)  # which outlast all of it
        client.running(task["task_id"])
        before, threads = tcp_sockets(server), process.num_threads()
        for _ in range(3):
            with opened(client, path_of(task), 100) as streams:
                for stream in streams[::2]:
                    reset(stream.sock)

        until(lambda: len(closed(server, "gone")) == 300, "all of them are closed")
        until(lambda: tcp_sockets(server) == before, "nothing is left of them")
        assert process.num_threads() <= threads + FEED_READERS
    assert server.troubles() == []


def test_who_goes_before_a_stream_has_begun_takes_no_place(start: Start) -> None:
    server = start(settings={"LIMITS__MAX_STREAMS": "5"})
    with Client(server.url) as client:
        task = client.submit(LONG)
        before = tcp_sockets(server)
        for number in range(300):
            sock = connect(client.url)
            sock.sendall(request(path_of(task)) * (1 + number % 3))
            if number % 2:
                reset(sock)
            else:
                sock.close()

        def all_at_once() -> bool:
            with ExitStack() as closing:
                streams = [closing.enter_context(open_stream(client, path_of(task))) for _ in range(5)]
                return all(stream.is_open for stream in streams)

        until(all_at_once, "every place is free")
        until(lambda: tcp_sockets(server) == before, "nothing is left of them")
    assert server.troubles() == []


# How they end with the server.


def test_a_stop_ends_streams_where_a_frame_ends_and_takes_no_time(start: Start) -> None:
    server = start(settings=LONG_STOP)
    with Client(server.url) as client, ExitStack() as closing:
        task = client.submit("Simulate 1000 steps of 20 ms", max_iterations=1000)  # which go on at the stop
        streams = [
            closing.enter_context(open_stream(client, path))
            for path in [path_of(task), path_of_session(task)] * 20
        ]
        for stream in streams:
            stream.until("iteration_complete")
        began = time.monotonic()

        server.send(signal.SIGTERM)
        rests = [list(stream) for stream in streams]  # which looks that no frame is broken off
        for stream in streams:
            stream.sock.close()

        assert server.wait() == 0
        assert time.monotonic() - began < QUICK_STOP
    assert all(as_recorded(rest) for rest in rests)
    assert len(closed(server, "stopping")) == 40
    assert server.troubles() == []


def test_a_stop_lets_a_slow_reader_have_the_frame_that_is_on_its_way(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        task = client.submit(LONG)
        for _ in range(10):
            client.ended(
                client.submit(LOUD, session_id=task["session_id"], multitask_strategy="parallel")["task_id"]
            )
        events = recorded_in_session(client, task["session_id"])
        with open_stream(client, path_of_session(task), buffer=SMALL_BUFFER) as stream:
            frames = stream.until("task_created")

            server.send(signal.SIGTERM)
            until(lambda: server.log("server.stopping"), "the stop has begun")
            frames += stream

        assert server.wait() == 0
    received = as_recorded(frames)
    assert len(received) < len(events)
    assert received == as_frames(events[: len(received)])


def test_readers_who_do_not_close_hold_up_a_stop_no_longer_than_allowed(start: Start) -> None:
    server = start(settings={"TIMEOUTS__SHUTDOWN_SECONDS": "5"})  # of which two are for such readers
    with Client(server.url) as client, opened(client, path_of(client.submit(LONG)), 20):
        began = time.monotonic()

        exit_code = server.stop()

    assert exit_code == 0
    assert time.monotonic() - began < 5


def test_a_stream_that_a_stop_finds_behind_another_reply_is_answered_and_closed(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        task = client.submit(LONG)
        for _ in range(100):
            client.submit("x" * 99_000, session_id=task["session_id"])
        with connect(client.url) as sock:
            large = b"GET /api/tasks?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            sock.sendall(large + request(path_of(task)))
            sock.recv(1, socket.MSG_PEEK)
            until(lambda: len(server.log("http.request")) == 103, "both are answered, and neither is read")
            server.send(signal.SIGTERM)
            until(lambda: server.log("server.stopping"), "the stop has begun")

            first = read_one_reply(sock)
            stream = Stream(sock, b"")
            rest = list(stream)

    assert (first.status_code, len(first.json()["tasks"])) == (200, 101)
    assert (stream.head.status, stream.is_open) == (200, True)
    assert as_recorded(rest) == []
    assert server.wait() == 0


# Odd clients.


def test_a_client_of_http_1_0_gets_a_stream(client: Client) -> None:
    task = client.submit("Simulate 3 steps of 10 ms")

    with connect(client.url) as sock:
        frames = list(Stream(sock, request(path_of(task), version="HTTP/1.0")))

    assert as_recorded(frames) == as_frames(client.events(task["task_id"]))


def test_what_a_client_sends_after_its_request_is_dropped(client: Client) -> None:
    task = client.submit("Simulate 20 steps of 10 ms")

    with connect(client.url) as sock:
        stream = Stream(sock, request(path_of(task)) + GET + b"\0\xff" * 1000)
        frames = stream.until("iteration_complete")
        sock.sendall(GET + b"x" * 100_000)
        frames += list(stream)

    assert as_recorded(frames) == as_frames(client.events(task["task_id"]))


def test_a_stream_follows_replies_on_one_connection(client: Client) -> None:
    task = client.submit("Simulate 3 steps of 10 ms")

    with connect(client.url) as sock:
        sock.sendall(GET + GET + request(path_of(task)))
        replies = [read_one_reply(sock), read_one_reply(sock)]
        frames = list(Stream(sock, b""))

    assert [reply.status_code for reply in replies] == [200, 200]
    assert as_recorded(frames) == as_frames(client.events(task["task_id"]))


def test_a_client_that_closes_its_half_is_taken_for_gone(client: Client, server: ServerProcess) -> None:
    task = client.submit(LONG)
    with open_stream(client, path_of(task)) as stream:
        stream.until("iteration_start")

        stream.sock.shutdown(socket.SHUT_WR)
        rest = list(stream)

    assert rest == []
    line = until(lambda: next(iter(gone_from(server, task)), None), "it is in the log")
    assert line["events"] == 3
    client.cancel(task["task_id"])


def test_a_client_that_reads_nothing_holds_up_nobody(client: Client) -> None:
    task = client.submit("Say hello")
    with (
        open_stream(client, path_of_session(task), buffer=SMALL_BUFFER) as idle,
        open_stream(client, path_of_session(task)) as stream,
    ):
        for _ in range(10):
            client.submit(LOUD, session_id=task["session_id"], multitask_strategy="parallel")
        received = stream.until("task_completed", times=11)
        late = idle.until("task_completed", times=11)

    assert late == received
    assert as_recorded(received) == as_frames(recorded_in_session(client, task["session_id"]))


def tcp_sockets(server: ServerProcess) -> int:
    """Return how many the server has, the one that listens among them."""
    return len(psutil.Process(server.process.pid).net_connections("tcp"))


def gone_from(server: ServerProcess, task: Json) -> list[Json]:
    """Return the lines on streams of a task whose readers went."""
    return [line for line in closed(server, "gone") if line.get("task_id") == task["task_id"]]
