"""What tools may take: processes, memory, CPU and files of commands, and the quota of a workspace."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from alex_actors.ports import Tool, ToolContext, ToolError
from alex_actors.tools import Quota, Sandbox, ShellCommands, ShellLimits, Workspace
from alex_actors.tools.files import file_write_tool
from alex_actors.tools.shell import shell_tool
from alex_actors.tools.supervisor import MOST, Watch, least_free, usage
from alex_actors.values import TaskId
from tests.unit.tool_limits import MIB, QUOTA, limits, sandbox_of_this_machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of all that a command started")

LONG = f"sleep 601.{os.getpid()}"
GIB = 1024 * MIB
TRIMMED = (
    "[The workspace had more than 1,048,576 bytes. The largest files that the command had made or enlarged were "
    "removed, until it had not.]"
)
SMALL = Quota(file_bytes=MIB, workspace_bytes=MIB, workspace_files=20)


@pytest.fixture(params=["without a sandbox", "bubblewrap"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sandbox | None:
    if request.param == "bubblewrap":
        return sandbox_of_this_machine(tmp_path_factory.getbasetemp())
    return None


def call(tool: Tool, root: Path, arguments: Mapping[str, Any]) -> str:  # JSON
    return asyncio.run(tool(arguments, ToolContext(TaskId("task-1"), root)))


def run(
    root: Path,
    command: str,
    *,
    sandbox: Sandbox | None = None,
    most: ShellLimits | None = None,
    quota: Quota = QUOTA,
) -> str:
    tool = shell_tool(
        limits=most or limits(), quota=quota, path=os.defpath, sandbox=sandbox, commands=ShellCommands()
    )
    return call(tool, root, {"command": command})


def write(root: Path, path: str, size: int, *, quota: Quota = SMALL) -> str:
    return call(file_write_tool(quota=quota), root, {"path": path, "content": "x" * size})


def sleepers() -> list[int]:
    """Return the processes of LONG that are alive."""
    return [one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == LONG.split()]


@contextmanager
def watched(root: Path, free: list[int]) -> Iterator[Watch]:
    """Yield what watches a command, on a disk with so many free bytes; each look at the time is a second later."""
    seconds = itertools.count()
    most = {"workspace_bytes": MIB, "workspace_files": 20, "processes": 9999, "memory_bytes": 999 * GIB}
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Watch(most, workspace=directory, free=lambda _: (free[0], 1000 * GIB), now=lambda: next(seconds))
    finally:
        os.close(directory)


# Commands.


def test_a_command_with_too_many_processes_is_killed(tmp_path: Path, sandbox: Sandbox | None) -> None:
    command = f"echo begun; for i in $(seq 40); do {LONG} & done; wait"

    with pytest.raises(ToolError) as raised:
        run(tmp_path, command, sandbox=sandbox, most=limits(processes=20))

    assert str(raised.value) == (
        "The command was killed: it had more than 20 processes and threads. Its output until then:\nbegun\n"
    )
    assert sleepers() == []


def test_processes_that_hide_in_sessions_of_their_own_count_and_are_killed(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    command = f"for i in $(seq 40); do setsid -f {LONG}; done; {LONG}"

    with pytest.raises(ToolError, match="more than 20 processes"):
        run(tmp_path, command, sandbox=sandbox, most=limits(processes=20))

    assert sleepers() == []


def test_a_process_in_a_session_of_its_own_does_not_outlive_its_command(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    text = run(tmp_path, f"setsid -f {LONG}; echo started", sandbox=sandbox)

    assert text == "started\n"
    assert sleepers() == []


def test_one_process_cannot_have_more_memory_than_the_command_may(tmp_path: Path, sandbox: Sandbox | None) -> None:
    # tail keeps in memory what it is going to show.
    command = "head -c 200M /dev/zero | tail -c 200M | wc -c"

    text = run(tmp_path, command, sandbox=sandbox, most=limits(memory_bytes=64 * MIB))

    assert text == "tail: memory exhausted\n0\n"


def test_a_command_whose_processes_have_too_much_memory_together_is_killed(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    one = f"(head -c 40M /dev/zero; {LONG}) | tail -c 40M > /dev/null &"

    with pytest.raises(ToolError, match="killed: it took more than 67,108,864 bytes of memory"):
        run(tmp_path, f"{one} {one} {one} wait", sandbox=sandbox, most=limits(memory_bytes=64 * MIB))

    assert sleepers() == []


def test_a_command_that_only_computes_is_killed(tmp_path: Path) -> None:
    text = run(tmp_path, "while :; do :; done", most=limits(cpu_seconds=1))

    assert text.startswith("exit code 152: killed by signal 24")


def test_the_open_files_of_a_command_are_limited(tmp_path: Path, sandbox: Sandbox | None) -> None:
    most = msgspec.structs.replace(limits(), open_files=64)

    assert run(tmp_path, "ulimit -n; ulimit -Hn; ulimit -c", sandbox=sandbox, most=most) == "64\n64\n0\n"


def test_the_limits_are_those_of_the_command_and_not_of_this_process(tmp_path: Path) -> None:
    before = psutil.Process().rlimit(psutil.RLIMIT_NOFILE)

    run(tmp_path, "true")

    assert psutil.Process().rlimit(psutil.RLIMIT_NOFILE) == before


# The workspace, as commands fill it.


def test_a_command_cannot_write_a_larger_file_than_the_workspace_may_have(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    text = run(tmp_path, "head -c 3M /dev/zero > a", sandbox=sandbox, quota=SMALL)

    assert "exit code 153: killed by signal 25" in text
    assert (tmp_path / "a").stat().st_size == MIB


def test_a_command_that_fills_the_workspace_is_killed(tmp_path: Path, sandbox: Sandbox | None) -> None:
    command = f"for i in 1 2 3; do head -c 600K /dev/zero > $i; done; {LONG}"

    with pytest.raises(ToolError, match="the workspace had more than 1,048,576 bytes, or more than 20 files"):
        run(tmp_path, command, sandbox=sandbox, quota=SMALL)


@pytest.mark.parametrize(
    "fill",
    [
        "for i in 1 2 3 4; do fallocate -l 600K $i; done",
        "mkdir a; for i in 1 2 3 4; do fallocate -l 600K a/$i; ln a/$i $i; done; chmod 0 a",
        "fallocate -l 600K old/1; fallocate -l 600K old/2",
    ],
)
def test_what_a_command_has_made_beyond_the_quota_when_it_ends_is_removed(
    tmp_path: Path, sandbox: Sandbox | None, fill: str
) -> None:
    Workspace(tmp_path).write("old/large", b"x" * 700_000)
    Workspace(tmp_path).write("old/1", b"x")

    try:
        text = run(tmp_path, f"mv old/large kept; chmod 700 kept; {fill}", sandbox=sandbox, quota=SMALL)
    except ToolError as killed:  # on a busy machine it is seen before it ends: what is left is the same
        text = str(killed)

    assert text.endswith(TRIMMED)
    assert (tmp_path / "kept").stat().st_size == 700_000
    assert counted(tmp_path)[0] <= MIB


def test_of_a_command_that_is_killed_no_more_is_left_than_the_workspace_may_have(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    command = f"for i in 1 2 3 4; do fallocate -l 600K $i; done; {LONG}"

    with pytest.raises(ToolError, match="killed: the workspace had more than 1,048,576 bytes") as raised:
        run(tmp_path, command, sandbox=sandbox, quota=SMALL)

    assert str(raised.value).endswith(TRIMMED)
    assert counted(tmp_path)[0] <= MIB


def test_files_that_are_open_and_have_no_name_any_more_count(tmp_path: Path, sandbox: Sandbox | None) -> None:
    one = "head -c 600K /dev/zero >&"
    command = f"exec 3> a 4> b; rm a b; {one}3; {one}4; {LONG}"

    with pytest.raises(ToolError, match="killed: the workspace had more than 1,048,576 bytes"):
        run(tmp_path, command, sandbox=sandbox, quota=SMALL)

    assert list(tmp_path.iterdir()) == []


def test_a_command_is_stopped_for_the_free_space_of_the_disk(tmp_path: Path) -> None:
    free = [100 * GIB]
    with watched(tmp_path, free) as watch:
        free[0] -= GIB
        enough = watch.exceeded()
        free[0] -= 1
        too_little = watch.exceeded()

    assert (enough, too_little) == ("", "disk")


@pytest.mark.parametrize(
    ("free", "disk", "least"),
    [
        (100 * GIB, 200 * GIB, 99 * GIB),
        (GIB + 5, 200 * GIB, GIB),
        (GIB - 5, 200 * GIB, GIB - 5 - MIB),
        (GIB // 2, 10 * GIB, GIB // 2),
    ],
    ids=["much", "just above the reserve", "below it", "a small disk"],
)
def test_a_command_leaves_a_reserve_free_or_takes_little_where_there_is_none(
    free: int, disk: int, least: int
) -> None:
    assert least_free(free, disk=disk, quota=MIB) == least


def test_a_file_of_a_command_can_grow_by_what_is_left_of_the_quota(tmp_path: Path) -> None:
    for name, size in (("a", 10), ("b", 20)):
        Workspace(tmp_path).write(name, b"x" * size * 4096)

    with watched(tmp_path, [100 * GIB]) as watch:
        assert watch.file_bytes == MIB - 10 * 4096


def test_in_a_full_workspace_nothing_is_written_until_something_is_deleted(
    tmp_path: Path, sandbox: Sandbox | None
) -> None:
    filled = run(tmp_path, "for i in $(seq 30); do : > big$i; done", sandbox=sandbox, quota=SMALL)
    with pytest.raises(ToolError, match="There is no room for"):
        write(tmp_path, "a.txt", 1)
    more = run(tmp_path, "echo more > more.txt", sandbox=sandbox, quota=SMALL)
    deleted = run(tmp_path, "rm -r big* more.txt; ls", sandbox=sandbox, quota=SMALL)
    written = write(tmp_path, "a.txt", 1)

    note = (
        "[The workspace has more than 1,048,576 bytes, or more than 20 files and directories. "
        "Delete some: nothing more can be written.]"
    )
    assert filled == f"(no output)\n{note}"
    assert more.endswith(note)
    assert (deleted, written) == ("(no output)", "Wrote 1 byte to a.txt.")


# The workspace, as the file tools fill it.


def test_a_file_that_does_not_fit_into_the_workspace_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", 700_000)

    with pytest.raises(
        ToolError, match=r"no room for 700,000 bytes: .* may have 1,048,576 on the disk, and has 7"
    ):
        write(tmp_path, "b.txt", 700_000)

    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_one_file_more_than_there_may_be_is_refused_but_one_that_is_there_can_be_replaced(tmp_path: Path) -> None:
    for number in range(18):
        write(tmp_path, f"{number}.txt", 1)

    with pytest.raises(ToolError, match="may have 20 files and directories, and has 18"):
        write(tmp_path, "a/b/c.txt", 1)
    write(tmp_path, "a/b.txt", 1)
    with pytest.raises(ToolError, match="has 20"):
        write(tmp_path, "c.txt", 1)

    assert write(tmp_path, "a/b.txt", 2) == "Wrote 2 bytes to a/b.txt."


def test_a_file_that_is_larger_than_one_may_be_is_refused(tmp_path: Path) -> None:
    quota = msgspec.structs.replace(SMALL, file_bytes=1024)

    with pytest.raises(ToolError, match=r"has 1,025 bytes; a file can have up to 1,024\."):
        write(tmp_path, "a.txt", 1025, quota=quota)

    assert write(tmp_path, "a.txt", 1024, quota=quota) == "Wrote 1,024 bytes to a.txt."


# What is counted.


def counted(root: Path, *, entries: int = 1000) -> tuple[int, int]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return usage(descriptor, entries=entries)
    finally:
        os.close(descriptor)


def test_what_is_on_the_disk_is_counted_once_and_through_no_link(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for directory in (root, outside):
        directory.mkdir()
    Workspace(outside).write("large", b"x" * 500_000)
    Workspace(root).write("a", b"x" * 50_000)
    os.link(root / "a", root / "same")
    (root / "link").symlink_to(outside)
    with (root / "hole").open("wb") as file:
        file.truncate(10**12)

    size, entries = counted(root)

    assert entries == 4
    assert 50_000 <= size <= 65_536


def test_what_cannot_be_counted_is_too_much(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    deep.joinpath(*["d"] * 110).mkdir(parents=True)
    many = tmp_path / "many"
    many.mkdir()
    for number in range(11):
        (many / str(number)).touch()

    assert counted(deep)[0] == MOST
    assert counted(many, entries=10)[0] == MOST
    assert counted(many, entries=11) == (0, 11)


def test_counting_leaves_no_file_open(tmp_path: Path) -> None:
    tmp_path.joinpath(*["d"] * 110).mkdir(parents=True)
    before = psutil.Process().num_fds()

    counted(tmp_path)

    assert psutil.Process().num_fds() == before
