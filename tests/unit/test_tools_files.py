"""The file tools and the search tool, on a real directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from alex_actors.ports import Tool, ToolContext, ToolError
from alex_actors.tools.excerpts import MAX_TEXT
from alex_actors.tools.files import MAX_BYTES, MAX_ENTRIES, file_read_tool, file_write_tool, list_files_tool
from alex_actors.tools.search import MAX_HITS, search_tool
from alex_actors.values import TaskId
from tests.unit.tool_limits import QUOTA


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


def run(tool: Tool, root: Path, **arguments: Any) -> str:  # JSON
    return asyncio.run(tool(arguments, ToolContext(TaskId("task-1"), root)))


def error_of(tool: Tool, root: Path, **arguments: Any) -> str:  # JSON
    with pytest.raises(ToolError) as raised:
        run(tool, root, **arguments)
    return str(raised.value)


def test_a_written_file_is_listed_and_read(root: Path) -> None:
    written = run(file_write_tool(quota=QUOTA), root, path="notes/a.txt", content="Héllo")
    again = run(file_write_tool(quota=QUOTA), root, path="notes/a.txt", content="x")

    assert written == "Wrote 6 bytes to notes/a.txt."
    assert again == "Wrote 1 byte to notes/a.txt."
    assert run(list_files_tool(), root) == "notes/"
    assert run(list_files_tool(), root, path="notes") == "a.txt (1 byte)"
    assert run(list_files_tool(), root, recursive=True) == "notes/\nnotes/a.txt (1 byte)"
    assert run(file_read_tool(), root, path="notes/a.txt") == "x"


def test_an_absent_workspace_is_empty(tmp_path: Path) -> None:
    absent = tmp_path / "absent"

    assert run(list_files_tool(), absent) == "The workspace is empty."
    assert run(search_tool(), absent, query="x") == "No line contains it."
    assert error_of(file_read_tool(), absent, path="a") == "There is no 'a' in the workspace."
    assert not absent.exists()


def test_an_empty_directory_is_said_to_be_empty(root: Path) -> None:
    (root / "sub").mkdir()

    assert run(list_files_tool(), root, path="sub") == "'sub' is empty."


def test_a_listing_shows_what_is_no_file_and_escapes_names(root: Path) -> None:
    (root / "a\nb").write_text("")
    (root / "link").symlink_to("/etc")
    os.mkfifo(root / "pipe")

    assert run(list_files_tool(), root) == "a\\nb (0 bytes)\nlink (symbolic link)\npipe (special file)"


def test_a_long_listing_is_cut_and_says_so(root: Path) -> None:
    for number in range(MAX_ENTRIES + 5):
        (root / f"{number:04}").touch()

    lines = run(list_files_tool(), root).split("\n")

    assert len(lines) == MAX_ENTRIES + 1
    assert lines[-1] == "[only the first 1,000 are listed; there are 1,005 in all]"


def test_a_large_file_is_cut_between_characters_and_says_so(root: Path) -> None:
    (root / "a.txt").write_text("x" * (MAX_TEXT - 1) + "é" * 10)

    text, _, note = run(file_read_tool(), root, path="a.txt").rpartition("\n")

    assert text == "x" * (MAX_TEXT - 1)
    assert note == "[cut: bytes 0 to 65,535 of 65,555; to read on, give the offset 65535]"


def test_a_large_file_can_be_read_to_its_end(root: Path) -> None:
    whole = "é€x" * 30_000
    (root / "a.txt").write_text(whole)

    found, offset = "", 0
    while True:
        text, note = run(file_read_tool(), root, path="a.txt", offset=offset), ""
        if text.endswith("]"):
            text, _, note = text.rpartition("\n")
        found += text
        if not note:
            break
        offset = int(note.removesuffix("]").rpartition(" ")[2])

    assert found == whole


def test_an_offset_that_is_none_of_the_file_is_refused(root: Path) -> None:
    (root / "a.txt").write_text("abc")

    assert run(file_read_tool(), root, path="a.txt", offset=3) == ""
    assert error_of(file_read_tool(), root, path="a.txt", offset=4) == "'a.txt' has only 3 bytes."
    assert error_of(file_read_tool(), root, path="a.txt", offset=2**70) == "'a.txt' has only 3 bytes."
    assert "cannot be negative" in error_of(file_read_tool(), root, path="a.txt", offset=-1)


def test_a_listing_of_long_names_is_cut_by_its_size(root: Path) -> None:
    for number in range(500):
        (root / f"{number:03}{'x' * 200}").touch()

    text = run(list_files_tool(), root)

    *lines, note = text.split("\n")
    assert MAX_TEXT - 300 < len(text) < MAX_TEXT + 100
    assert note == f"[only the first {len(lines)} are listed; there are 500 in all]"


def test_a_search_in_long_paths_is_cut_by_its_size(root: Path) -> None:
    deep = root.joinpath(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("x\n" * MAX_HITS)

    text = run(search_tool(), root, query="x")

    *lines, note = text.split("\n")
    assert MAX_TEXT - 1100 < len(text) < MAX_TEXT + 100
    assert note == f"[only the first {len(lines)} lines are shown]"


def test_a_binary_file_is_not_read(root: Path) -> None:
    (root / "a.bin").write_bytes(b"a\0b")

    assert error_of(file_read_tool(), root, path="a.bin") == "'a.bin' is not a text file."


def test_bytes_that_are_no_utf8_are_read_as_replacement_characters(root: Path) -> None:
    (root / "a.txt").write_bytes(b"a\xffb")

    assert run(file_read_tool(), root, path="a.txt") == "a\ufffdb"


def test_content_that_is_too_long_or_no_unicode_is_not_written(root: Path) -> None:
    long = error_of(file_write_tool(quota=QUOTA), root, path="a", content="x" * (MAX_BYTES + 1))
    broken = error_of(file_write_tool(quota=QUOTA), root, path="a", content="\ud800")

    assert long == "The content has 1,048,577 bytes; a file can have up to 1,048,576."
    assert "not valid Unicode" in broken
    assert list(root.iterdir()) == []


def test_bad_arguments_are_refused_by_the_tool_itself(root: Path) -> None:
    assert "needs the argument 'content'" in error_of(file_write_tool(quota=QUOTA), root, path="a")


@pytest.fixture
def sources(root: Path) -> Path:
    (root / "src" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("one\nTODO: a (b)\r\n")
    (root / "src" / "b.py").write_text("# TODO\n")
    (root / "src" / "deep" / "c.py").write_text("x = 1  # todo\n")
    (root / "bin").write_bytes(b"TODO\0")
    (root / "src" / "link").symlink_to(root / "a.txt")
    return root


def test_a_search_finds_lines_with_their_file_and_number(sources: Path) -> None:
    assert run(search_tool(), sources, query="TODO") == "a.txt:2: TODO: a (b)\nsrc/b.py:1: # TODO"


def test_a_search_says_which_files_it_read_only_the_beginning_of(root: Path) -> None:
    (root / "large.txt").write_text("x\n" * MAX_BYTES)

    text = run(search_tool(), root, query="not there")

    assert text == f"large.txt: [only its first {MAX_BYTES} of {2 * MAX_BYTES} bytes were searched]"


def test_a_search_can_be_of_a_directory_or_a_file(sources: Path) -> None:
    assert run(search_tool(), sources, query="TODO", path="src") == "src/b.py:1: # TODO"
    assert run(search_tool(), sources, query="one", path="a.txt") == "a.txt:1: one"


def test_a_search_takes_its_query_as_it_is_unless_told(sources: Path) -> None:
    plain = run(search_tool(), sources, query="(b)")
    expression = run(search_tool(), sources, query="(?i)#\\s*todo$", regex=True)

    assert plain == "a.txt:2: TODO: a (b)"
    assert expression == "src/b.py:1: # TODO\nsrc/deep/c.py:1: x = 1  # todo"


@pytest.mark.parametrize(
    ("query", "reason"),
    [("(", "missing )"), (r"(a)\1", "invalid escape"), ("((a{1000}){1000}){1000}", "repetition")],
)
def test_a_regular_expression_that_is_none_or_too_large_is_refused(sources: Path, query: str, reason: str) -> None:
    assert reason in error_of(search_tool(), sources, query=query, regex=True)


def test_an_expression_that_takes_other_matchers_for_ever_is_fast(root: Path) -> None:
    (root / "a.txt").write_text("a" * 100_000 + "b")

    assert run(search_tool(), root, query="^(a|aa)+$", regex=True) == "No line contains it."


def test_a_search_refuses_an_empty_query_and_a_path_that_is_not_there(root: Path) -> None:
    assert "empty" in error_of(search_tool(), root, query="")
    assert error_of(search_tool(), root, query="x", path="no") == "There is no 'no' in the workspace."


def test_a_search_shows_so_many_lines_and_says_that_there_are_more(root: Path) -> None:
    (root / "a.txt").write_text("x\n" * (MAX_HITS + 1))

    lines = run(search_tool(), root, query="x").split("\n")

    assert len(lines) == MAX_HITS + 1
    assert lines[-1] == "[only the first 200 lines are shown]"


def test_a_search_that_takes_too_long_says_how_far_it_came(sources: Path) -> None:
    ticks: Iterator[int] = count(step=4)

    found = run(search_tool(monotonic=lambda: float(next(ticks))), sources, query="TODO")

    assert found == "a.txt:2: TODO: a (b)\n[stopped after 10 seconds: not all files were searched]"
