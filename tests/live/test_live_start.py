"""Starting: what is said and where, and every start that is refused, with exit code 2 and what to do."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path

import httpx
import pytest

import alex_http
from alex_actors.store.schema import APPLICATION_ID
from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import ServerProcess, run_alex, until


def _refused(directory: Path, *arguments: str, settings: dict[str, str] | None = None) -> str:
    """Check that a start is refused in the way of all, and return the line that says why."""
    result = run_alex("serve", *arguments, directory=directory, settings=settings)

    assert result.returncode == 2
    assert result.stderr.startswith("alex: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr + result.stdout
    return result.stderr


def test_it_tells_its_version(tmp_path: Path) -> None:
    result = run_alex("--version", directory=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    assert alex_http.__version__ in result.stdout


def test_it_says_where_it_listens_on_stderr_and_logs_json_on_stdout(start: Start, tmp_path: Path) -> None:
    few = {"LIMITS__MAX_STREAMS": "1000", "SERVER__MAX_CONNECTIONS": "1000"}  # which any system has files for
    server = start(settings=few)

    with Client(server.url) as client:

        def well() -> httpx.Response | None:
            """Return what it says; None if a thread has had no core for a second: the machine may be busy."""
            reply = client.http.get("/health")
            return reply if reply.json()["status"] == "ok" else None

        health, ready = until(well, "all is well"), client.http.get("/ready")
        client.http.get("/api/tasks")
    exit_code = server.stop()

    assert exit_code == 0
    assert server.stderr == f"Alex Runtime {alex_http.__version__} listens on {server.url}\n"
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert health.json()["version"] == alex_http.__version__
    assert {part["status"] for part in health.json()["components"].values()} == {"ok"}
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    logged = [json.loads(line) for line in server.stdout.splitlines()]
    assert logged == server.log()
    events = [line["event"] for line in logged]
    first, second, *rest = events
    assert (first, second) == ("server.starting", "tools.sandbox")
    assert rest == ["server.listening", "http.request", "server.stopping", "server.stopped"]
    assert logged[2] | {"url": server.url, "data_dir": str(server.data_dir)} == logged[2]
    assert {path.name for path in server.data_dir.iterdir()} >= {"alex.sqlite3", "lock", "logs", "workspaces"}


def test_nobody_else_can_read_what_it_keeps(server: ServerProcess) -> None:
    readable = [path for path in (server.data_dir, *server.data_dir.rglob("*")) if path.stat().st_mode & 0o077]

    # What a directory that is closed to others has in it is closed to them as well.
    assert server.data_dir not in readable
    assert not {path.name for path in readable} & {"alex.sqlite3", "alex.jsonl", "lock"}


def test_head_is_answered_like_get_without_the_body(client: Client) -> None:
    task_id = client.ended(client.submit("Echo x")["task_id"])["task_id"]

    for path in ("/health", "/ready", "/api/tasks", f"/api/tasks/{task_id}", "/api/sessions", "/api/tasks/none"):
        get, head = client.http.get(path), client.http.head(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
        if path not in ("/health", "/api/tasks", "/api/sessions"):
            assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_the_command_line_beats_the_environment_which_beats_the_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "alex.toml").write_text('[log]\nlevel = "error"\n[limits]\nmax_unfinished_tasks = 1\n')

    server = start("--log-level", "info", settings={"LIMITS__MAX_UNFINISHED_TASKS": "3", "LOG__LEVEL": "warning"})

    with Client(server.url) as client:
        replies = [client.try_submit("Simulate 1 step of 30 s").status_code for _ in range(4)]
    assert replies == [201, 201, 201, 429]
    assert len(server.log("http.request")) == 4


# Starts that are refused.


def test_a_second_server_on_the_same_directory(server: ServerProcess, tmp_path: Path) -> None:
    line = _refused(tmp_path, "--port", "0", "--data-dir", str(server.data_dir))

    assert str(server.data_dir) in line
    assert f"process {server.process.pid}" in line
    assert "--data-dir" in line


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        line = _refused(tmp_path, "--port", str(port), "--data-dir", "data")

    assert f"127.0.0.1:{port}" in line
    assert "another port" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach(tmp_path: Path, host: str) -> None:
    line = _refused(tmp_path, "--host", host, "--port", "0", "--data-dir", "data")

    assert host in line
    assert "127.0.0.1" in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "settings", "names"),
    [
        (["--port", "70000"], {}, ["server.port", "70000", "command line", "65535"]),
        (["--log-level", "loud"], {}, ["log.level", "'loud'", "'debug'"]),
        ([], {"LIMITS__MAX_UNFINISHED_TASKS": "many"}, ["max_unfinished_tasks", "'many'", "ALEX_LIMITS__"]),
        ([], {"LIMITS__MAX_TASKS": "5"}, ["ALEX_LIMITS__MAX_TASKS", "did you mean"]),
        (["--config", "none.toml"], {}, ["none.toml", "no such file"]),
    ],
)
def test_a_setting_that_is_wrong(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], names: list[str]
) -> None:
    line = _refused(tmp_path, "--data-dir", "data", *arguments, settings=settings)

    assert [name for name in names if name not in line] == []
    assert not (tmp_path / "data").exists()


def test_an_option_that_is_no_number(tmp_path: Path) -> None:
    result = run_alex("serve", "--port", "http", directory=tmp_path)

    assert result.returncode == 2
    assert "'http'" in result.stderr


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")

    line = _refused(tmp_path, "--port", "0", "--data-dir", "data")

    assert "--data-dir" in line
    assert (tmp_path / "data").read_text() == "mine"


def test_a_data_directory_that_no_user_can_make(tmp_path: Path) -> None:
    line = _refused(tmp_path, "--port", "0", "--data-dir", "/proc/alex")

    assert "/proc/alex" in line


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "data" / "logs" / "alex.jsonl").mkdir(parents=True)

    line = _refused(tmp_path, "--port", "0", "--data-dir", "data")

    assert "alex.jsonl" in line


def _database(directory: Path, *statements: str) -> Path:
    path = directory / "data" / "alex.sqlite3"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize(
    ("statements", "names"),
    [
        (["CREATE TABLE recipes (name)"], "another program"),
        ([f"PRAGMA application_id={APPLICATION_ID}", "PRAGMA user_version=999"], "schema version 999"),
    ],
    ids=["foreign", "newer"],
)
def test_a_database_that_is_not_of_this_version(tmp_path: Path, statements: list[str], names: str) -> None:
    path = _database(tmp_path, *statements)
    before = path.read_bytes()

    line = _refused(tmp_path, "--port", "0", "--data-dir", "data")

    assert names in line
    assert "--data-dir" in line
    assert path.read_bytes()[100:] == before[100:]


def test_a_database_that_is_damaged(start: Start, tmp_path: Path) -> None:
    first = start()
    first.stop()
    path = first.data_dir / "alex.sqlite3"
    pages = path.read_bytes()
    path.write_bytes(b"\xde\xad" * (len(pages) // 2))

    line = _refused(tmp_path, "--port", "0", "--data-dir", "data")

    assert "no intact SQLite database" in line


def test_a_database_that_another_program_has_locked(tmp_path: Path) -> None:
    path = _database(tmp_path, "PRAGMA journal_mode=WAL")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    line = _refused(tmp_path, "--port", "0", "--data-dir", "data")

    holder.close()
    assert "locked by another program" in line


def test_a_refused_start_leaves_the_directory_free(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _refused(tmp_path, "--port", str(taken.getsockname()[1]), "--data-dir", "data")

    server = start()

    assert server.stop() == 0
