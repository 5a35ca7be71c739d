"""The workspace and the file tools against whoever wants out: races, odd names, special files, shell syntax."""

from __future__ import annotations

import ast
import asyncio
import ctypes
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from alex_actors import tools
from alex_actors.ports import Tool, ToolContext, ToolError
from alex_actors.tools import Workspace
from alex_actors.tools.files import file_read_tool, file_write_tool, list_files_tool
from alex_actors.tools.search import search_tool
from alex_actors.values import TaskId
from tests.unit.tool_limits import QUOTA, tools_without_a_sandbox

SECRET = "hunter2"
TIMES = 100
"""Successes of an operation in a race."""
MOST = 5_000
"""Attempts, so that a race that nobody loses ends, too."""
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # as in Linux' fcntl.h


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory with the same names as the one that a link to it takes the place of."""
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    for path in (outside / "a.txt", outside / "sub" / "a.txt"):
        path.write_text(SECRET)
    return outside


def run(tool: Tool, root: Path, **arguments: Any) -> str:  # JSON
    return asyncio.run(tool(arguments, ToolContext(TaskId("task-1"), root)))


def snapshot(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return what is below a directory, with times and content."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes() if path.is_file() else b"")
        for path in [directory, *directory.rglob("*")]
    }


@contextmanager
def swapped(inside: Path, outside: Path) -> Iterator[list[int]]:
    """Have what is inside and a link to what is outside change places all the time. Yields a count of it."""
    if sys.platform != "linux":
        pytest.skip("only Linux has a system call that does it without a gap")
    stop, aside, swaps = threading.Event(), inside.with_name("aside"), [0]
    aside.symlink_to(outside)
    rename = ctypes.CDLL(None, use_errno=True).renameat2

    def swap() -> None:
        while not stop.is_set():
            assert rename(AT_FDCWD, bytes(inside), AT_FDCWD, bytes(aside), RENAME_EXCHANGE) == 0
            swaps[0] += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()


OPERATIONS: dict[str, Callable[[Workspace], object]] = {
    "read": lambda workspace: workspace.read("d/a.txt", limit=100).data.decode(),
    "read deeper": lambda workspace: workspace.read("d/sub/a.txt", limit=100).data.decode(),
    "write": lambda workspace: workspace.write("d/new.txt", b"x"),
    "write deeper": lambda workspace: workspace.write("d/sub/a.txt", b"x", quota=QUOTA),
    "make": lambda workspace: workspace.write("d/made/new.txt", b"x"),
    "list": lambda workspace: [entry.size for entry in workspace.entries("d")],
    "look": lambda workspace: workspace.entry("d/a.txt"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_directory_that_is_swapped_for_a_link_all_the_time_never_leads_out(
    root: Path, outside: Path, operation: str
) -> None:
    (root / "d" / "sub").mkdir(parents=True)
    for path in (root / "d" / "a.txt", root / "d" / "sub" / "a.txt"):
        path.write_text("inside, which is longer")
    workspace, before = Workspace(root), snapshot(outside)
    seen: list[object] = []
    refused = 0

    with swapped(root / "d", outside) as swaps:
        for _ in range(MOST):
            try:
                seen.append(OPERATIONS[operation](workspace))
            except ToolError:
                refused += 1
            if len(seen) >= TIMES and refused >= TIMES // 10 and swaps[0] >= TIMES:
                break

    assert SECRET not in repr(seen)
    assert f"size={len(SECRET)}" not in repr(seen)
    assert snapshot(outside) == before


def test_a_walk_and_a_search_never_go_through_a_link_that_takes_a_directorys_place(
    root: Path, outside: Path
) -> None:
    (root / "d" / "sub").mkdir(parents=True)
    (root / "d" / "sub" / "a.txt").write_text("needle")
    workspace, found = Workspace(root), set[int]()
    searched: list[str] = []

    with swapped(root / "d", outside) as swaps:
        while swaps[0] < 10 * TIMES or len(searched) < TIMES:
            for _ in range(20):
                found |= {entry.size for _, entry in workspace.walk() if entry.is_file}
            searched.append(run(search_tool(), root, query=SECRET))

    assert found == {len("needle")}
    assert set(searched) == {"No line contains it."}


def test_a_file_that_is_swapped_for_a_link_all_the_time_is_never_read_nor_written_through(
    root: Path, outside: Path
) -> None:
    (root / "d").write_text("inside")
    workspace, before = Workspace(root), snapshot(outside)
    seen: list[bytes] = []
    refused = 0

    with swapped(root / "d", outside / "a.txt"):
        for _ in range(MOST):
            try:
                seen.append(workspace.read("d", limit=100).data)
            except ToolError:
                refused += 1

    assert set(seen) == {b"inside"}
    assert refused
    assert snapshot(outside) == before


def test_links_at_every_level_are_refused_by_every_tool(root: Path, outside: Path) -> None:
    (root / "x").mkdir()
    (root / "x" / "file").symlink_to(outside / "a.txt")
    (root / "x" / "directory").symlink_to(outside)
    (root / "x" / "loop").symlink_to(".")
    (root / "x" / "chain").symlink_to("directory")
    before = snapshot(outside)

    paths = [
        "x/file",
        "x/directory/a.txt",
        "x/directory/sub/a.txt",
        "x/chain/a.txt",
        "x/loop/file",
        "x/loop/loop/a",
    ]
    for path in paths:
        for tool, arguments in (
            (file_read_tool(), {}),
            (file_write_tool(quota=QUOTA), {"content": "x"}),
            (list_files_tool(), {}),
            (search_tool(), {"query": SECRET}),
        ):
            with pytest.raises(ToolError, match=r"symbolic link|not in a directory"):
                run(tool, root, path=path, **arguments)

    assert run(search_tool(), root, query=SECRET) == "No line contains it."
    assert "outside" not in run(list_files_tool(), root, recursive=True)
    assert snapshot(outside) == before


def test_a_file_that_only_has_another_name_in_the_workspace_is_read(root: Path) -> None:
    # A name of a file outside can only be made by a command without a sandbox, which could read it as well.
    (root / "a.txt").write_text("x")
    os.link(root / "a.txt", root / "b.txt")

    assert run(file_read_tool(), root, path="b.txt") == "x"


def test_what_is_no_regular_file_is_passed_over_and_never_waited_for(root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "device").symlink_to("/dev/zero")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(root / "socket"))

        for name, reason in (("fifo", "not a regular"), ("socket", "not a regular"), ("device", "symbolic link")):
            with pytest.raises(ToolError, match=reason):
                run(file_read_tool(), root, path=name)
            with pytest.raises(ToolError, match=reason):
                run(file_write_tool(quota=QUOTA), root, path=name, content="x")
        found = run(search_tool(), root, query="x")
        listed = run(list_files_tool(), root)

    assert found == "No line contains it."
    assert listed == "device (symbolic link)\nfifo (special file)\nsocket (special file)"


ODD_NAMES = {
    b"new\nline": "new\\nline",
    b"\x1b]0;owned\x07\x1b[2J": "\\x1b]0;owned\\x07\\x1b[2J",
    b"not-utf8-\xff\xfe": "not-utf8-\\udcff\\udcfe",
    "right-to-left-\u202e".encode(): "right-to-left-\\u202e",
    b"-rf": "-rf",
    b"x" * 255: "x" * 255,
}


def test_odd_names_are_shown_in_one_printable_line(root: Path) -> None:
    for name in ODD_NAMES:
        with open(os.path.join(os.fsencode(root), name), "w") as file:  # noqa: PTH123, PTH118 - pathlib knows no bytes
            file.write("needle\n")

    listed = run(list_files_tool(), root).split("\n")
    found = run(search_tool(), root, query="needle").split("\n")

    assert sorted(listed) == sorted(f"{shown} (7 bytes)" for shown in ODD_NAMES.values())
    assert sorted(found) == sorted(f"{shown}:1: needle" for shown in ODD_NAMES.values())
    assert all(line.isprintable() for line in (*listed, *found))


def test_a_tree_without_end_is_walked_to_a_hundred_levels(root: Path) -> None:
    level = os.open(root, os.O_RDONLY)
    for _ in range(500):
        os.mkdir("d", dir_fd=level)
        below = os.open("d", os.O_RDONLY, dir_fd=level)
        os.close(level)
        level = below
    os.close(level)

    listed = run(list_files_tool(), root, recursive=True).split("\n")

    assert len(listed) == 101
    assert run(search_tool(), root, query="x") == "No line contains it."


SHELL_SYNTAX = [
    "$(touch pwned)",
    "`touch pwned`",
    "a; touch pwned",
    "a && touch pwned",
    "| touch pwned",
    "'\"a",
    "-x *",
]


@pytest.mark.parametrize("name", SHELL_SYNTAX)
def test_a_name_in_the_syntax_of_a_shell_is_only_a_name(root: Path, name: str) -> None:
    box = tools_without_a_sandbox()

    run(box["file_write"], root, path=f"{name}/{name}", content="needle")

    assert run(box["file_read"], root, path=f"{name}/{name}") == "needle"
    assert run(box["list_files"], root, path=name) == f"{name} (6 bytes)"
    assert run(box["search"], root, query="needle", path=name) == f"{name}/{name}:1: needle"
    assert [path.name for path in root.iterdir()] == [name]


@pytest.mark.parametrize("name", SHELL_SYNTAX)
def test_a_workspace_of_such_a_name_is_only_a_working_directory(tmp_path: Path, name: str) -> None:
    root = tmp_path / name

    text = run(tools_without_a_sandbox()["shell"], root, command="pwd; ls -A")

    assert text == f"{root}\n"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_tool_but_the_shell_starts_a_process() -> None:
    modules = {path.stem: ast.parse(path.read_text()) for path in Path(tools.__file__).parent.glob("*.py")}

    starting = {
        name
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name in {"subprocess", "pty"} for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module in {"subprocess", "pty"})
        or (
            isinstance(node, ast.Attribute)
            and node.attr.startswith(
                ("create_subprocess", "system", "popen", "spawn", "exec", "posix_spawn", "fork")
            )
        )
    }

    assert starting == {"shell", "sandbox", "supervisor"}
