"""Replies that wait for a task's end, or for a cancel to be carried out: without a worker, not for too long."""

from __future__ import annotations

import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.live.client import UNFINISHED, Client
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess, until
from tests.live.streams import connect, read_one_reply, reset

LONG = "Simulate 1 step of 30 s"
TWO_WORKERS = {"SERVER__THREADS": "2"}
VARIANT = Path(__file__).with_name("deaf_server.py")
LONG_STOP = {"TIMEOUTS__SHUTDOWN_SECONDS": "100"}
QUICK_STOP = 30.0
"""Seconds. It takes a fraction of one on a machine that does nothing else; to wait for what is not over takes 40,
four tenths of the time for a stop."""
GRACE = 3
"""Seconds. Long beside what some dozens of reads take."""


def asked(task: Json, wait: object, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """Return a request for a task."""
    return f"{method} /api/tasks/{task['task_id']}?wait={wait} {version}\r\nHost: localhost\r\n\r\n".encode()


def cancelling(task: Json) -> bytes:
    """Return a request to cancel a task."""
    return f"POST /api/tasks/{task['task_id']}/cancel HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@contextmanager
def sent(client: Client, requests: Sequence[bytes]) -> Iterator[list[socket.socket]]:
    """Send each of these on a connection of its own."""
    with ExitStack() as closing:
        sockets = [closing.enter_context(connect(client.url)) for _ in requests]
        for sock, request in zip(sockets, requests, strict=True):
            sock.sendall(request)
        yield sockets


def waiting(client: Client) -> int:
    """Return how many requests the server keeps waiting."""
    figures: dict[str, int] = client.http.get("/health").json()["components"]["http"]["figures"]
    return figures["waiting"]


def until_waiting(client: Client, number: int) -> None:
    """Wait until the server keeps so many requests waiting."""
    until(lambda: waiting(client) == number, f"{number} requests wait")


# One at a time.


@pytest.mark.parametrize(
    ("text", "status"),
    [("Simulate 2 steps of 100 ms", "completed"), ("Simulate 1 step of 100 ms then fail", "failed")],
)
def test_a_wait_is_answered_when_the_task_has_ended(client: Client, text: str, status: str) -> None:
    task = client.submit(text)

    waited = client.http.get(f"/api/tasks/{task['task_id']}?wait=60")

    assert (waited.status_code, waited.json()["status"]) == (200, status)
    assert waited.json() == client.task(task["task_id"])


def test_a_wait_for_a_task_in_line_is_for_its_end(client: Client) -> None:
    ahead = client.submit("Simulate 1 step of 100 ms")
    task = client.submit("Simulate 1 step of 100 ms", session_id=ahead["session_id"])

    waited = client.http.get(f"/api/tasks/{task['task_id']}?wait=60")

    assert waited.json()["status"] == "completed"


@pytest.mark.parametrize("wait", ["0.3", "0.300000", "1"])
def test_a_wait_that_is_over_is_answered_with_the_task_as_it_is(client: Client, wait: str) -> None:
    task = client.submit(LONG)
    began = time.monotonic()

    waited = client.http.get(f"/api/tasks/{task['task_id']}?wait={wait}")

    assert time.monotonic() - began >= float(wait)
    assert waited.json()["status"] == "running"
    assert client.cancel(task["task_id"]).status_code == 200


@pytest.mark.parametrize("wait", ["0", "0.0", "00"])
def test_no_wait_is_answered_at_once(client: Client, wait: str) -> None:
    task = client.submit(LONG)

    reply = client.http.get(f"/api/tasks/{task['task_id']}?wait={wait}")

    assert reply.json()["status"] in UNFINISHED
    client.cancel(task["task_id"])


@pytest.mark.parametrize("wait", ["60", "60.0", "0.05", "59.999"])
def test_a_task_that_has_ended_is_not_waited_for(client: Client, wait: str) -> None:
    task = client.ended(client.submit("Say hello")["task_id"])
    began = time.monotonic()

    reply = client.http.get(f"/api/tasks/{task['task_id']}?wait={wait}")

    assert reply.json() == task
    assert time.monotonic() - began < 30  # half of what it would wait


@pytest.mark.parametrize(
    "query", ["wait=-1", "wait=61", "wait=60.1", "wait=x", "wait=1e1", "wait=", "wait=nan", "wait=inf",
              "wait=%201", "wait=%2B1", "wait=.5", "wait=5.", "wait=1&wait=2", "wait=1,5", "Wait=1"],
)  # fmt: skip
def test_a_wait_that_is_no_number_of_seconds_up_to_60_is_refused(client: Client, query: str) -> None:
    task = client.submit("Say hello")

    reply = client.http.get(f"/api/tasks/{task['task_id']}?{query}")

    assert reply.status_code == 400
    assert "wait" in reply.json()["detail"]


def test_nobody_waits_for_a_task_that_is_not_there(client: Client) -> None:
    reply = client.http.get("/api/tasks/task-none?wait=60")

    assert reply.status_code == 404
    assert "task-none" in reply.json()["detail"]


def test_a_wait_for_a_task_that_is_deleted_meanwhile_finds_nothing(client: Client) -> None:
    task = client.submit(LONG)
    others = waiting(client)
    with sent(client, [asked(task, 60)]) as (sock,):
        until_waiting(client, others + 1)

        client.http.delete(f"/api/sessions/{task['session_id']}")

        reply = read_one_reply(sock)
    # The end of the task is recorded first, and may be what is seen.
    assert reply.status_code == 404 or reply.json()["status"] == "cancelled"


def test_head_waits_as_well(client: Client) -> None:
    task = client.submit("Simulate 1 step of 200 ms")

    reply = client.http.head(f"/api/tasks/{task['task_id']}?wait=60")

    assert (reply.status_code, reply.content) == (200, b"")
    assert client.task(task["task_id"])["status"] == "completed"


# The connection.


def test_a_connection_is_as_good_after_a_wait_as_before(client: Client) -> None:
    task = client.submit("Simulate 1 step of 100 ms")

    with connect(client.url) as sock:
        replies = []
        for request in (asked(task, 60), asked(task, 0), asked(task, 60)):
            sock.sendall(request)
            replies.append(read_one_reply(sock))

    assert [reply.json()["status"] for reply in replies] == ["completed"] * 3


def test_waits_that_are_sent_together_are_answered_in_their_order(client: Client) -> None:
    slow = client.submit("Simulate 1 step of 400 ms")
    fast = client.submit("Simulate 1 step of 1 ms")

    with sent(client, [asked(slow, 60) + asked(fast, 60) + asked(slow, 0)]) as (sock,):
        replies = [read_one_reply(sock).json() for _ in range(3)]

    assert [reply["task_id"] for reply in replies] == [slow["task_id"], fast["task_id"], slow["task_id"]]
    assert {reply["status"] for reply in replies} == {"completed"}


def test_a_client_of_http_1_0_waits_too(client: Client) -> None:
    task = client.submit("Simulate 1 step of 100 ms")

    with sent(client, [asked(task, 60, version="HTTP/1.0")]) as (sock,):
        reply = read_one_reply(sock)
        rest = sock.recv(1)

    assert (reply.json()["status"], rest) == ("completed", b"")


# Many at a time.


def test_500_waits_for_as_many_tasks_take_no_worker_and_are_answered(start: Start) -> None:
    server = start(settings=TWO_WORKERS)
    with Client(server.url) as client, ThreadPoolExecutor(8) as pool:
        tasks = list(pool.map(client.submit, [LONG] * 500))
        threads = psutil.Process(server.process.pid).num_threads()
        with sent(client, [asked(task, 60) for task in tasks]) as sockets:
            until_waiting(client, 500)
            meanwhile = [client.task(task["task_id"])["status"] for task in tasks[:50]]
            assert psutil.Process(server.process.pid).num_threads() == threads

            cancelled = list(pool.map(client.cancel, [task["task_id"] for task in tasks]))
            replies = [read_one_reply(sock) for sock in sockets]

        assert set(meanwhile) == {"running"}
        assert {reply.status_code for reply in cancelled} == {200}
        assert [reply.json()["task_id"] for reply in replies] == [task["task_id"] for task in tasks]
        assert {reply.json()["status"] for reply in replies} == {"cancelled"}
        assert waiting(client) == 0
    assert server.troubles() == []


def test_500_waits_for_one_task_are_answered_at_its_end(start: Start) -> None:
    server = start(settings=TWO_WORKERS)
    with Client(server.url) as client:
        task = client.submit(LONG)
        with sent(client, [asked(task, 60)] * 500) as sockets:
            until_waiting(client, 500)

            client.cancel(task["task_id"])

            assert {read_one_reply(sock).json()["status"] for sock in sockets} == {"cancelled"}
        assert waiting(client) == 0


def test_500_waits_that_are_over_at_the_same_time_are_answered(start: Start) -> None:
    server = start(settings=TWO_WORKERS)
    with Client(server.url) as client:
        task = client.submit(LONG)

        with sent(client, [asked(task, 1.5)] * 500) as sockets:
            statuses = {read_one_reply(sock).json()["status"] for sock in sockets}

        assert statuses == {"running"}
        assert waiting(client) == 0


def test_clients_who_go_while_they_wait_leave_nothing_behind(start: Start) -> None:
    server = start(settings=TWO_WORKERS)
    process = psutil.Process(server.process.pid)
    with Client(server.url) as client:
        task = client.submit(LONG)
        client.running(task["task_id"])
        sockets_before = len(process.net_connections("tcp"))
        for _ in range(3):
            with sent(client, [asked(task, 60)] * 100) as sockets:
                until_waiting(client, 100)
                for sock in sockets[::2]:
                    reset(sock)
                for sock in sockets[1::4]:
                    sock.shutdown(socket.SHUT_WR)
            until_waiting(client, 0)

        until(lambda: len(process.net_connections("tcp")) == sockets_before, "their connections are closed")
        assert client.task(task["task_id"])["status"] == "running"
    assert server.troubles() == []


def test_a_client_who_goes_with_another_request_sent_ahead_is_gone_when_its_wait_is_over(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        task = client.submit(LONG)
        with sent(client, [asked(task, 2) + asked(task, 60)]):
            until_waiting(client, 1)

        until_waiting(client, 0)
    assert server.troubles() == []


def test_a_stop_answers_all_who_wait_at_once_with_the_task_as_it_is(start: Start) -> None:
    server = start(settings=TWO_WORKERS | LONG_STOP)
    with Client(server.url) as client:
        task = client.submit(LONG)
        client.running(task["task_id"])
        with sent(client, [asked(task, 60)] * 100) as sockets:
            until_waiting(client, 100)
            began = time.monotonic()

            server.send(signal.SIGTERM)

            replies = [read_one_reply(sock) for sock in sockets]
            assert {(reply.status_code, reply.json()["status"]) for reply in replies} == {(200, "running")}
            assert {reply.headers["Connection"] for reply in replies} == {"close"}
        assert server.wait() == 0
    assert time.monotonic() - began < QUICK_STOP
    assert server.troubles() == []


# Cancels.


def test_50_cancels_that_take_their_time_leave_other_requests_alone(start: Start) -> None:
    deaf = f'python="$1"; shift 3; exec "$python" "{VARIANT}" "$@"'
    settings = TWO_WORKERS | {"AGENTS__CANCEL_GRACE_SECONDS": str(GRACE)}
    server = start(shell=deaf, settings=settings)
    with Client(server.url) as client:
        tasks = [client.submit("Say hello") for _ in range(50)]
        for task in tasks:
            client.running(task["task_id"])
        with sent(client, [cancelling(task) for task in tasks]) as sockets:
            until_waiting(client, 50)

            statuses = [client.task(task["task_id"])["status"] for task in tasks]
            answered, _, _ = select.select(sockets, [], [], 0)
            replies = [read_one_reply(sock) for sock in sockets]

        assert (set(statuses), answered) == ({"running"}, [])
        assert [reply.json() for reply in replies] == [
            {"task_id": task["task_id"], "status": "cancelled"} for task in tasks
        ]
        assert {client.task(task["task_id"])["status"] for task in tasks} == {"cancelled"}


def test_cancels_of_one_task_at_once_are_all_answered(start: Start) -> None:
    server = start(settings=TWO_WORKERS)
    with Client(server.url) as client:
        task = client.submit(LONG)
        client.running(task["task_id"])

        with sent(client, [cancelling(task)] * 50) as sockets:
            replies: list[httpx.Response] = [read_one_reply(sock) for sock in sockets]

        statuses = [reply.status_code for reply in replies]
        assert set(statuses) <= {200, 409}
        assert 200 in statuses


def test_a_wait_for_a_cancel_that_is_under_way_ends_with_it(server: ServerProcess, client: Client) -> None:
    task = client.submit(LONG)
    client.running(task["task_id"])

    with sent(client, [asked(task, 60), cancelling(task)]) as (waits, cancels):
        replies = read_one_reply(waits), read_one_reply(cancels)

    assert [reply.json()["status"] for reply in replies] == ["cancelled"] * 2
