"""Copies of directories: what is copied, what is left out, and what nobody can slip in."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import pytest

from alex_actors.trees import MOST_OPEN, TreeCopy, TreeTooLarge
from tests.unit.deep_trees import cleared, few_open_files, make_deep, ordinary_user

__all__ = ["cleared", "ordinary_user"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "notes" / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("Hello")
    (source / "notes" / "deep" / "b.bin").write_bytes(bytes(range(256)) * 5000)
    return source


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def content(root: Path) -> dict[str, bytes | None]:
    """Return what is below a directory: the bytes of files, None for directories."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def test_files_and_directories_are_copied_with_their_content(source: Path, target: Path) -> None:
    copying = TreeCopy(links=False, sync=True)

    copying.copy(source, target)

    assert content(target) == content(source)
    assert (copying.files, copying.bytes, copying.left_out_count) == (2, 5 + 1_280_000, 0)


def test_permissions_and_times_of_files_are_kept_but_no_special_bits(source: Path, target: Path) -> None:
    (source / "a.txt").chmod(0o4755)
    os.utime(source / "a.txt", ns=(1, 2_000_000_000))

    TreeCopy(links=False).copy(source, target)

    found = (target / "a.txt").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o755, 2_000_000_000)


@pytest.mark.parametrize("links", [False, True])
def test_no_symbolic_link_is_followed(source: Path, target: Path, tmp_path: Path, *, links: bool) -> None:
    (tmp_path / "secret").write_text("of somebody else")
    (source / "to-file").symlink_to(tmp_path / "secret")
    (source / "to-directory").symlink_to(tmp_path)
    copying = TreeCopy(links=links)

    copying.copy(source, target)

    there = sorted(path.name for path in target.iterdir())
    if links:
        assert there == ["a.txt", "notes", "to-directory", "to-file"]
        assert (target / "to-file").readlink() == tmp_path / "secret"
    else:
        assert there == ["a.txt", "notes"]
        assert copying.left_out == ["source/to-directory", "source/to-file"]


def test_a_tree_that_is_a_link_itself_is_not_copied(source: Path, target: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)

    TreeCopy(links=True).copy(tmp_path / "link", target)

    assert not target.exists()


def test_a_tree_that_is_not_there_makes_none(target: Path, tmp_path: Path) -> None:
    TreeCopy(links=True).copy(tmp_path / "nowhere", target)

    assert not target.exists()


def test_names_of_one_file_become_files_of_their_own(source: Path, target: Path) -> None:
    os.link(source / "a.txt", source / "b.txt")

    TreeCopy(links=False).copy(source, target)
    (target / "a.txt").write_text("changed")

    assert (target / "b.txt").read_text() == "Hello"
    assert (source / "a.txt").read_text() == "Hello"


