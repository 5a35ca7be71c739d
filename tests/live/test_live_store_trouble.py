"""A database that cannot be written for a while: what is answered, and that all goes on afterwards."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psutil
import pytest

from tests.live.client import TERMINAL, Client, types
from tests.live.conftest import Start
from tests.live.process import Json, ServerProcess, until
from tests.live.test_live_errors import assert_problem

WORKERS = 16


@contextmanager
def _locked(server: ServerProcess) -> Iterator[None]:
    """Hold the lock of those who write, as a backup or a look with ``sqlite3`` does."""
    with closing(sqlite3.connect(server.data_dir / "alex.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _full_disk(server: ServerProcess) -> Iterator[None]:
    """Let no file of the server grow: the database and the log fail as they do on a full disk."""
    process = psutil.Process(server.process.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
    yield
    process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _taken(client: Client) -> Json | None:
    reply = client.try_submit("Echo after", session_id="one", multitask_strategy="reject")
    return reply.json() if reply.status_code == 201 else None


def test_a_submit_that_cannot_be_recorded_is_refused_and_leaves_nothing(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        kept = client.submit("Echo before", session_id="one")
        client.ended(kept["task_id"])
        with _locked(server):
            refused = client.try_submit("Echo lost", session_id="one")
            sick = client.http.get("/health")

        taken = until(lambda: _taken(client), "the refused task's place in line is free")

        assert_problem(refused, 503, "store")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (sick.status_code, sick.json()["components"]["store"]["status"]) == (503, "down")
        assert client.ended(taken["task_id"])["result"]["answer"] == "after"
        assert client.http.get("/health").status_code == 200
        texts = [task["task"] for task in client.session("one")["tasks"]]
        assert texts == ["Echo before", "Echo after"]


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="the limits of another process are Linux's")
def test_a_full_disk_stops_neither_what_can_be_read_nor_what_comes_after_it(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        kept = client.ended(client.submit("Echo before")["task_id"])
        with _full_disk(server):
            refused = client.try_submit("Echo lost")
            read = client.task(kept["task_id"])
            sick = client.http.get("/health")

        taken = client.ended(client.submit("Echo after")["task_id"])

        assert_problem(refused, 503, "store")
        assert (read, sick.status_code) == (kept, 503)
        assert taken["result"]["answer"] == "after"
        assert client.tasks()["total"] == 2
        assert client.http.get("/health").status_code == 200
    assert server.stop() == 0
    assert [line["lines"] for line in server.log("log.lost")] != []
    assert server.log("server.stopped")


def _goes_on(client: Client, task_id: str) -> None:
    until(lambda: "task_resumed" in types(client.events(task_id)), f"{task_id} goes on")


def test_a_stop_does_not_wait_for_a_database_that_stays_locked(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        tasks = [client.submit("Simulate 900 steps of 20 ms", max_iterations=1000)["task_id"] for _ in range(20)]
        for task_id in tasks:
            client.running(task_id)

        with _locked(server):
            exit_code = server.stop()
    second = start()

    assert (exit_code, server.log("server.stopped")[0]["exit_code"]) == (0, 0)
    with Client(second.url) as client:
        for task_id in tasks:
            _goes_on(client, task_id)


def test_cancels_that_wait_for_the_disk_hold_no_worker_and_are_all_answered(start: Start) -> None:
    server = start()
    with Client(server.url) as client, ThreadPoolExecutor(2 * WORKERS) as pool:
        tasks = [client.submit("Simulate 1 step of 30 s")["task_id"] for _ in range(2 * WORKERS)]
        for task_id in tasks:
            client.running(task_id)
        with _locked(server):
            cancels = [pool.submit(client.cancel, task_id) for task_id in tasks]
            until(lambda: len(server.log("task.cancel_requested")) == len(tasks), "all cancels wait")
            meanwhile = client.http.get("/api/tasks")
            probes = [client.http.get(path).status_code for path in ("/health", "/ready")]

        replies = [cancel.result().status_code for cancel in cancels]

        assert meanwhile.status_code == 200
        assert replies == [200] * len(tasks)
        assert set(probes) <= {200, 503}  # 503 once a commit has waited for the lock in vain
        assert client.http.get("/ready").status_code == 200
        for task_id in tasks:
            assert [name for name in types(client.events(task_id)) if name in TERMINAL] == ["task_cancelled"]
