"""Clients that are slow, large, many, or gone: what they cost the others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.live.client import Client, read_reply
from tests.live.process import until

WORKERS = 16
MANY = 3 * WORKERS
HEAD = b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
TASK = b'{"task": "Echo at last"}'


def test_the_longest_task_is_taken_however_it_is_escaped(client: Client) -> None:
    text = "\U0001f600" * 100_000
    body = json.dumps({"task": text}).encode()

    reply = client.http.post("/api/tasks", content=body, headers={"Content-Type": "application/json"})

    assert len(body) > 1_000_000
    assert reply.status_code == 201
    assert client.task(reply.json()["task_id"])["task"] == text


def test_a_body_in_chunks_is_taken(client: Client) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in TASK)

    reply = client.send_raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")

    assert reply.status_code == 201
    assert client.ended(reply.json()["task_id"])["result"]["answer"] == "at last"


def test_a_client_that_asks_first_is_told_to_go_on(client: Client) -> None:
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(TASK)
    with client.connect() as connection:
        connection.sendall(head)
        go_on = connection.recv(100)
        connection.sendall(TASK)

        reply = read_reply(connection)

    assert go_on == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert reply.status_code == 201


def test_a_body_that_will_be_refused_is_not_asked_for(client: Client) -> None:
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n"

    reply = client.send_raw(head)

    assert reply.status_code == 413


def test_many_slow_clients_hold_up_nobody_and_are_answered_in_the_end(client: Client) -> None:
    head = HEAD + b"Content-Length: %d\r\n\r\n" % len(TASK)
    with ExitStack() as opened:
        slow = [opened.enter_context(client.connect()) for _ in range(MANY)]
        for connection in slow:
            connection.sendall(head + TASK[:10])

        others = client.ended(client.submit("Echo meanwhile")["task_id"])
        for connection in slow:
            connection.sendall(TASK[10:])
        replies = [read_reply(connection) for connection in slow]

    assert others["result"]["answer"] == "meanwhile"
    assert [reply.status_code for reply in replies] == [201] * MANY
    assert len({reply.json()["task_id"] for reply in replies}) == MANY


def test_many_clients_that_do_not_read_hold_up_nobody(client: Client) -> None:
    waits = client.submit("Simulate 1 step of 30 s")
    for _ in range(20):
        client.submit("x" * 99_000, session_id=waits["session_id"])
    with ExitStack() as opened:
        for _ in range(MANY):
            connection = opened.enter_context(client.connect())
            connection.sendall(b"GET /api/tasks?limit=20 HTTP/1.1\r\nHost: localhost\r\n\r\n")

        others = client.ended(client.submit("Echo meanwhile")["task_id"])

    assert others["result"]["answer"] == "meanwhile"
    until(lambda: client.http.get("/ready").status_code == 200, "it is ready")
    client.submit("Echo on", session_id=waits["session_id"], multitask_strategy="interrupt")


def test_a_client_that_goes_away_cancels_nothing(client: Client) -> None:
    session_id = "left-alone"
    body = b'{"task": "Simulate 3 steps of 20 ms", "session_id": "left-alone"}'
    with client.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    task = until(lambda: next(iter(client.tasks(session_id=session_id)["tasks"]), None), "the task is recorded")

    assert client.ended(task["task_id"])["status"] == "completed"


def test_requests_on_one_connection_are_answered_in_their_order(client: Client) -> None:
    requests = b"".join(b"GET /api/tasks/none-%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % n for n in range(5))
    with client.connect() as connection:
        connection.sendall(requests + b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65_536), b""))

    positions = [received.index(b"'none-%d'" % n) for n in range(5)]
    assert positions == sorted(positions)
    assert received.endswith(b'{"status":"ready"}')


def test_a_hundred_connections_at_once_are_answered(client: Client) -> None:
    with ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(lambda _: client.http.get("/health").status_code, range(300)))

    assert replies == [200] * 300
