"""One directory, one server."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alex_actors.data_directory import DataDirectory, DirectoryError, remedy
from tests.unit.actor_fakes import WAIT

HOLDER = """
import sys
from pathlib import Path
from alex_actors.data_directory import DataDirectory
held = DataDirectory(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process_holds(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have a child process use a directory, until it is killed or the block is over."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        try:
            yield child
        finally:
            child.kill()


def test_a_directory_is_made_with_all_that_belongs_in_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"

    data = DataDirectory(path)

    assert data.path == path
    assert data.log_file.parent.is_dir()
    assert data.workspaces.is_dir()
    assert data.database.parent == path
    assert data.workspace(7) == data.workspaces / "7"
    data.release()


def test_what_is_in_it_is_for_its_owner_only(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "data")

    modes = {
        part: stat.S_IMODE(part.stat().st_mode)
        for part in (data.path, data.workspaces, data.log_file.parent, data.path / "lock")
    }

    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    data.release()


def test_a_second_server_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)

    with pytest.raises(DirectoryError) as raised:
        DataDirectory(tmp_path)

    assert str(raised.value) == (
        f"Another server (process {os.getpid()}) uses the data directory {tmp_path}. "
        "Stop it, or choose another with --data-dir."
    )
    data.release()


def test_a_server_in_another_process_is_refused_too(tmp_path: Path) -> None:
    with (
        another_process_holds(tmp_path) as child,
        pytest.raises(DirectoryError, match=rf"\(process {child.pid}\)"),
    ):
        DataDirectory(tmp_path)


def test_a_directory_is_free_once_it_is_released(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()

    again = DataDirectory(tmp_path)

    assert again.path == tmp_path
    again.release()


def test_a_directory_is_free_once_its_server_was_killed(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as child:
        child.kill()
        child.wait(WAIT)

        data = DataDirectory(tmp_path)

    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    data.release()


def test_a_process_that_the_server_starts_does_not_hold_the_directory(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    command = [sys.executable, "-c", "import sys; print('started', flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"started\n"
        data.release()

        again = DataDirectory(tmp_path)

        child.kill()
    again.release()


def test_a_refused_server_leaves_no_open_file_behind(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    before = next_descriptor()

    for _ in range(10):
        with pytest.raises(DirectoryError):
            DataDirectory(tmp_path)

    assert next_descriptor() == before
    data.release()


def next_descriptor() -> int:
    """Return the lowest number that no open file has."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


@pytest.mark.parametrize("below", ["file", "file/data"])
def test_a_directory_that_cannot_be_made_is_refused_with_what_to_do(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("a regular file")
    path = tmp_path / below

    with pytest.raises(DirectoryError) as raised:
        DataDirectory(path)

    assert str(raised.value).startswith(f"The data directory {path} cannot be used (")
    assert str(raised.value).endswith("Give this user write access to it, or choose another with --data-dir.")


def test_a_lock_that_is_no_file_is_refused_as_well(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()

    with pytest.raises(DirectoryError, match="cannot be used"):
        DataDirectory(tmp_path)


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_workspaces_without_their_database_are_not_taken_for_a_new_directory(tmp_path: Path, left: str) -> None:
    data = DataDirectory(tmp_path)
    data.workspace(1).mkdir()
    data.release()
    if left == "an empty file":
        data.database.touch()

    with pytest.raises(DirectoryError, match=r"alex.sqlite3 is missing or empty.*restore a backup.*To begin anew"):
        DataDirectory(tmp_path)

    data.database.write_bytes(b"which is not looked into here")
    DataDirectory(tmp_path).release()


@pytest.mark.parametrize("noted", ["when it was made", "by a start that found it"])
@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_database_that_is_gone_is_not_made_anew_though_there_is_no_workspace(
    tmp_path: Path, noted: str, left: str
) -> None:
    data = DataDirectory(tmp_path)
    if noted == "when it was made":
        data.note_database()
        data.release()
    else:
        data.release()
        data.database.write_bytes(b"which is not looked into here")
        DataDirectory(tmp_path).release()
        data.database.unlink()
    if left == "an empty file":
        data.database.touch()

    with pytest.raises(DirectoryError, match=r"alex.sqlite3 is missing or empty, but database-made says"):
        DataDirectory(tmp_path)

    (tmp_path / "database-made").unlink()
    DataDirectory(tmp_path).release()


def test_a_directory_that_has_only_tokens_and_a_log_is_a_new_one(tmp_path: Path) -> None:
    DataDirectory(tmp_path).release()
    (tmp_path / "tokens.json").write_text("{}")
    (tmp_path / "logs" / "alex.jsonl").write_text("{}\n")

    DataDirectory(tmp_path).release()

    assert not (tmp_path / "database-made").exists()


def test_the_same_directory_by_another_name_is_refused_as_well(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("data")
    data = DataDirectory(tmp_path / "data")

    for other in (tmp_path / "link", tmp_path / "data" / ".." / "data", tmp_path / "link" / "logs" / ".."):
        with pytest.raises(DirectoryError, match="Another server"):
            DataDirectory(other)

    data.release()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "Free some space on its disk"),
        (errno.EROFS, "Have its file system mounted for writing"),
        (errno.EACCES, "Give this user write access to it"),
    ],
)
def test_what_to_do_about_a_directory_depends_on_what_is_wrong_with_it(code: int, said: str) -> None:
    assert remedy(OSError(code, os.strerror(code))) == said
