"""The tool file_edit, on real files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from alex_actors.ports import ToolContext, ToolError
from alex_actors.tools import Quota
from alex_actors.tools.edit import MAX_DIFF, file_edit_tool
from alex_actors.values import TaskId
from tests.unit.tool_limits import MIB, QUOTA


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


def edit(root: Path, old: str, new: str, *, path: str = "a.txt", quota: Quota = QUOTA, **more: Any) -> str:  # JSON
    tool = file_edit_tool(quota=quota)
    context = ToolContext(TaskId("task-1"), root)
    return asyncio.run(tool({"path": path, "old": old, "new": new, **more}, context))


def error_of(root: Path, old: str, new: str = "x", **more: Any) -> str:  # as edit() has them
    with pytest.raises(ToolError) as raised:
        edit(root, old, new, **more)
    return str(raised.value)


def test_a_text_is_replaced_and_the_difference_shown(root: Path) -> None:
    (root / "a.txt").write_text("".join(f"line {n}\n" for n in range(1, 21)))

    result = edit(root, "line 10\nline 11\n", "ten\n")

    assert (root / "a.txt").read_text().splitlines()[8:11] == ["line 9", "ten", "line 12"]
    assert result == (
        "Replaced 1 text in a.txt.\n@@ -7,8 +7,7 @@\n line 7\n line 8\n line 9\n-line 10\n-line 11\n+ten\n"
        " line 12\n line 13\n line 14"
    )


def test_a_text_that_occurs_more_than_once_is_replaced_only_if_all_are_meant(root: Path) -> None:
    (root / "a.txt").write_text("a\nb\na\n")

    error = error_of(root, "a")
    before = (root / "a.txt").read_text()
    result = edit(root, "a", "c", all=True)

    assert error == (
        "The old text is in 'a.txt' more than once, beginning in lines 1, 3. Give more of the text around the one "
        "that is meant, or all: true for each of them."
    )
    assert before == "a\nb\na\n"
    assert result == "Replaced 2 texts in a.txt.\n@@ -1,3 +1,3 @@\n-a\n+c\n b\n-a\n+c"
    assert (root / "a.txt").read_text() == "c\nb\nc\n"


def test_a_text_that_overlaps_itself_is_not_unique(root: Path) -> None:
    (root / "a.txt").write_text("aaa")

    assert "more than once, beginning in lines 1, 1." in error_of(root, "aa")


def test_many_places_are_named_and_shown_in_part(root: Path) -> None:
    (root / "a.txt").write_text("a\n" * 30)

    assert "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and others." in error_of(root, "a")
    assert edit(root, "a", "b", all=True).endswith("\n[only the first 20 are shown]")
    assert (root / "a.txt").read_text() == "b\n" * 30


def test_a_difference_in_white_space_is_named_with_what_the_file_has(root: Path) -> None:
    (root / "a.txt").write_text("def f():\n\tif x:\n\t\treturn 1\n")

    error = error_of(root, "    if x:\n        return 1\n")

    assert error == (
        "'a.txt' does not have the old text. Line 2 on differs from it only in white space; the file has:\n"
        "\tif x:\n\t\treturn 1"
    )


def test_the_nearest_line_is_named_if_the_text_is_not_there(root: Path) -> None:
    (root / "a.txt").write_text("import os\n\ndef compute_total(items):\n    return sum(items)\n")

    near = error_of(root, "def compute_totals(item):\n    return 0\n")
    first = error_of(root, "def compute_total(items):\n    return 0\n")
    far = error_of(root, "@@@@")

    assert near.endswith(
        "Line 3 is the nearest to its first line; the file has:\ndef compute_total(items):\n    return sum(items)"
    )
    assert "Line 3 has its first line, and others after it; the file has:\n" in first
    assert far.endswith("No line resembles its first one; read the file again.")


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\r\nb\r\nc\r\n", "a\nb\n", "x\ny\nz\n", b"x\r\ny\r\nz\r\nc\r\n"),
        (b"a\r\nb\r\n", "a\r\nb", "x\r\ny", b"x\r\ny\r\n"),
        (b"a\nb\n", "a\r\nb", "x\r\ny", b"x\ny\n"),
        (b"a\r\nb\nc\n", "b\nc", "x", b"a\r\nx\n"),  # mixed: as they are
        (b"a\nb", "b", "c", b"a\nc"),
        (b"a\nb\n", "b", "c", b"a\nc\n"),
        ("\ufeffä\n".encode(), "ä", "ö", "\ufefföx\n".encode().replace(b"x", b"")),
    ],
)
def test_line_endings_and_the_end_of_a_file_stay_as_they_are(
    root: Path, before: bytes, old: str, new: str, after: bytes
) -> None:
    (root / "a.txt").write_bytes(before)

    edit(root, old, new)

    assert (root / "a.txt").read_bytes() == after


def test_a_missing_newline_at_the_end_is_said(root: Path) -> None:
    (root / "a.txt").write_text("a\nb")

    assert edit(root, "b", "c\n").endswith(" a\n-b\n\\ No newline at end of file\n+c")


def test_what_cannot_be_edited_is_refused_and_left_as_it_is(root: Path) -> None:
    (root / "binary").write_bytes(b"a\0b")
    (root / "latin").write_bytes(b"caf\xe9")
    (root / "large").write_bytes(b"a" * (MIB + 1))
    (root / "a.txt").write_text("a")
    (root / "link").symlink_to("a.txt")

    errors = [
        error_of(root, "a", path=path) for path in ("binary", "latin", "large", "link", "none", "../a", "/a")
    ]

    assert errors == [
        "'binary' is not a text file.",
        "'latin' is not UTF-8 (byte 3): an edit would change more than it should.",
        "'large' has 1,048,577 bytes; files with up to 1,048,576 can be edited.",
        "'link' is or goes through a symbolic link: tools follow none.",
        "There is no 'none' in the workspace.",
        "'../a' leads out of the workspace.",
        "'/a' is absolute: paths are relative to the workspace, such as 'notes/a.txt'.",
    ]
    assert error_of(root, "") == "The old text is empty; to make a file, or to replace all of it, use file_write."
    assert error_of(root, "a", "a") == "The old text and the new one are the same: there is nothing to do."
    assert "not valid Unicode" in error_of(root, "a", "\ud800")
    assert (root / "a.txt").read_text() == "a"


def test_an_edit_keeps_to_the_quota(root: Path) -> None:
    (root / "a.txt").write_text("a")
    quota = Quota(file_bytes=10, workspace_bytes=4096, workspace_files=10)

    assert error_of(root, "a", "b" * 11, quota=quota) == "The file would have 11 bytes; it can have up to 10."
    assert error_of(root, "a", "b" * 10, quota=quota).startswith("There is no room for 10 bytes")
    assert (root / "a.txt").read_text() == "a"


def test_only_line_feeds_end_a_line(root: Path) -> None:
    (root / "a.txt").write_text("a\x0cb\u2028c\nd\n")

    result = edit(root, "d", "e")

    assert result == "Replaced 1 text in a.txt.\n@@ -1,2 +1,2 @@\n a\x0cb\u2028c\n-d\n+e"


def test_replacements_far_from_the_first_are_not_shown(root: Path) -> None:
    (root / "a.txt").write_text("a\n" + "b\n" * 1000 + "a\n")

    result = edit(root, "a", "c", all=True)

    assert result == (
        "Replaced 2 texts in a.txt.\n@@ -1,4 +1,4 @@\n-a\n+c\n b\n b\n b\n[only the first 1 are shown]"
    )
    assert (root / "a.txt").read_text() == "c\n" + "b\n" * 1000 + "c\n"


def test_a_long_difference_is_cut(root: Path) -> None:
    (root / "a.txt").write_text("start\n" + "old line\n" * 3000)

    result = edit(root, "start\n" + "old line\n" * 3000, "new\n")

    assert result.endswith("\n[the difference goes on]")
    assert len(result) < MAX_DIFF + 100


def test_permissions_of_a_file_stay(root: Path) -> None:
    script = root / "a.txt"
    script.write_text("a")
    script.chmod(0o755)

    edit(root, "a", "b")

    assert script.stat().st_mode & 0o777 == 0o755


def test_it_is_not_repeatable_and_runs_alone() -> None:
    spec = file_edit_tool(quota=QUOTA).spec

    assert (spec.repeatable, spec.alone) == (False, True)