def test_pipes_and_sockets_are_left_out_and_named(source: Path, target: Path) -> None:
    os.mkfifo(source / "notes" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
        copying = TreeCopy(links=True)
        copying.copy(source, target)

    assert copying.left_out == ["source/socket", "source/notes/pipe"]
    assert "notes/pipe" not in content(target)


def test_a_sparse_file_keeps_its_hole(source: Path, target: Path) -> None:
    with (source / "sparse").open("wb") as file:
        file.truncate(1024**3)
        file.seek(1024**2)
        file.write(b"in the middle")
    copying = TreeCopy(links=False, most_bytes=4 * 1024**2)

    copying.copy(source, target)

    with (target / "sparse").open("rb") as file:
        file.seek(1024**2)
        assert file.read(13) == b"in the middle"
    assert (target / "sparse").stat().st_size == 1024**3


def test_names_that_are_no_unicode_are_copied(source: Path, target: Path) -> None:
    name = os.path.join(os.fsencode(source), b"\xff\n")  # noqa: PTH118 - pathlib has no bytes
    with open(name, "wb") as file:  # noqa: PTH123 - as above
        file.write(b"odd")

    TreeCopy(links=False).copy(source, target)

    assert b"\xff\n" in os.listdir(os.fsencode(target))  # noqa: PTH208 - as above


@pytest.mark.usefixtures("cleared")
def test_a_tree_deeper_than_files_can_be_open_or_paths_be_long_is_copied_in_linear_time(
    source: Path, target: Path
) -> None:
    make_deep(source, 2500)
    copying, began = TreeCopy(links=False), time.process_time()

    with few_open_files(2 * MOST_OPEN + 20):
        copying.copy(source, target)

    assert copying.files == 2 + 2500 - 1  # a.txt is at the top already
    assert time.process_time() - began < 5  # from the root each time it takes ten times as long


@pytest.mark.usefixtures("cleared")
def test_what_stands_beside_a_deep_tree_is_copied_after_it(source: Path, target: Path) -> None:
    make_deep(source, 200)
    for path in [source, *sorted(source.rglob("d"))]:
        (path / "z").mkdir()
        (path / "z" / "after.txt").write_text(str(path.relative_to(source)))

    TreeCopy(links=False).copy(source, target)

    assert content(target) == content(source)


@pytest.mark.usefixtures("cleared")
@pytest.mark.parametrize(("levels", "fits"), [(100, True), (101, False), (1500, False)])
def test_a_tree_that_is_nested_deeper_than_is_allowed_is_not_copied(
    tmp_path: Path, target: Path, levels: int, *, fits: bool
) -> None:
    source = tmp_path / "deep"
    source.mkdir()
    make_deep(source, levels)
    copying = TreeCopy(links=False, most_levels=100)

    if fits:
        copying.copy(source, target)
    else:
        with pytest.raises(TreeTooLarge):
            copying.copy(source, target)

    assert copying.files == (levels if fits else 101)


@pytest.mark.parametrize(("most_bytes", "most_entries"), [(1000, None), (None, 3)])
def test_more_than_is_allowed_is_not_copied(
    source: Path, target: Path, most_bytes: int | None, most_entries: int | None
) -> None:
    with pytest.raises(TreeTooLarge):
        TreeCopy(links=False, most_bytes=most_bytes, most_entries=most_entries).copy(source, target)


def test_as_much_as_is_allowed_is_copied(source: Path, target: Path) -> None:
    TreeCopy(links=False, most_bytes=1_280_005, most_entries=4).copy(source, target)

    assert content(target) == content(source)


def test_what_may_not_be_read_is_left_out(ordinary_user: Path) -> None:
    source = ordinary_user / "source"
    (source / "closed").mkdir(parents=True)
    (source / "closed" / "a.txt").touch()
    (source / "closed").chmod(0)
    (source / "secret.txt").touch(mode=0)
    (source / "z.txt").touch()
    copying = TreeCopy(links=False)

    copying.copy(source, ordinary_user / "target")
    (source / "closed").chmod(0o700)

    assert copying.left_out == ["source/secret.txt", "source/closed"]
    assert sorted(content(ordinary_user / "target")) == ["closed", "z.txt"]


class Racing(TreeCopy):
    """Meets somebody who puts a link in the place of a directory, or of a file, once it was looked at."""

    def __init__(self, source: Path, secret: Path) -> None:
        super().__init__(links=False)
        self._source = source
        self._secret = secret

    def _entry(self, name: str, parts: tuple[str, ...], there: int, here: int) -> bool:
        is_directory = super()._entry(name, parts, there, here)
        if name == "notes":
            (self._source / "notes").rename(self._source / "moved")
            (self._source / "notes").symlink_to(self._secret)
        return is_directory

    def _file(self, name: str, there: int, here: int) -> bool:
        if name == "a.txt":
            (self._source / name).unlink()
            (self._source / name).symlink_to(self._secret / "key")
        return super()._file(name, there, here)


def test_a_link_that_takes_the_place_of_what_was_looked_at_is_not_followed(
    source: Path, target: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("of somebody else")

    Racing(source, secret).copy(source, target)

    assert content(target) == {"notes": None}
