"""Backup: a copy that a server can start on, made beside one that works, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from alex_actors.backup import BackupError, back_up
from alex_actors.data_directory import DataDirectory
from alex_actors.store.check import check
from alex_actors.store.database import open_writer
from tests.unit.deep_trees import cleared, make_deep
from tests.unit.recorded_data import CREATED, WHOLE, WORK, add_session, add_task, make_database, run_sql

__all__ = ["cleared"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that a server uses: two sessions with files, tokens, a log."""
    directory = DataDirectory(tmp_path / "data")
    make_database(directory.database)
    add_task(directory.database, "task-a", add_session(directory.database, "one"), *WHOLE)
    add_task(directory.database, "task-b", add_session(directory.database, "two"), CREATED, *WORK)
    for key in (1, 2):
        directory.workspace(key).mkdir()
        (directory.workspace(key) / "a.txt").write_text(f"of {key}")
    (directory.path / "tokens.json").write_text("{}")
    directory.log_file.write_text("{}\n")
    return directory.path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# What is in it.


def test_a_server_can_start_on_the_copy_and_finds_all_that_was_there(data: Path, target: Path) -> None:
    made = back_up(data, target)

    copy = DataDirectory(target)
    open_writer(copy.database, synchronous="OFF").dispose()
    found = check(copy.database, copy.workspaces)
    assert (found.sound, found.sessions, found.tasks, found.events) == (True, 2, 2, 9)
    assert (copy.workspace(1) / "a.txt").read_text() == "of 1"
    assert (copy.path / "tokens.json").read_text() == "{}"
    assert (made.sessions, made.tasks, made.workspaces, made.files) == (2, 2, 2, 2)
    assert made.bytes == copy.database.stat().st_size + 8
    copy.release()


def test_it_has_what_is_committed_and_is_only_in_the_write_ahead_log_yet(data: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / "alex.sqlite3")) as server:
        server.execute("UPDATE tasks SET trace_id = 'new'")
        server.commit()
        server.execute("UPDATE tasks SET trace_id = 'not yet'")

        back_up(data, target)

    with contextlib.closing(sqlite3.connect(target / "alex.sqlite3")) as copy:
        assert copy.execute("SELECT DISTINCT trace_id FROM tasks").fetchall() == [("new",)]


def test_nobody_else_on_the_machine_reads_it(data: Path, target: Path) -> None:
    back_up(data, target)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (target, *sorted(target.iterdir()))]
    assert [oct(mode) for mode in modes] == ["0o700", "0o600", "0o600", "0o700"]


def test_it_has_no_log_no_lock_and_nothing_that_was_deleted(data: Path, target: Path) -> None:
    run_sql(data / "alex.sqlite3", "UPDATE tasks SET task = 'my secret'", "UPDATE tasks SET task = 'x'")

    back_up(data, target)

    assert names(target) == ["alex.sqlite3", "tokens.json", "workspaces"]
    assert b"my secret" not in (target / "alex.sqlite3").read_bytes()


def test_workspaces_of_sessions_that_it_does_not_have_are_not_in_it(data: Path, target: Path) -> None:
    for name in ("3", "99", "notes"):  # made since, of another database, of somebody
        (data / "workspaces" / name).mkdir()

    back_up(data, target)

    assert names(target / "workspaces") == ["1", "2"]


def test_links_in_workspaces_are_copied_as_links_and_what_is_no_file_is_told(data: Path, target: Path) -> None:
    (data / "workspaces" / "1" / "link").symlink_to("a.txt")
    os.mkfifo(data / "workspaces" / "1" / "pipe")

    made = back_up(data, target)

    assert (target / "workspaces" / "1" / "link").readlink() == Path("a.txt")
    assert (made.left_out, made.left_out_count) == (("1/pipe",), 1)


def test_where_no_token_was_made_there_is_none(data: Path, target: Path) -> None:
    (data / "tokens.json").unlink()

    back_up(data, target)

    assert names(target) == ["alex.sqlite3", "workspaces"]


# Whole, or not at all.


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_what_is_there_is_not_touched(data: Path, target: Path, kind: str) -> None:
    match kind:
        case "directory":
            target.mkdir()
        case "file":
            target.touch()
        case _:
            target.symlink_to("nowhere")

    with pytest.raises(BackupError, match="exists"):
        back_up(data, target)

    assert names(target.parent) == ["copy", "data"]


@pytest.mark.parametrize("way", ["copy", "workspaces/1/copy", "../link/copy", "../link/../data/copy"])
def test_a_target_in_the_data_directory_is_refused(data: Path, way: str) -> None:
    (data.parent / "link").symlink_to(data / "workspaces")
    before = sorted(data.rglob("*"))

    with pytest.raises(BackupError, match="in the data directory"):
        back_up(data, data / way)

    assert sorted(data.rglob("*")) == before


def test_a_target_beside_workspaces_that_are_elsewhere_is_refused(data: Path, tmp_path: Path) -> None:
    (data / "workspaces").rename(tmp_path / "large-disk")
    (data / "workspaces").symlink_to(tmp_path / "large-disk")

    with pytest.raises(BackupError, match="in the data directory"):
        back_up(data, tmp_path / "large-disk" / "1" / "copy")


@pytest.mark.usefixtures("cleared")
def test_workspaces_that_are_nested_deeply_are_in_it(data: Path, target: Path) -> None:
    make_deep(data / "workspaces" / "1", 300)

    made = back_up(data, target)

    assert (made.files, made.left_out_count) == (2 + 300 - 1, 0)  # a.txt is at the top already


def test_of_a_damaged_database_there_is_no_copy(data: Path, target: Path) -> None:
    run_sql(data / "alex.sqlite3", "DELETE FROM sessions WHERE session_key = 1")

    with pytest.raises(BackupError, match=r"a row of tasks refers to none.*alex check"):
        back_up(data, target)

    assert names(target.parent) == ["data"]


def test_where_there_is_no_database_there_is_no_copy(tmp_path: Path, target: Path) -> None:
    with pytest.raises(BackupError, match="no database"):
        back_up(tmp_path / "data", target)

    assert names(tmp_path) == []


def test_where_it_cannot_be_written_that_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"could not be written \(No such file or directory\)"):
        back_up(data, tmp_path / "nowhere" / "copy")


def test_what_fails_at_the_very_end_leaves_nothing(data: Path, target: Path) -> None:
    (data / "tokens.json").unlink()
    (data / "tokens.json").mkdir()

    with pytest.raises(BackupError, match="Is a directory"):
        back_up(data, target)

    assert names(target.parent) == ["data"]
