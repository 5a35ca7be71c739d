"""The tool ``file_edit``: replaces an exact text in a file of the workspace, and shows what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from itertools import islice
from typing import Any

from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools.files import is_binary
from alex_actors.tools.limits import Quota
from alex_actors.tools.tool import FunctionTool, in_thread, parameters
from alex_actors.tools.workspace import Workspace, shown

MAX_DIFF = 8 * 1024
"""Characters of a diff: enough to see that the right place was changed."""

_SHOWN_REPLACEMENTS = 20
_SHOWN_LINES = 400
"""From the first replacement on: those further down are not shown. The time of a diff grows with the square."""
_SHOWN_LINE = 300
_CONTEXT = 3
"""Lines around a change, as ``diff -u`` has them."""
_SEARCHED_LINES = 2_000
_SEARCHED_LINE = 120
"""Lines of a file, and characters of each, that are compared with one that it lacks: two seconds at worst."""


def file_edit_tool(*, quota: Quota) -> Tool:
    """Return the tool. Not repeatable: what it wrote may contain what it replaced."""

    async def run(arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
        path, old, new, every = (arguments[name] for name in ("path", "old", "new", "all"))
        return await in_thread(lambda: _edit(Workspace(context.workspace), path, old, new, quota, every=every))

    return FunctionTool(
        spec=ToolSpec(
            name="file_edit",
            description=(
                "Replace a text in a text file of the workspace by another. The old text must be in the file "
                "exactly, white space included, and only once: give as many lines around it as that takes. "
                "The result shows the difference."
            ),
            parameters=parameters(
                {
                    "path": {"type": "string", "description": "Relative to the workspace, such as notes/a.txt"},
                    "old": {"type": "string", "description": "The exact text that goes."},
                    "new": {"type": "string", "description": "The text that takes its place; may be empty."},
                    "all": {
                        "type": "boolean",
                        "description": "Replace it wherever it is in the file.",
                        "default": False,
                    },
                },
                required=("path", "old", "new"),
            ),
            repeatable=False,
            alone=True,
        ),
        run=run,
    )


def _edit(workspace: Workspace, path: str, old: str, new: str, quota: Quota, *, every: bool) -> str:
    if not old:
        raise ToolError("The old text is empty; to make a file, or to replace all of it, use file_write.")
    text = _text_of(workspace, path, quota)
    old, new = _with_endings_of(text, old), _with_endings_of(text, new)
    if old == new:
        raise ToolError("The old text and the new one are the same: there is nothing to do.")
    count = text.count(old)
    if not count:
        raise ToolError(f"{shown(path)!r} does not have the old text. {_nearest(text, old)}")
    if not every and (text.find(old, text.find(old) + 1)) >= 0:  # overlapping ones count: which is meant?
        lines = ", ".join(str(line) for line in islice(_lines_with(text, old), 10))
        raise ToolError(
            f"The old text is in {shown(path)!r} more than once, beginning in lines {lines}"
            f"{' and others' if count > 10 else ''}. Give more of the text around the one that is meant, "
            "or all: true for each of them."
        )
    try:
        data = text.replace(old, new).encode()
    except UnicodeEncodeError:
        raise ToolError("The new text is not valid Unicode: it has half of a surrogate pair.") from None
    if len(data) > quota.file_bytes:
        raise ToolError(f"The file would have {len(data):,} bytes; it can have up to {quota.file_bytes:,}.")
    workspace.write(path, data, quota=quota)
    done = "Replaced 1 text" if count == 1 else f"Replaced {count:,} texts"
    return f"{done} in {shown(path)}.\n{_diff(text, old, new, count)}"


def _text_of(workspace: Workspace, path: str, quota: Quota) -> str:
    content = workspace.read(path, limit=quota.file_bytes)
    if content.size > quota.file_bytes:
        raise ToolError(
            f"{shown(path)!r} has {content.size:,} bytes; files with up to {quota.file_bytes:,} can be edited."
        )
    if is_binary(content.data):
        raise ToolError(f"{shown(path)!r} is not a text file.")
    try:
        return content.data.decode()
    except UnicodeDecodeError as error:
        raise ToolError(
            f"{shown(path)!r} is not UTF-8 (byte {error.start:,}): an edit would change more than it should."
        ) from None


def _with_endings_of(text: str, given: str) -> str:
    """Return what was given with the file's line endings, if these are all the same: models write ``\\n``."""
    plain = given.replace("\r\n", "\n")
    if "\r" not in text:
        return plain
    return plain.replace("\n", "\r\n") if text.count("\n") == text.count("\r\n") == text.count("\r") else given


