"""A disk that fails under a real server, and is mended: nothing acknowledged is lost, nothing ends for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import StartOn
from tests.faults.disk import Fault, FaultyDisk
from tests.live.client import TERMINAL, Client, types
from tests.live.process import Json, ServerProcess, run_alex, until
from tests.live.test_live_errors import assert_problem

AT_WORK = "Simulate 50 steps of 20 ms"
DISK_FAULTS = (Fault.FULL, Fault.SYNC_FAILS, Fault.WRITE_TEARS, Fault.WRITE_FAILS)


def _refused(client: Client) -> tuple[httpx.Response, Json]:
    """Check that the server takes nothing, and says so. Return the reply to a submit, and the store's health."""
    refused = client.try_submit("Echo lost", session_id="lost")
    health, ready = client.http.get("/health"), client.http.get("/ready")

    assert_problem(refused, 503, "store")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (health.status_code, ready.status_code) == (503, 503)
    component: Json = health.json()["components"]["store"]
    assert component["status"] == "down"
    return refused, component


def _went_on(client: Client, working: Json) -> None:
    """Check that a task that was at work while the disk failed was done as if nothing had happened."""
    done, events = client.ended(working["task_id"]), client.events(working["task_id"])

    assert (done["status"], done["total_iterations"], done["total_tokens"]) == ("completed", 50, 3000)
    iterations = [event["iteration"] for event in events if event["event_type"] == "iteration_complete"]
    assert iterations == list(range(1, 51))
    assert [name for name in types(events) if name in TERMINAL] == ["task_completed"]


def _is_well(client: Client) -> bool:
    return {client.http.get(path).status_code for path in ("/health", "/ready")} == {200}


def _is_intact(server: ServerProcess) -> bool:
    with closing(sqlite3.connect(server.data_dir / "alex.sqlite3")) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def test_a_server_whose_disk_fails_refuses_and_goes_on_when_it_is_mended(
    disk: FaultyDisk, start_on: StartOn
) -> None:
    server = start_on(disk)
    said = []
    with Client(server.url) as client:
        working = client.submit(AT_WORK)
        kept = [client.ended(client.submit("Echo before")["task_id"])]
        for fault in DISK_FAULTS:
            with disk.with_fault(fault):
                said.append(_refused(client)[1]["detail"])
                assert client.task(kept[0]["task_id"]) == kept[0]
            kept.append(client.submit(f"Echo {fault.name}", session_id="lost"))
            assert _is_well(client)

        _went_on(client, working)
        kept = [client.ended(task["task_id"]) for task in kept]
        assert {task["status"] for task in kept} == {"completed"}
        assert client.tasks()["total"] == 1 + len(kept)
    assert server.stop() == 0
    assert _is_intact(server)
    assert [part for part, text in zip(("full", "FSYNC", "I/O", "WRITE"), said, strict=True) if part in text] == [
        "full", "FSYNC", "I/O", "WRITE",
    ]  # fmt: skip
    again = start_on(disk)
    with Client(again.url) as client:
        assert [client.task(task["task_id"]) for task in kept] == kept


def test_writes_that_are_done_in_parts_are_no_failure(disk: FaultyDisk, start_on: StartOn) -> None:
    server = start_on(disk)
    disk.set(Fault.WRITE_IS_SHORT)

    with Client(server.url) as client:
        tasks = [client.submit("Simulate 5 steps of 1 ms") for _ in range(20)]

        assert {client.ended(task["task_id"])["status"] for task in tasks} == {"completed"}
    assert server.stop() == 0
    assert _is_intact(server)


# The database is taken away.


def test_a_database_that_is_moved_away_is_noticed_and_used_again_when_it_is_back(
    disk: FaultyDisk, start_on: StartOn
) -> None:
    server = start_on(disk)
    database = server.data_dir / "alex.sqlite3"
    with Client(server.url) as client:
        working, kept = client.submit(AT_WORK), client.ended(client.submit("Echo before")["task_id"])
        client.running(working["task_id"])
        aside = database.rename(database.with_name("aside"))

        _, health = _refused(client)
        assert "alex.sqlite3 is not where it was" in health["detail"]
        assert client.task(kept["task_id"]) == kept
        assert not database.exists()
        aside.rename(database)

        until(lambda: _is_well(client), "the store is well")
        _went_on(client, working)
    assert server.stop() == 0
    assert _is_intact(server)


