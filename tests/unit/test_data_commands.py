"""The commands about a data directory: what they say, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alex_actors.data_directory import DataDirectory
from alex_http.data_commands import backup, check_data
from tests.unit.recorded_data import CREATED, WHOLE, WORK, add_session, add_task, make_database, run_sql


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = DataDirectory(tmp_path / "data")
    make_database(directory.database)
    key = add_session(directory.database, "home")
    add_task(directory.database, "task-a", key, *WHOLE)
    add_task(directory.database, "task-b", key, CREATED, *WORK, start=10)
    add_task(directory.database, "task-c", key, CREATED, start=20)
    directory.workspace(key).mkdir()
    (directory.workspace(key) / "a.txt").write_text("Hello")
    directory.release()
    return directory.path


def check(data: Path, *options: str) -> Result:
    return CliRunner().invoke(check_data, ["--data-dir", str(data), *options])


def test_a_sound_directory_is_told_so_with_what_would_be_recovered(data: Path) -> None:
    result = check(data)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{data}/alex.sqlite3: 1 session, 3 tasks, 10 events.",
        "The next start would resume 2 unfinished tasks:",
        "  task-b in home of local: running since 2026-11-22T12:00:11.000000Z, 4 events",
        "  task-c in home of local: waiting since 2026-11-22T12:00:20.000000Z, 1 event",
        "Sound.",
    ]


def test_what_the_next_start_does_is_as_it_is_configured(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEX_AGENTS__RECOVERY", "fail")

    assert "The next start would end as interrupted 2 unfinished tasks:" in check(data).stdout.splitlines()


def test_what_is_not_sound_is_told_and_shows_in_the_exit_code(data: Path) -> None:
    run_sql(data / "alex.sqlite3", "UPDATE tasks SET status = 'failed' WHERE place = 1")

    result = check(data)

    assert result.exit_code == 1
    told = "NOT SOUND: task task-a: 'status' is 'failed', and its events make it 'completed'"
    assert told in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == "1 finding."


def test_programs_get_json(data: Path) -> None:
    result = check(data, "--json")

    told = json.loads(result.stdout)
    assert (told["sound"], told["findings"], told["tasks"]) == (True, [], 3)
    assert [one["task_id"] for one in told["unfinished"]] == ["task-b", "task-c"]


def test_where_there_is_nothing_to_check_the_exit_code_is_another(tmp_path: Path) -> None:
    result = check(tmp_path)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "There is no database at" in result.stderr


def test_a_backup_says_what_is_in_it(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(backup, [str(tmp_path / "copy"), "--data-dir", str(data)])

    size = (tmp_path / "copy" / "alex.sqlite3").stat().st_size + 5
    assert result.exit_code == 0
    assert (
        result.stdout
        == f"{tmp_path}/copy has 1 session with 3 tasks, and 1 workspace with 1 file: {size:,} bytes.\n"
    )
    assert check(tmp_path / "copy").exit_code == 0


def test_a_backup_that_cannot_be_made_says_why(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(backup, [str(tmp_path), "--data-dir", str(data)])

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"alex: {tmp_path} exists. A backup is a new directory" in result.stderr


def test_a_wrong_setting_is_explained(data: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[store]\ndata_dirr = 'x'\n")

    result = CliRunner().invoke(check_data, ["--data-dir", str(data), "--config", str(tmp_path / "my.toml")])

    assert result.exit_code == 2
    assert "data_dirr" in result.stderr