def _lines_with(text: str, old: str) -> Sequence[int]:
    """Return the numbers of the lines in which the old text begins, of the first few."""
    found: list[int] = []
    at = text.find(old)
    while at >= 0 and len(found) < 10:
        found.append(text.count("\n", 0, at) + 1)
        at = text.find(old, at + 1)
    return found


def _nearest(text: str, old: str) -> str:
    """Say where something like the old text is."""
    lines, wanted = text.replace("\r\n", "\n").split("\n"), old.strip("\r\n").split("\n")
    bare, bare_wanted = [_bare(line) for line in lines], [_bare(line) for line in wanted]
    whole, part = ("\n".join(("", *some, "")) for some in (bare, bare_wanted))  # one search takes linear time
    if any(bare_wanted) and (at := whole.find(part)) >= 0:
        start = whole.count("\n", 0, at)
        there = "\n".join(lines[start : start + len(wanted)])[:1000]
        return f"Line {start + 1} on differs from it only in white space; the file has:\n{there}"
    first = next((line for line in bare_wanted if line), "")[:_SEARCHED_LINE]
    begun = [line[:_SEARCHED_LINE] for line in bare[:_SEARCHED_LINES]]
    close = get_close_matches(first, [line for line in begun if line], n=1)
    if not close:
        return "No line resembles its first one; read the file again."
    start = begun.index(close[0])
    same = close[0] == first
    what = "has its first line, and others after it" if same else "is the nearest to its first line"
    there = "\n".join(line[:_SHOWN_LINE] for line in lines[start : start + min(len(wanted), 5)])
    return f"Line {start + 1} {what}; the file has:\n{there}"


def _bare(line: str) -> str:
    return " ".join(line.split())


def _diff(text: str, old: str, new: str, count: int) -> str:
    """Return a unified diff of the first replacements, cut to what a result may have."""
    start, end, shown_count = _first_replacements(text, old)
    before = text[start:end]
    after = before.replace(old, new, shown_count)
    lines = _hunks(_lines(before), _lines(after), text.count("\n", 0, start))
    found = "\n".join(lines)
    if len(found) > MAX_DIFF:
        return f"{found[:MAX_DIFF]}\n[the difference goes on]"
    return found if shown_count == count else f"{found}\n[only the first {shown_count:,} are shown]"


def _first_replacements(text: str, old: str) -> tuple[int, int, int]:
    """Return where the lines around the first few begin and end, and how many these are."""
    at = text.find(old)
    start = at
    for _ in range(_CONTEXT + 1):  # back to the end of the line before the context
        start = text.rfind("\n", 0, max(0, start))
        if start < 0:
            break
    end, shown_count = at, 0
    while at >= 0 and shown_count < _SHOWN_REPLACEMENTS:
        if shown_count and text.count("\n", start + 1, at) > _SHOWN_LINES:
            break
        end, shown_count = at + len(old), shown_count + 1
        at = text.find(old, end)
    end -= text[end - 1] == "\n"  # the rest of its last line, and the context
    for _ in range(_CONTEXT + 1):
        end = text.find("\n", end) + 1
        if not end:
            return start + 1, len(text), shown_count
    return start + 1, end, shown_count


def _hunks(old: Sequence[str], new: Sequence[str], skipped: int) -> list[str]:
    """Return the lines of a unified diff of two texts, ``skipped`` lines into theirs."""
    if max(len(old), len(new)) <= _SHOWN_LINES + 100:
        groups = list(SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT))
    else:
        groups = [[("replace", 0, len(old), 0, len(new))]]
    lines: list[str] = []
    for group in groups:
        first, last = group[0], group[-1]
        lines.append(f"@@ {_range('-', first[1], last[2], skipped)} {_range('+', first[3], last[4], skipped)} @@")
        for kind, a, b, c, d in group:
            if kind == "equal":
                lines += [_line(" ", line) for line in old[a:b]]
            else:
                lines += [_line("-", line) for line in old[a:b]] + [_line("+", line) for line in new[c:d]]
    return lines


def _lines(text: str) -> list[str]:
    """Return lines with their ends. Only line feeds end one, as for editors: splitlines() knows others."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _range(sign: str, start: int, end: int, skipped: int) -> str:
    return f"{sign}{start + skipped + (1 if end > start else 0)},{end - start}"


def _line(sign: str, line: str) -> str:
    bare = line.rstrip("\r\n")
    text = bare if len(bare) <= _SHOWN_LINE else f"{bare[:_SHOWN_LINE]}[…]"
    return f"{sign}{text}" if line.endswith("\n") else f"{sign}{text}\n\\ No newline at end of file"
