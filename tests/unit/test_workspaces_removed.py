"""Workspaces of sessions that are gone: removed one after the other, and at the next start what was left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.simulation.store import disk_error
from alex_actors.store.reader import StoreReader
from alex_actors.trees import MOST_OPEN, remove_tree
from alex_actors.workspaces import WorkspaceKeeper
from tests.unit.actor_fakes import CapturedLog
from tests.unit.deep_trees import cleared, few_open_files, make_deep, ordinary_user
from tests.unit.store_under_test import StoreUnderTest

__all__ = ["cleared", "ordinary_user"]

WAIT = 30.0


@pytest.fixture
def log() -> CapturedLog:
    return CapturedLog()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "workspaces"
    directory.mkdir()
    return directory


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A store with the sessions 1 and 2, of which the first is deleted."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    under.make_session("one")
    under.make_session("two")
    under.erase("one")
    under.run()
    yield under
    under.close()


def workspace(directory: Path, name: str) -> Path:
    """Make a workspace with something in it."""
    made = directory / name
    (made / "notes").mkdir(parents=True)
    (made / "notes" / "a.txt").write_text("Hello")
    return made


def names(directory: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(path.name for path in directory.iterdir())


def removed(directory: Path, log: CapturedLog, *keys: int) -> None:
    """Have workspaces removed, and wait until they are."""
    remover = WorkspaceKeeper(directory=directory, log=log.logger, most_bytes=1_000, most_entries=5)
    for key in keys:
        remover.discard(key)
    assert remover.stop(timeout=WAIT)


def swept(directory: Path, log: CapturedLog, reader: StoreReader) -> None:
    """Sweep, and wait until that is done."""
    remover = WorkspaceKeeper(directory=directory, log=log.logger, most_bytes=1_000, most_entries=5)
    remover.sweep(reader)
    assert remover.stop(timeout=WAIT)


def test_a_workspace_is_removed_with_all_that_is_in_it_and_no_other(directory: Path, log: CapturedLog) -> None:
    for name in ("1", "2", "11"):
        workspace(directory, name)

    removed(directory, log, 1)

    assert names(directory) == ["11", "2"]
    assert log.lines == []


def test_one_that_was_never_made_or_is_removed_already_is_no_failure(directory: Path, log: CapturedLog) -> None:
    workspace(directory, "1")

    removed(directory, log, 1, 1, 7)

    assert names(directory) == []
    assert log.lines == []


def test_nothing_is_removed_through_a_link(tmp_path: Path, directory: Path, log: CapturedLog) -> None:
    outside = workspace(tmp_path, "outside")
    (workspace(directory, "1") / "link").symlink_to(outside)
    (directory / "2").symlink_to(outside)

    removed(directory, log, 1, 2)

    assert (outside / "notes" / "a.txt").read_text() == "Hello"
    assert names(directory) == []
    assert log.lines == []


def test_a_workspace_that_cannot_be_removed_is_logged_and_the_next_is_removed(
    directory: Path, log: CapturedLog
) -> None:
    (directory / "1").write_text("No directory.")
    workspace(directory, "2")

    removed(directory, log, 1, 2)

    assert names(directory) == ["1"]
    (line,) = log.lines
    assert (line["event"], line["path"]) == ("workspace.not_removed", str(directory / "1"))


def test_directories_without_permissions_are_removed_too(
    tmp_path: Path, directory: Path, log: CapturedLog
) -> None:
    outside = workspace(tmp_path, "outside")
    outside.chmod(0o500)
    closed = workspace(directory, "1") / "notes"
    (directory / "1" / "link").symlink_to(outside)
    closed.chmod(0o000)

    removed(directory, log, 1)

    assert names(directory) == []
    assert outside.stat().st_mode & 0o777 == 0o500


def test_what_a_crash_left_is_removed_at_the_next_start(
    under: StoreUnderTest, directory: Path, log: CapturedLog
) -> None:
    for name in ("1", "2", "3", "notes", "01x"):
        workspace(directory, name)

    swept(directory, log, under.store.reader)

    # The first is of a session that is gone, the third of one that this database has not given yet.
    assert names(directory) == ["01x", "2", "3", "notes"]


@pytest.mark.usefixtures("cleared")
@pytest.mark.parametrize("fits", [True, False])
def test_a_tree_of_any_depth_is_removed(directory: Path, log: CapturedLog, *, fits: bool) -> None:
    made = directory / "1"
    made.mkdir()
    levels = 1500 if fits else 2500  # fits into a path, and is more than Python calls itself; does not
    make_deep(made, levels)

    removed(directory, log, 1)

    assert names(directory) == []
    assert log.lines == []


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_directories_without_permissions_are_removed_however_deep_they_are(ordinary_user: Path, mode: int) -> None:
    made = ordinary_user / "1"
    made.mkdir()
    make_deep(made, 120, mode=mode)

    remove_tree(made)

    assert names(ordinary_user) == []


@pytest.mark.usefixtures("cleared")
def test_of_a_tree_that_is_removed_few_directories_are_open_at_once(directory: Path, log: CapturedLog) -> None:
    made = directory / "1"
    made.mkdir()
    make_deep(made, 500)

    with few_open_files(MOST_OPEN + 20):
        removed(directory, log, 1)

    assert names(directory) == []


def test_a_store_that_cannot_be_read_leaves_everything_and_the_next_is_removed(
    under: StoreUnderTest, directory: Path, log: CapturedLog
) -> None:
    workspace(directory, "1")
    workspace(directory, "9")

    class Broken(StoreReader):
        def session_keys(self) -> set[int]:
            raise disk_error()

    remover = WorkspaceKeeper(directory=directory, log=log.logger, most_bytes=1_000, most_entries=5)
    remover.sweep(Broken(engine=under.store._readers))
    remover.discard(9)
    stopped = remover.stop(timeout=WAIT)

    assert stopped
    assert names(directory) == ["1"]
    assert [line["event"] for line in log.lines] == ["store.read_failed"]
