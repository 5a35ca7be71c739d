"""Sessions that are deleted on a real server: with tasks that run, with files, while they are followed."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import ServerProcess, until

LONG = "Simulate 1 steps of 60000 ms"


def delete(client: Client, session_id: str) -> int:
    """Delete a session, and return the status."""
    return client.http.delete(f"/api/sessions/{session_id}").status_code


def rows(server: ServerProcess) -> dict[str, int]:
    """Return how many rows each table has."""
    with closing(sqlite3.connect(server.data_dir / "alex.sqlite3")) as connection:
        tables = ("sessions", "tasks", "events")
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def workspaces(server: ServerProcess) -> list[Path]:
    """Return the workspaces that there are."""
    return list((server.data_dir / "workspaces").iterdir())


def test_a_session_is_deleted_with_its_tasks_its_events_and_its_files(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        kept = client.ended(client.submit("Create a file called a.txt with content: Hello")["task_id"])
        done = client.ended(client.submit("Create a file called a.txt with content: x", session_id="s")["task_id"])
        running, waiting = (client.submit(LONG, session_id="s") for _ in range(2))
        before = len(workspaces(server))

        status = delete(client, "s")

        gone = [client.http.get(f"/api/tasks/{task['task_id']}").status_code for task in (done, running, waiting)]
        again = delete(client, "s")
        (session,) = client.http.get("/api/sessions").json()["sessions"]
        until(lambda: len(workspaces(server)) == before - 1, "the workspace is removed")
    assert (status, gone, again) == (204, [404] * 3, 404)
    assert session["id"] == kept["session_id"]
    assert (rows(server)["sessions"], rows(server)["tasks"]) == (1, 1)
    assert [line["tasks"] for line in server.log("session.deleted")] == [3]
    assert server.troubles() == []


def test_a_session_that_is_made_anew_finds_nothing_of_the_one_before(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        client.ended(client.submit("Create a file called a.txt with content: secret", session_id="s")["task_id"])
        last = client.events(client.session("s")["tasks"][0]["task_id"])[-1]["event_id"]
        assert delete(client, "s") == 204

        task = client.ended(client.submit("Read a.txt", session_id="s")["task_id"])

        session = client.session("s")
        events = client.events(task["task_id"])
    assert session["task_count"] == 1
    assert "secret" not in task["result"]["answer"]
    assert events[0]["event_id"] > last


def test_many_who_delete_a_session_at_once_have_one_end(start: Start) -> None:
    server = start(settings={"SERVER__THREADS": "4"})
    with Client(server.url) as client, ThreadPoolExecutor(20) as pool:
        client.submit(LONG, session_id="s")
        begin = threading.Barrier(20)

        def together() -> int:
            begin.wait()
            return delete(client, "s")

        statuses = [one.result() for one in [pool.submit(together) for _ in range(20)]]

    assert 204 in statuses
    assert set(statuses) <= {204, 404}
    assert rows(server) == {"sessions": 0, "tasks": 0, "events": 0}
    assert len(server.log("session.deleted")) == 1


def test_the_streams_of_a_session_end_when_it_is_deleted(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        client.submit(LONG, session_id="s")
        with client.http.stream("GET", "/api/sessions/s/events") as stream:
            lines = stream.iter_lines()
            next(line for line in lines if line == "event: task_started")

            status = delete(client, "s")

            rest = list(lines)
    assert status == 204
    assert rest[-3:] == ["event: session_deleted", 'data: {"session_id":"s"}', ""]


def test_the_workspace_of_a_session_that_is_gone_is_removed_at_the_next_start(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        client.ended(client.submit("Create a file called a.txt with content: x", session_id="s")["task_id"])
        (left,) = workspaces(server)
        assert delete(client, "s") == 204
        until(lambda: not workspaces(server), "the workspace is removed")
    server.kill()
    left.mkdir()
    (left / "a.txt").write_text("What a crash between the deletion and the removal would leave.")

    again = start(directory=server.data_dir.parent)

    until(lambda: not workspaces(again), "the workspace is removed")
    assert again.troubles() == []
