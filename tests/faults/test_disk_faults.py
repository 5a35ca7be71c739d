"""A disk that fails under a real server, and is mended: nothing acknowledged is lost, nothing ends for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.faults.conftest import StartOn, running_on
from tests.faults.disk import Fault, FaultyDisk
from tests.live.client import TERMINAL, Client, types
from tests.live.process import Json, ServerProcess, run_alex, until
from tests.live.test_live_errors import assert_problem

pytestmark = pytest.mark.timeout(180)  # a start takes a second of CPU, and there may be little of it

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


@pytest.fixture(scope="module")
def shared(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyDisk, ServerProcess]]:
    """A server for all whose faults are mended in the end, and its disk."""
    directory = tmp_path_factory.mktemp("shared")
    disk = FaultyDisk(shim, directory)
    with running_on(disk, directory) as server:
        yield disk, server
        assert server.stop() == 0
    assert _is_intact(server)


@pytest.fixture
def client(shared: tuple[FaultyDisk, ServerProcess]) -> Iterator[Client]:
    """A client of that server."""
    with Client(shared[1].url) as client:
        yield client
        assert _is_well(client)


@pytest.fixture
def database(shared: tuple[FaultyDisk, ServerProcess]) -> Path:
    """The database of that server."""
    return shared[1].data_dir / "alex.sqlite3"


def test_writes_that_are_done_in_parts_are_no_failure(
    shared: tuple[FaultyDisk, ServerProcess], client: Client
) -> None:
    with shared[0].with_fault(Fault.WRITE_IS_SHORT):
        tasks = [client.submit("Simulate 5 steps of 1 ms") for _ in range(20)]

        ended = [client.ended(task["task_id"])["status"] for task in tasks]

    assert set(ended) == {"completed"}


# The database is taken away.


def test_a_database_that_is_moved_away_is_noticed_and_used_again_when_it_is_back(
    client: Client, database: Path
) -> None:
    working, kept = client.submit(AT_WORK), client.ended(client.submit("Echo before")["task_id"])
    client.running(working["task_id"])
    aside = database.rename(database.with_name("aside"))

    _, health = _refused(client)
    read, made_anew = client.task(kept["task_id"]), database.exists()
    aside.rename(database)

    assert "alex.sqlite3 is not where it was" in health["detail"]
    assert (read, made_anew) == (kept, False)
    until(lambda: _is_well(client), "the store is well")
    _went_on(client, working)


def test_a_database_that_is_replaced_is_noticed_and_the_other_is_not_touched(
    client: Client, database: Path
) -> None:
    client.ended(client.submit("Echo before")["task_id"])
    aside = database.rename(database.with_name("aside"))
    well = _is_well(client)  # before anybody writes
    database.write_bytes(b"another")

    _, health = _refused(client)
    other = database.read_bytes()
    aside.rename(database)

    assert not well
    assert "replaced" in health["detail"]
    assert other == b"another"
    assert client.ended(client.submit("Echo after")["task_id"])["result"]["answer"] == "after"


def test_a_database_that_is_damaged_is_noticed_and_used_again_when_it_is_mended(
    client: Client, database: Path
) -> None:
    kept = client.ended(client.submit("Echo before")["task_id"])
    with closing(sqlite3.connect(database)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    whole = database.read_bytes()
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (len(whole) - 4096))

    _, health = _refused(client)
    with database.open("r+b") as file:
        file.write(whole)

    assert "malformed" in health["detail"]
    until(lambda: _is_well(client), "the store is well")
    assert client.task(kept["task_id"]) == kept
    assert client.ended(client.submit("Echo after")["task_id"])["result"]["answer"] == "after"


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


def test_a_start_with_data_on_a_disk_that_fails_changes_nothing(
    disk: FaultyDisk, start_on: StartOn, tmp_path: Path
) -> None:
    first = start_on(disk)
    with Client(first.url) as client:
        task = client.submit(AT_WORK)
    first.kill()

    refused = []
    for fault in (Fault.FULL, Fault.READ_ONLY):
        with disk.with_fault(fault):
            server = ServerProcess(tmp_path, shell=disk.shell())
            refused.append((server.wait(), server.stderr.count("\n")))
    last = start_on(disk)

    assert refused == [(2, 1), (2, 1)]
    with Client(last.url) as client:
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
