"""What metrics cost: of a task, of a request, and of a scrape while much is going on.

    python -m bench.metrics [--tasks 10000] [--streams 10000]

Counts in this process what a task and a request count; then scrapes a server with so many running tasks and open
streams, and times other requests beside that.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import time
from collections.abc import Callable

from alex_actors.clock import SystemClock
from alex_actors.events import (
    AnyEvent,
    IterationComplete,
    IterationStart,
    TaskCompleted,
    TaskCreated,
    TaskStarted,
    ThinkComplete,
    ToolCallComplete,
    Usage,
    stamp,
)
from alex_actors.metrics.task_meter import TaskMeter
from alex_actors.ports import MeteredEvent
from alex_actors.projection import advance, progress_of
from alex_actors.store.staging import live_task
from alex_actors.tasks import Task
from alex_actors.values import SessionId, TaskId, timestamp
from alex_http.request_tally import RequestTally, StreamTally
from bench import machine
from bench.event_streams import Frames, Stream, watch
from bench.load import generate, percentile, post
from bench.servers import ServerProcess, alex

ROUNDS = 20_000
SCRAPES = 30
ASKS = 300
A_SOURCE = 5000
"""Streams from one of the addresses 127.0.0.1, 127.0.0.2 …"""


def main() -> None:
    """Run the bench and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--streams", type=int, default=10_000)
    arguments = parser.parse_args()
    noise = machine.Noise()
    task, request, event = counting()
    print(
        f"counting: {task:.2f} µs a task of ten events, {request:.2f} a request, {event:.2f} an event to a reader"
    )
    scraping(arguments.tasks, arguments.streams)
    print(noise)


def counting(rounds: int = ROUNDS) -> tuple[float, float, float]:
    """Return the microseconds that counting takes: of a task, of a request, of an event to a reader."""
    metered = a_tasks_events()
    meter = TaskMeter(clock=SystemClock(), models=("offline",), tools=("calculator",))
    requests, streams = RequestTally(), StreamTally()

    def a_task() -> None:
        meter.committed(metered, messages=4, seconds=0.001)

    def a_request() -> None:
        requests.answer("POST", "/api/tasks", 201, 0.001)

    return (
        _microseconds(a_task, rounds),
        _microseconds(a_request, rounds),
        _microseconds(lambda: streams.send(1), rounds),
    )


def a_tasks_events() -> list[MeteredEvent]:
    """Return the ten events of a task with two turns, a tool in one of them."""
    now = timestamp(SystemClock().now())
    task = Task(
        task_id=TaskId("task-1"), session_id=SessionId("session-1"), session_key=1, place=1, task="?",
        agent_preset="default", tool_preset="safe", model="offline", created_at=now, strategy="enqueue",
        timeout_seconds=None, max_iterations=50, metadata={}, trace_id="0" * 32,
    )  # fmt: skip
    said = ThinkComplete(
        iteration=1, content="4", tool_call_count=1, duration=1.0,
        usage=Usage(input_tokens=9, output_tokens=9, cost_usd=0.1),
    )  # fmt: skip
    ran = ToolCallComplete(call_id="1", tool_name="calculator", result="4", error=None, duration=1.0)
    turn = (IterationStart(iteration=1, total_iters=50), said, ran)
    end = TaskCompleted(
        final_answer="4", stop_reason="final_answer", total_iterations=2, total_tokens=36, duration=1.0
    )
    counted = IterationComplete(iteration=1, tokens_used=18, tools_run=1)
    events: tuple[AnyEvent, ...] = (TaskCreated(task="?"), TaskStarted(), *turn, counted, *turn[:2], counted, end)
    live, progress = live_task(task, 0), progress_of(task)
    metered: list[MeteredEvent] = []
    for before, event in enumerate(events):
        metered.append((live, progress, stamp(now, event), before))
        progress = advance(progress, now, event)
    return metered


def _microseconds(call: Callable[[], None], rounds: int) -> float:
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in itertools.repeat(None, rounds):
            call()
        best = min(best, time.perf_counter() - began)
    return best / rounds * 1e6


def scraping(tasks: int, streams: int) -> None:
    """Measure a scrape of a server with so many running tasks and open streams, and submits beside it."""
    long = json.dumps({"task": "Simulate 1000 steps of 60000 ms"}).encode()
    settings = {
        "limits__max_unfinished_tasks": 2 * tasks + 10_000, "limits__max_running_tasks": 2 * tasks + 10_000,
        "limits__max_streams": streams + 100, "limits__max_streams_per_client": A_SOURCE + 100,
        "limits__max_connections_per_client": A_SOURCE + 100, "timeouts__ask_seconds": 60,
    }  # fmt: skip
    with alex(**settings) as server:
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        task_id = json.loads(_asked(connection, "POST", "/api/tasks", long))["task_id"]
        print(f"at rest:    {_scrapes(server, connection)}; a submit {_submits(connection)}")
        generate(server.address, itertools.repeat(post("/api/tasks", long), tasks), connections=64, status=b"201")
        frames, path = Frames(), f"/api/tasks/{task_id}/events"
        readers = [
            Stream(server.address, watch(path), source=f"127.0.0.{1 + number // A_SOURCE}", frames=frames)
            for number in range(streams)
        ]
        wanted = (f'\nalex_tasks{{status="running"}} {1.0 + tasks}\n', f"\nalex_streams {float(streams)}\n")
        while not all(line in _asked(connection, "GET", "/metrics").decode() for line in wanted):
            time.sleep(0.1)  # nothing tells when all tasks run and all streams are open
        print(f"{tasks} tasks run, {streams} streams are open:")
        print(f"            {_scrapes(server, connection)}; a submit {_submits(connection)}")
        scrapes = http.client.HTTPConnection(*server.address, timeout=60)
        print(f"a submit right after a scrape began: {_submits(connection, beside=scrapes)}")
        for reader in readers:
            reader.socket.close()


def _scrapes(server: ServerProcess, connection: http.client.HTTPConnection) -> str:
    times, size, before = [], 0, machine.Usage.of(server.process.pid).cpu
    for _ in range(SCRAPES):
        began = time.perf_counter()
        size = len(_asked(connection, "GET", "/metrics"))
        times.append(time.perf_counter() - began)
    spent, began = machine.Usage.of(server.process.pid).cpu, time.perf_counter()
    time.sleep(sum(times))  # what the server takes anyhow
    idle = machine.Usage.of(server.process.pid).cpu - spent
    cpu = (spent - before - idle * sum(times) / (time.perf_counter() - began)) / SCRAPES * 1000
    return f"a scrape {_told(times)}, {cpu:.1f} ms of CPU, {size / 1024:.0f} KiB"


def _submits(connection: http.client.HTTPConnection, *, beside: http.client.HTTPConnection | None = None) -> str:
    body, times = json.dumps({"task": "Say hello"}).encode(), []
    for _ in range(ASKS):
        if beside is not None:
            beside.request("GET", "/metrics")
        began = time.perf_counter()
        _asked(connection, "POST", "/api/tasks", body)
        times.append(time.perf_counter() - began)
        if beside is not None:
            beside.getresponse().read()
    return _told(times)


def _told(times: list[float]) -> str:
    middle, late = percentile(times, 50) * 1000, percentile(times, 99) * 1000
    return f"{middle:.1f} ms (99 %: {late:.1f})"


def _asked(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    reply = connection.getresponse()
    answer = reply.read()
    if reply.status >= 300:
        raise RuntimeError(f"{method} {path}: {reply.status} {answer.decode()}")
    return answer


if __name__ == "__main__":
    main()
