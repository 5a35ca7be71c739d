"""Workspaces that are copied for a fork: whole, within the limits, or not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from alex_actors.store.reader import StoreReader
from alex_actors.trees import TreeTooLarge
from alex_actors.workspaces import WorkspaceKeeper
from tests.unit.actor_fakes import CapturedLog
from tests.unit.deep_trees import cleared, make_deep
from tests.unit.store_under_test import StoreUnderTest
from tests.unit.test_workspaces_removed import names, workspace

__all__ = ["cleared"]

WAIT = 30.0


@pytest.fixture
def log() -> CapturedLog:
    return CapturedLog()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "workspaces"
    directory.mkdir()
    return directory


def copied(
    directory: Path, log: CapturedLog, key: int, new_key: int, *, most_bytes: int = 1_000, most_entries: int = 5
) -> Exception | None:
    """Have a workspace copied; return why it was not."""
    keeper = WorkspaceKeeper(directory=directory, log=log.logger, most_bytes=most_bytes, most_entries=most_entries)
    outcomes: SimpleQueue[Exception | None] = SimpleQueue()
    keeper.copy(key, new_key, outcomes.put)
    assert keeper.stop(timeout=WAIT)
    return outcomes.get(timeout=0)


def test_a_workspace_is_copied_with_all_that_is_in_it(directory: Path, log: CapturedLog) -> None:
    workspace(directory, "1")

    assert copied(directory, log, 1, 2) is None

    assert (directory / "2" / "notes" / "a.txt").read_text() == "Hello"
    assert (directory / "1" / "notes" / "a.txt").read_text() == "Hello"


def test_a_session_that_has_none_gets_none(directory: Path, log: CapturedLog) -> None:
    assert copied(directory, log, 1, 2) is None

    assert names(directory) == []


def test_links_are_not_in_the_copy(directory: Path, log: CapturedLog, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the server")
    (workspace(directory, "1") / "link").symlink_to(tmp_path / "secret")

    copied(directory, log, 1, 2)

    assert names(directory / "2") == ["notes"]


@pytest.mark.parametrize(("most_bytes", "most_entries"), [(4, 5), (1_000, 1)])
def test_of_one_that_is_too_large_nothing_is_left(
    directory: Path, log: CapturedLog, most_bytes: int, most_entries: int
) -> None:
    workspace(directory, "1")

    error = copied(directory, log, 1, 2, most_bytes=most_bytes, most_entries=most_entries)

    assert isinstance(error, TreeTooLarge)
    assert names(directory) == ["1"]


@pytest.mark.usefixtures("cleared")
def test_of_one_that_is_nested_too_deeply_nothing_is_left(directory: Path, log: CapturedLog) -> None:
    (directory / "1").mkdir()
    make_deep(directory / "1", 1500)

    error = copied(directory, log, 1, 2, most_bytes=10**9, most_entries=10**6)

    assert isinstance(error, TreeTooLarge)
    assert names(directory) == ["1"]


def test_a_copy_that_fails_says_why_and_leaves_nothing(directory: Path, log: CapturedLog) -> None:
    workspace(directory, "1")
    workspace(directory, "2")

    error = copied(directory, log, 1, 2)

    assert isinstance(error, FileExistsError)
    assert log.events() == ["workspace.not_copied"]
    assert names(directory) == ["1"]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[StoreReader]:
    """A store with one session, and a key that was used up for a fork that never came to be."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    under.make_session("one")
    under.run()
    with under.store.writer.transaction() as transaction:
        transaction.reserve(2)
    yield under.store.reader
    under.close()


def test_a_copy_whose_session_was_never_recorded_is_removed_at_the_start(
    directory: Path, log: CapturedLog, reader: StoreReader
) -> None:
    workspace(directory, "1")
    workspace(directory, "2")
    keeper = WorkspaceKeeper(directory=directory, log=log.logger, most_bytes=1_000, most_entries=5)

    keeper.sweep(reader)
    assert keeper.stop(timeout=WAIT)

    assert names(directory) == ["1"]


def test_one_that_fails_does_not_keep_the_next_from_being_copied(directory: Path, log: CapturedLog) -> None:
    workspace(directory, "1")
    keeper = WorkspaceKeeper(directory=directory, log=log.logger, most_bytes=1_000, most_entries=5)

    def fail(_error: Exception | None) -> None:
        raise RuntimeError

    done: Callable[[Exception | None], None] = fail
    keeper.copy(1, 2, done)
    keeper.copy(1, 3, lambda _error: None)
    assert keeper.stop(timeout=WAIT)

    assert names(directory) == ["1", "2", "3"]
    assert log.events() == ["workspaces.failed"]
