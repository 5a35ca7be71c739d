"""Stopping, in good order, at once and without warning; and what the next start makes of it."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import httpx
import psutil
import pytest

from tests.live.client import TERMINAL, Client, read_reply, types
from tests.live.conftest import Start
from tests.live.process import SOON, Json, ServerProcess, until

LONG = "Simulate 2 steps of 30 s"
RUNNING = 2_000
LONGEST_STOP = 10.0
"""Seconds: what ``docker stop`` allows."""

FAIL = {"AGENTS__RECOVERY": "fail"}
STOPS = {signal.SIGTERM: 0, signal.SIGINT: 0, signal.SIGKILL: -9}


class Left(dict[str, tuple[str, list[str]]]):
    """What a database has of each task: its status, and the types of its events."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__()
        events = "SELECT group_concat(event_type) FROM (SELECT * FROM events WHERE place = tasks.place ORDER BY 1)"
        with closing(sqlite3.connect(server.data_dir / "alex.sqlite3")) as connection:
            for task_id, status, names in connection.execute(f"SELECT task_id, status, ({events}) FROM tasks"):
                self[task_id] = (status, names.split(","))


@contextmanager
def _unread_reply(client: Client) -> Iterator[socket.socket]:
    """Have a reply on its way that its client does not read: it is larger than what the kernels hold."""
    session_id = client.submit(LONG)["session_id"]
    for _ in range(100):
        client.submit("x" * 99_000, session_id=session_id)
    with client.connect() as connection:
        connection.sendall(b"GET /api/tasks?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1, socket.MSG_PEEK)
        yield connection


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_what_was_unfinished_goes_on_at_the_next_start(start: Start, number: signal.Signals) -> None:
    first = start()
    with Client(first.url) as client:
        runs = client.submit("Simulate 20 steps of 30 ms then fail")
        waits = client.submit("What is 2 + 2?", session_id=runs["session_id"])
        until(lambda: client.task(runs["task_id"])["current_iteration"] >= 3, "some of it is done")
        before = {task["task_id"]: client.events(task["task_id"]) for task in (runs, waits)}

    first.stop(number)
    second = start()

    with Client(second.url) as client:
        failed, answered = client.ended(runs["task_id"]), client.ended(waits["task_id"])
        went_on, began = client.events(runs["task_id"]), client.events(waits["task_id"])
    assert (failed["total_iterations"], failed["total_tokens"]) == (20, 20 * 60)
    assert failed["started_at"] == before[runs["task_id"]][1]["timestamp"]
    assert went_on[: len(before[runs["task_id"]])] == before[runs["task_id"]]
    assert types(went_on).count("task_resumed") == types(went_on).count("task_started") == 1
    assert types(went_on).count("iteration_complete") == 20
    assert answered["result"]["answer"] == "2 + 2 = 4"
    assert types(began)[:3] == ["task_created", "task_started", "task_analysis"]
    assert began[1]["event_id"] > went_on[-1]["event_id"]


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_or_it_is_interrupted_if_that_is_configured(start: Start, number: signal.Signals) -> None:
    first = start()
    with Client(first.url) as client:
        done = client.ended(client.submit("What is 2 + 2?")["task_id"])
        runs = client.submit(LONG)
        waits = client.submit(LONG, session_id=runs["session_id"])
        client.running(runs["task_id"])
        before = {task["task_id"]: client.events(task["task_id"]) for task in (done, runs, waits)}

    exit_code = first.stop(number)
    left = Left(first)
    second = start(settings=FAIL)

    assert exit_code == STOPS[number]
    assert left[runs["task_id"]] == ("running", ["task_created", "task_started", "iteration_start"])
    assert left[waits["task_id"]] == ("pending", ["task_created"])
    with Client(second.url) as client:
        after = {task_id: client.events(task_id) for task_id in before}
        assert client.task(done["task_id"]) == done
        assert after[done["task_id"]] == before[done["task_id"]]
        for submitted, counters in ((runs, (1, 0)), (waits, (0, 0))):
            task = client.task(submitted["task_id"])
            *earlier, last = after[task["task_id"]]
            assert (task["status"], task["termination_reason"]) == ("failed", "interrupted")
            assert task["error"]
            assert (task["total_iterations"], task["total_tokens"]) == counters
            assert earlier == before[task["task_id"]]
            assert (last["event_type"], last["termination_reason"]) == ("task_failed", "interrupted")
        new = client.ended(client.submit("Echo on", session_id=runs["session_id"])["task_id"])
        assert new["result"]["answer"] == "on"
        ids = [event["event_id"] for events in before.values() for event in events]
        assert client.events(new["task_id"])[0]["event_id"] > max(ids)


def test_an_interrupted_task_is_not_ended_again_by_a_third_start(start: Start) -> None:
    first = start()
    with Client(first.url) as client:
        task_id = client.submit(LONG)["task_id"]
    first.stop(signal.SIGKILL)
    second = start(settings=FAIL)
    with Client(second.url) as client:
        events = client.events(task_id)
    second.stop()

    third = start()

    with Client(third.url) as client:
        assert client.events(task_id) == events
        assert client.cancel(task_id).status_code == 409
    assert [name for name in types(events) if name in TERMINAL] == ["task_failed"]


def test_what_was_answered_with_201_survives_a_kill_in_the_middle_of_submits(start: Start) -> None:
    first = start()
    taken: list[Json] = []

    def submit_until_it_ends(client: Client) -> None:
        with suppress(httpx.TransportError):  # the server is gone
            while True:
                taken.append(client.submit("Simulate 3 steps of 1 ms"))

    with Client(first.url) as client, ThreadPoolExecutor(8) as pool:
        work = [pool.submit(submit_until_it_ends, client) for _ in range(8)]
        until(lambda: len(taken) >= 200, "200 tasks are taken")
        first.stop(signal.SIGKILL)
        for one in work:
            one.result()
    second = start()

    with Client(second.url) as client:
        page = client.tasks(limit=1000)
        found = {task["task_id"]: task for task in page["tasks"]}
        for task in taken[:1000]:
            kept = found.get(task["task_id"]) or client.task(task["task_id"])
            assert kept["session_id"] == task["session_id"]
        assert {task["status"] for task in page["tasks"]} <= {"completed", "failed"}
        for task in page["tasks"][:50]:
            recorded = types(client.events(task["task_id"]))
            assert recorded[0] == "task_created"
            assert [name for name in recorded if name in TERMINAL] == recorded[-1:]


def test_a_running_command_does_not_outlive_the_server(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        client.submit("Run sleep 301", tool_preset="full")
        children = until(lambda: psutil.Process(server.process.pid).children(recursive=True), "a command runs")

    exit_code = server.stop()

    assert exit_code == 0
    until(lambda: not any(map(psutil.Process.is_running, children)), "the command is gone")


def test_a_stop_lets_a_reply_finish_and_closes_what_is_idle(start: Start) -> None:
    server = start()
    with Client(server.url) as client, client.connect() as idle, _unread_reply(client) as connection:
        server.send(signal.SIGTERM)
        closed = idle.recv(1)
        reply = read_reply(connection)

        with pytest.raises(ConnectionRefusedError):
            client.connect()
    assert closed == b""
    assert (reply.status_code, len(reply.json()["tasks"])) == (200, 101)
    assert server.wait() == 0


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    server = start(settings={"TIMEOUTS__SHUTDOWN_SECONDS": "100"})  # the first alone would wait for 40 of them
    with Client(server.url) as client, _unread_reply(client):
        server.send(signal.SIGINT)
        until(lambda: server.log("server.stopping"), "the stop has begun")
        assert server.process.poll() is None

        server.send(signal.SIGINT)
        exit_code = server.wait()

    assert exit_code == 128 + signal.SIGINT
    assert [line["signal"] for line in server.log("server.aborted")] == ["SIGINT"]


def test_a_client_that_does_not_read_holds_up_a_stop_no_longer_than_allowed(start: Start) -> None:
    server = start(settings={"TIMEOUTS__SHUTDOWN_SECONDS": "5"})  # of which two are for such a client
    with Client(server.url) as client, _unread_reply(client):
        began = time.monotonic()

        exit_code = server.stop()

    assert exit_code == 0
    assert time.monotonic() - began < 5


def test_2000_running_tasks_do_not_hold_up_a_stop(start: Start) -> None:
    first = start()
    with Client(first.url) as client, ThreadPoolExecutor(16) as pool:
        list(pool.map(client.submit, [LONG] * RUNNING))
        until(lambda: client.tasks(status="running")["total"] == RUNNING, "all of them run")
    began = time.monotonic()

    exit_code = first.stop()
    took = time.monotonic() - began
    second = start()

    assert exit_code == 0
    assert took < LONGEST_STOP
    with Client(second.url) as client:
        until(lambda: client.tasks(status="running")["total"] == RUNNING, "all of them go on")
        assert client.tasks()["total"] == RUNNING


def test_a_second_signal_leaves_no_shell_command_behind(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        client.running(client.submit("Run sleep 987654", tool_preset="full")["task_id"])
        children = psutil.Process(server.process.pid).children
        commands = until(lambda: children(recursive=True), "the shell command")

    # Two at once: the first stop has no time to interrupt the agent.
    server.send(signal.SIGTERM)
    server.send(signal.SIGINT)
    server.wait()

    _, alive = psutil.wait_procs(commands, timeout=SOON)
    assert alive == []
