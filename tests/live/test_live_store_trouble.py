"""A database that cannot be written for a while: what is answered, and that all goes on afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
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


def test_cancels_that_wait_for_the_disk_hold_every_worker_and_are_all_answered(start: Start) -> None:
    server = start()
    with Client(server.url) as client, ThreadPoolExecutor(2 * WORKERS) as pool:
        tasks = [client.submit("Simulate 1 step of 30 s")["task_id"] for _ in range(2 * WORKERS)]
        for task_id in tasks:
            client.running(task_id)
        with _locked(server):
            cancels = [pool.submit(client.cancel, task_id) for task_id in tasks]
            until(lambda: len(server.log("task.cancel_requested")) == WORKERS, "every worker waits")
            with pytest.raises(httpx.ReadTimeout):
                client.http.get("/ready", timeout=0.1)

        replies = [cancel.result().status_code for cancel in cancels]

        assert replies == [200] * len(tasks)
        assert client.http.get("/ready").status_code == 200
        for task_id in tasks:
            assert [name for name in types(client.events(task_id)) if name in TERMINAL] == ["task_cancelled"]
