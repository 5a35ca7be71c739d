"""The workspace: no path leaves it, whatever it is made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alex_actors.ports import ToolError
from alex_actors.tools.limits import Quota
from alex_actors.tools.workspace import Workspace, shown, split_path

QUOTA = Quota(file_bytes=1_000, workspace_bytes=10**6, workspace_files=1_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    return outside


def read(root: Path, path: str) -> bytes:
    return Workspace(root).read(path, limit=100).data


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("a.txt", ["a.txt"]), ("a/b", ["a", "b"]), ("./a//b/", ["a", "b"]), (".", []), ("", []), ("a/../b", ["b"]),
        ("a/..", []), ("...", ["..."]), ("a\\b", ["a\\b"]), ("~/x", ["~", "x"]),
    ],
)  # fmt: skip
def test_a_path_is_split_into_names(path: str, parts: list[str]) -> None:
    assert split_path(path) == parts


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("..", "leads out"), ("../x", "leads out"), ("a/../../x", "leads out"), ("/etc/passwd", "is absolute"),
        ("a\0b", "NUL"), ("\ud800", "not valid Unicode"), ("a/" * 3000, "too long"),
    ],
)  # fmt: skip
def test_a_path_that_could_leave_is_refused(root: Path, path: str, reason: str) -> None:
    workspace = Workspace(root)

    with pytest.raises(ToolError, match=reason):
        workspace.read(path, limit=1)
    with pytest.raises(ToolError, match=reason):
        workspace.write(path, b"x")
    with pytest.raises(ToolError, match=reason):
        workspace.entries(path)


def test_what_is_written_is_read(root: Path) -> None:
    workspace = Workspace(root)

    workspace.write("notes/deep/a.txt", b"one")
    workspace.write("notes/deep/a.txt", b"two")

    assert read(root, "notes/deep/a.txt") == b"two"
    assert [path for path, _ in workspace.walk()] == ["notes", "notes/deep", "notes/deep/a.txt"]


def test_the_directory_is_made_by_the_first_write(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "x" / "y")

    before = workspace.entries()
    workspace.write("a", b"1")

    assert before == []
    assert [entry.name for entry in workspace.entries()] == ["a"]


def test_replacing_a_file_keeps_its_permissions(root: Path) -> None:
    script = root / "run.sh"
    script.write_text("old")
    script.chmod(0o755)

    Workspace(root).write("run.sh", b"new")

    assert script.stat().st_mode & 0o777 == 0o755


def test_a_link_to_a_file_outside_is_neither_read_nor_written(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "secret.txt")

    with pytest.raises(ToolError, match="symbolic link"):
        read(root, "link")
    with pytest.raises(ToolError, match="symbolic link"):
        Workspace(root).write("link", b"x")

    assert (outside / "secret.txt").read_text() == "secret"


def test_a_link_to_a_directory_outside_is_not_gone_through(root: Path, outside: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "link").symlink_to(outside)
    workspace = Workspace(root)

    for refused in (
        lambda: workspace.read("sub/link/secret.txt", limit=1),
        lambda: workspace.write("sub/link/new.txt", b"x"),
        lambda: workspace.entries("sub/link"),
        lambda: workspace.entry("sub/link/secret.txt"),
    ):
        with pytest.raises(ToolError, match="symbolic link"):
            refused()

    assert sorted(path.name for path in outside.iterdir()) == ["secret.txt"]
    assert [path for path, _ in workspace.walk()] == ["sub", "sub/link"]


def test_a_link_that_leads_nowhere_is_not_written_through(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "new.txt")

    with pytest.raises(ToolError, match="symbolic link"):
        Workspace(root).write("link", b"x")

    assert not (outside / "new.txt").exists()


def test_a_file_with_another_hard_link_is_not_written(root: Path, outside: Path) -> None:
    os.link(outside / "secret.txt", root / "a.txt")

    with pytest.raises(ToolError, match="other hard links"):
        Workspace(root).write("a.txt", b"x")

    assert (outside / "secret.txt").read_text() == "secret"


def test_special_files_are_neither_read_nor_written_nor_waited_for(root: Path) -> None:
    os.mkfifo(root / "fifo")

    with pytest.raises(ToolError, match="not a regular file"):
        read(root, "fifo")
    with pytest.raises(ToolError, match="not a regular file"):
        Workspace(root).write("fifo", b"x")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no.txt", "There is no 'no.txt' in the workspace."),
        ("sub", "'sub' is a directory, not a file."),
        ("sub/", "'sub/' names a directory, not a file."),
        (".", "'.' names a directory, not a file."),
        ("a.txt/b", "'a.txt/b' is not in a directory: a part of it is a file."),
        ("x" * 300, "File name too long."),
    ],
)
def test_what_cannot_be_read_is_explained(root: Path, path: str, reason: str) -> None:
    (root / "sub").mkdir()
    (root / "a.txt").write_text("x")

    with pytest.raises(ToolError) as raised:
        read(root, path)

    assert reason in str(raised.value)


def test_a_write_that_fails_leaves_nothing_behind(root: Path) -> None:
    (root / "sub").mkdir()

    with pytest.raises(ToolError, match="is a directory"):
        Workspace(root).write("sub", b"x")

    assert [path.name for path in root.iterdir()] == ["sub"]


def test_a_file_is_in_at_most_100_directories_and_what_is_refused_makes_none(root: Path) -> None:
    Workspace(root).write("d/" * 100 + "a.txt", b"x", quota=QUOTA)

    with pytest.raises(ToolError, match=r"has 101 directories; a file can be in up to 100"):
        Workspace(root).write("e/" * 101 + "a.txt", b"x", quota=QUOTA)

    assert [path.name for path in root.iterdir()] == ["d"]
    Workspace(root).write("still counted", b"x", quota=QUOTA)


def test_a_name_is_shown_in_one_printable_line() -> None:
    assert shown("a\nb\x1b[0m\udcff é") == "a\\nb\\x1b[0m\\udcff é"