def test_a_database_that_is_replaced_is_noticed_and_the_other_is_not_touched(
    disk: FaultyDisk, start_on: StartOn
) -> None:
    server = start_on(disk)
    database = server.data_dir / "alex.sqlite3"
    with Client(server.url) as client:
        client.ended(client.submit("Echo before")["task_id"])
        aside = database.rename(database.with_name("aside"))
        assert not _is_well(client)  # before anybody writes
        database.write_bytes(b"another")

        _, health = _refused(client)
        assert "replaced" in health["detail"]
        assert database.read_bytes() == b"another"
        aside.rename(database)

        assert client.ended(client.submit("Echo after")["task_id"])["result"]["answer"] == "after"


def test_a_database_that_is_damaged_is_noticed_and_used_again_when_it_is_mended(
    disk: FaultyDisk, start_on: StartOn
) -> None:
    server = start_on(disk)
    database = server.data_dir / "alex.sqlite3"
    with Client(server.url) as client:
        kept = client.ended(client.submit("Echo before")["task_id"])
        with closing(sqlite3.connect(database)) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        whole = database.read_bytes()
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (len(whole) - 4096))

        _, health = _refused(client)
        assert "malformed" in health["detail"]
        with database.open("r+b") as file:
            file.write(whole)

        until(lambda: _is_well(client), "the store is well")
        assert client.task(kept["task_id"]) == kept
        assert client.ended(client.submit("Echo after")["task_id"])["result"]["answer"] == "after"
    assert server.stop() == 0
    assert _is_intact(server)


# At the start.


@pytest.mark.parametrize(
    ("fault", "after", "said"),
    [
        (Fault.FULL, 0, "No space left on device). Free some space"),
        (Fault.FULL, 3, "the disk is full. Free some space"),
        (Fault.READ_ONLY, 0, "Read-only file system). Have its file system mounted for writing"),
        (Fault.SYNC_FAILS, 0, "the disk reports an error"),
    ],
)
def test_a_start_on_a_disk_that_fails_is_refused_in_a_sentence(
    disk: FaultyDisk, tmp_path: Path, fault: Fault, after: int, said: str
) -> None:
    disk.set(fault, after=after)
    server = ServerProcess(tmp_path, shell=disk.shell())

    code = server.wait()

    assert (code, server.stderr.count("\n")) == (2, 1)
    assert said in server.stderr
    disk.set(Fault.NONE)


@pytest.mark.parametrize("fault", [Fault.FULL, Fault.READ_ONLY])
def test_a_start_with_data_on_a_disk_that_fails_changes_nothing(
    disk: FaultyDisk, start_on: StartOn, tmp_path: Path, fault: Fault
) -> None:
    first = start_on(disk)
    with Client(first.url) as client:
        task = client.submit(AT_WORK)
    first.kill()

    with disk.with_fault(fault):
        second = ServerProcess(tmp_path, shell=disk.shell())
        code = second.wait()
    third = start_on(disk)

    assert (code, second.stderr.count("\n")) == (2, 1)
    with Client(third.url) as client:
        assert client.ended(task["task_id"])["status"] == "completed"


def test_a_database_that_is_gone_at_the_start_is_not_made_anew(
    disk: FaultyDisk, start_on: StartOn, tmp_path: Path
) -> None:
    first = start_on(disk)
    with Client(first.url) as client:
        text = "Create a file called a.txt with content: Hello"
        task = client.ended(client.submit(text, session_id="one")["task_id"])
    first.stop()
    database = first.data_dir / "alex.sqlite3"
    aside = database.rename(database.with_name("aside"))

    refused = run_alex("serve", "--port", "0", "--data-dir", str(first.data_dir), directory=tmp_path)
    aside.rename(database)
    second = start_on(disk)

    assert refused.returncode == 2
    assert "alex.sqlite3 is missing or empty" in refused.stderr
    with Client(second.url) as client:
        assert client.task(task["task_id"]) == task
        assert client.ended(client.submit("Read a.txt", session_id="one")["task_id"])["result"]["answer"]
