"""The ``search`` tool: finds lines in the files of the workspace, as grep does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import re2  # type: ignore[import-untyped]  # the package ships no types

from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.text import shortened
from alex_actors.tools.excerpts import MAX_TEXT
from alex_actors.tools.files import MAX_BYTES, is_binary
from alex_actors.tools.tool import FunctionTool, in_thread, parameters
from alex_actors.tools.workspace import Workspace, shown

MAX_HITS = 200
"""Lines that one search finds; fewer if they are long."""

_LONGEST_LINE = 300
"""Characters of a line that are shown."""

_LONGEST_PATTERN = 1000
"""Characters."""

_SECONDS = 10.0
"""That one search may take: a model rarely waits for more, and the thread is one of few."""

_REGEX_MEMORY = 4 * 1024 * 1024
"""Bytes that a compiled regular expression may take; RE2 refuses a larger one."""

_Matches: TypeAlias = Callable[[str], bool]


def search_tool(*, monotonic: Callable[[], float] = time.monotonic) -> Tool:
    """Return the tool. ``monotonic`` tells seconds that never go back: it bounds how long a search takes."""
    return FunctionTool(
        spec=ToolSpec(
            name="search",
            description=(
                "Find the lines that contain a text, in all text files of the workspace. "
                f"Up to {MAX_HITS} lines, each with its file and number."
            ),
            parameters=parameters(
                {
                    "query": {"type": "string", "description": "What to find; case matters."},
                    "path": {"type": "string", "description": "A directory or a file.", "default": "."},
                    "regex": {
                        "type": "boolean",
                        "description": "The query is a regular expression in RE2's syntax.",
                        "default": False,
                    },
                },
                required=("query",),
            ),
            repeatable=True,
        ),
        run=_Search(monotonic=monotonic).run,
    )


class _Search:
    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
        matches = _matcher(arguments["query"], regex=arguments["regex"])
        workspace, path, cancelled = Workspace(context.workspace), arguments["path"], threading.Event()
        return await in_thread(lambda: self._search(workspace, path, matches, cancelled), on_cancel=cancelled.set)

    def _search(self, workspace: Workspace, path: str, matches: _Matches, cancelled: threading.Event) -> str:
        deadline = self._monotonic() + _SECONDS
        hits: list[str] = []
        size = 0
        note = ""
        for hit in _hits(workspace, path, matches):
            if cancelled.is_set() or self._monotonic() > deadline:
                note = f"[stopped after {_SECONDS:g} seconds: not all files were searched]"
                break
            if hit is None:
                continue
            size += len(hit) + 1
            if len(hits) == MAX_HITS or size > MAX_TEXT:
                note = f"[only the first {len(hits)} lines are shown]"
                break
            hits.append(hit)
        return "\n".join((*hits, note) if note else hits) or "No line contains it."


def _matcher(query: str, *, regex: bool) -> _Matches:
    if not query:
        raise ToolError("The query is empty: give the text to find.")
    if len(query) > _LONGEST_PATTERN:
        raise ToolError(f"The query has {len(query)} characters; up to {_LONGEST_PATTERN} are possible.")
    if not regex:
        return lambda line: query in line
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_MEMORY
    try:
        # RE2 and not `re`: its time is linear in the text whatever the pattern, and its memory is bounded.
        pattern = re2.compile(query, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "it cannot be compiled"
        raise ToolError(f"{query!r} is not a regular expression of RE2: {reason}.") from error
    return lambda line: pattern.search(line) is not None


def _hits(workspace: Workspace, path: str, matches: _Matches) -> Iterator[str | None]:
    """Yield each line that matches, and None between, so that the caller can stop at any time."""
    for at in _files(workspace, path):
        yield None
        if at is None:
            continue
        try:
            content = workspace.read(at, limit=MAX_BYTES)
        except ToolError:
            continue  # it went away meanwhile, or cannot be read
        data = content.data
        if is_binary(data):
            continue
        if content.size > len(data):
            yield f"{shown(at)}: [only its first {len(data)} of {content.size} bytes were searched]"
        for number, line in enumerate(data.decode(errors="replace").split("\n"), start=1):
            if matches(line):
                yield f"{shown(at)}:{number}: {_excerpt(line)}"
            elif number % 1000 == 0:
                yield None


def _files(workspace: Workspace, path: str) -> Iterator[str | None]:
    """Yield the path of each file, and None for each directory, so that one can stop among many of those, too."""
    entry = workspace.entry(path)
    if entry is not None and entry.is_file:
        yield path
        return
    for at, found in workspace.walk(path):
        yield at if found.is_file else None


def _excerpt(line: str) -> str:
    return shortened(line.removesuffix("\r"), _LONGEST_LINE)
