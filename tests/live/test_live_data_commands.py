"""Backup, check and retention of a real server's data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from alex_actors.store import check as store_check
from alex_actors.store.check import Checked
from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import SOON, Json, command, environment, run_alex, until

LONG = "Simulate 1 steps of 60000 ms"


def check(data: Path) -> Checked:
    """Return what the check says of a data directory, without the time that a process takes to start."""
    return store_check.check(data / "alex.sqlite3", data / "workspaces")


def test_a_backup_that_is_made_under_load_is_whole_and_can_be_started(start: Start, tmp_path: Path) -> None:
    server = start(directory=made(tmp_path / "first"))
    with Client(server.url) as client, ThreadPoolExecutor(4) as pool:
        before = client.ended(
            client.submit("Create a file called a.txt with content: Hello", session_id="kept")["task_id"]
        )
        running = client.running(client.submit(LONG, session_id="runs")["task_id"])
        load = [
            pool.submit(client.submit, f"Simulate 3 steps of 1 ms, {n}", session_id=f"s{n % 9}")
            for n in range(200)
        ]

        copied = run_alex(
            "backup",
            str(made(tmp_path / "second") / "data"),
            "--data-dir",
            str(server.data_dir),
            directory=tmp_path,
        )

        assert [one.result()["status"] for one in load] == ["pending"] * 200
        assert check(server.data_dir).sound
    server.kill()
    assert (copied.returncode, copied.stderr) == (0, "")
    told = check(tmp_path / "second" / "data")
    assert (told.sound, told.findings, told.notes) == (True, (), ())
    assert running["task_id"] in [one.task_id for one in told.unfinished]
    again = start(directory=tmp_path / "second")
    with Client(again.url) as client:
        assert client.task(before["task_id"]) == before
        read = client.ended(client.submit("Read a.txt", session_id="kept")["task_id"])
        assert "Hello" in read["result"]["answer"]
        assert client.task(running["task_id"])["status"] == "running"
        assert client.cancel(running["task_id"]).status_code == 200
    assert again.troubles() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_backup_that_is_stopped_leaves_nothing(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    server = start()
    server.stop()
    stuck = server.data_dir / "tokens.json"
    os.mkfifo(stuck)  # the last thing that is copied: it waits there until somebody writes
    arguments = ("backup", str(made(tmp_path / "second") / "data"), "--data-dir", str(server.data_dir))

    with (
        subprocess.Popen(
            command(*arguments), cwd=tmp_path, env=environment({}), stderr=subprocess.PIPE
        ) as running,
        stuck.open("wb"),  # once it is opened there
    ):
        begun = [path.name for path in (tmp_path / "second").iterdir()]
        running.send_signal(number)
        code = running.wait(SOON)

    assert [name.endswith(".partial") for name in begun] == [True]
    assert code == 128 + number
    assert list((tmp_path / "second").iterdir()) == []


def made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_what_is_damaged_is_found(start: Start, tmp_path: Path) -> None:
    server = start()
    with Client(server.url) as client:
        task = client.ended(client.submit("What is 2 + 2?")["task_id"])
    server.stop()
    copy = tmp_path / "copy"
    shutil.copytree(server.data_dir, copy)
    with closing(sqlite3.connect(copy / "alex.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM events WHERE event_type = 'task_completed'")

    result = run_alex("check", "--json", "--data-dir", str(copy), directory=tmp_path)

    told: Json = json.loads(result.stdout)
    assert (result.returncode, told["sound"]) == (1, False)
    assert check(server.data_dir).sound
    assert {finding["about"] for finding in told["findings"]} == {f"task {task['task_id']}"}


def test_what_ended_long_ago_is_removed_with_its_session_and_its_files(start: Start) -> None:
    server = start()
    with Client(server.url) as client:
        old = client.ended(
            client.submit("Create a file called a.txt with content: x", session_id="old")["task_id"]
        )
        young = client.ended(client.submit("What is 2 + 2?", session_id="young")["task_id"])
    server.stop()
    with closing(sqlite3.connect(server.data_dir / "alex.sqlite3")) as connection, connection:
        then = "2020-01-01T00:00:00.000000Z"
        connection.execute("UPDATE tasks SET completed_at = ? WHERE task_id = ?", (then, old["task_id"]))
        connection.execute("UPDATE sessions SET updated_at = ? WHERE session_id = 'old'", (then,))

    again = start(directory=server.data_dir.parent, settings={"STORE__KEEP_ENDED_DAYS": "30"})

    with Client(again.url) as client:
        until(lambda: client.http.get("/api/sessions/old").status_code == 404, "the session is removed")
        assert client.http.get(f"/api/tasks/{old['task_id']}").status_code == 404
        assert client.task(young["task_id"])["status"] == "completed"
        until(lambda: not list((again.data_dir / "workspaces").iterdir()), "the workspace is removed")
    assert check(again.data_dir).sound
    assert again.troubles() == []
