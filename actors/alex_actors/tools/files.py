"""The tools ``list_files``, ``file_read`` and ``file_write``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools.excerpts import MAX_TEXT, fitting, whole_characters
from alex_actors.tools.limits import Quota
from alex_actors.tools.tool import FunctionTool, in_thread, parameters
from alex_actors.tools.workspace import Entry, Workspace, shown, split_path

MAX_BYTES = 1024 * 1024
"""Of a file that is searched; the rest is left out: a model's context holds no more."""

MAX_ENTRIES = 1000
"""Of a listing."""

_PATH = {"type": "string", "description": "Relative to the workspace, such as notes/a.txt"}


def list_files_tool() -> Tool:
    """Return the tool that lists a directory of the workspace: one entry a line, directories with a slash."""
    return FunctionTool(
        spec=ToolSpec(
            name="list_files",
            description="List the files and directories in a directory of the workspace.",
            parameters=parameters(
                {
                    "path": {"type": "string", "description": "The directory.", "default": "."},
                    "recursive": {
                        "type": "boolean",
                        "description": "Also what is in its directories.",
                        "default": False,
                    },
                }
            ),
            repeatable=True,
        ),
        run=_run_list,
    )


def file_read_tool() -> Tool:
    """Return the tool that reads a text file of the workspace."""
    return FunctionTool(
        spec=ToolSpec(
            name="file_read",
            description=(
                f"Read a text file of the workspace, up to {MAX_TEXT:,} bytes at a time. "
                "What is left is said at the end, with the offset to read on from."
            ),
            parameters=parameters(
                {
                    "path": _PATH,
                    "offset": {"type": "integer", "description": "The byte to begin with.", "default": 0},
                },
                required=("path",),
            ),
            repeatable=True,
        ),
        run=_run_read,
    )


def file_write_tool(*, quota: Quota) -> Tool:
    """Return the tool that writes a text file of the workspace, whole. Repeatable: the same content again."""

    async def run(arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
        path, content = arguments["path"], arguments["content"]
        return await in_thread(lambda: _write(Workspace(context.workspace), path, content, quota))

    return FunctionTool(
        spec=ToolSpec(
            name="file_write",
            description=(
                "Write a text file in the workspace: a new one, or in place of what it had. "
                f"Directories are made as needed. Up to {quota.file_bytes:,} bytes."
            ),
            parameters=parameters(
                {"path": _PATH, "content": {"type": "string", "description": "All of its text."}},
                required=("path", "content"),
            ),
            repeatable=True,
            alone=True,
        ),
        run=run,
    )


async def _run_list(arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
    path, recursive = arguments["path"], arguments["recursive"]
    return await in_thread(lambda: _list(Workspace(context.workspace), path, recursive=recursive))


async def _run_read(arguments: Mapping[str, Any], context: ToolContext) -> str:  # JSON, checked
    path, offset = arguments["path"], arguments["offset"]
    return await in_thread(lambda: _read(Workspace(context.workspace), path, offset))


def _list(workspace: Workspace, path: str, *, recursive: bool) -> str:
    if recursive:
        found = list(islice(workspace.walk(path), MAX_ENTRIES + 1))
    else:
        found = [(entry.name, entry) for entry in workspace.entries(path)]
    if not found:
        return f"{shown(path)!r} is empty." if split_path(path) else "The workspace is empty."
    lines = fitting(_line(at, entry) for at, entry in found[:MAX_ENTRIES])
    if len(found) > len(lines):
        total = "more" if recursive else f"{len(found):,} in all"
        lines.append(f"[only the first {len(lines):,} are listed; there are {total}]")
    return "\n".join(lines)


def _line(path: str, entry: Entry) -> str:
    if entry.is_directory:
        return f"{shown(path)}/"
    if entry.is_file:
        return f"{shown(path)} ({_size(entry.size)})"
    return f"{shown(path)} ({'symbolic link' if entry.is_link else 'special file'})"


def _size(count: int) -> str:
    return f"{count:,} byte{'' if count == 1 else 's'}"


def _read(workspace: Workspace, path: str, offset: int) -> str:
    if offset < 0:
        raise ToolError("The offset cannot be negative: it counts bytes from the beginning of the file.")
    content = workspace.read(path, limit=MAX_TEXT, offset=offset)
    if offset > content.size:
        raise ToolError(f"{shown(path)!r} has only {_size(content.size)}.")
    if is_binary(content.data):
        raise ToolError(f"{shown(path)!r} is not a text file.")
    if offset + len(content.data) >= content.size:
        return content.data.decode(errors="replace")
    text, length = whole_characters(content.data)
    end = offset + length
    return f"{text}\n[cut: bytes {offset:,} to {end:,} of {content.size:,}; to read on, give the offset {end}]"


def _write(workspace: Workspace, path: str, content: str, quota: Quota) -> str:
    try:
        data = content.encode()
    except UnicodeEncodeError:
        raise ToolError("The content is not valid Unicode: it has half of a surrogate pair.") from None
    if len(data) > quota.file_bytes:
        raise ToolError(f"The content has {len(data):,} bytes; a file can have up to {quota.file_bytes:,}.")
    workspace.write(path, data, quota=quota)
    # Nothing of whether it was there before: the call is safe to repeat, and so is its result.
    return f"Wrote {_size(len(data))} to {shown(path)}."


def is_binary(data: bytes) -> bool:
    """Return whether these are no bytes of a text: they have a NUL among the first 8,192, as git sees it."""
    return b"\0" in data[:8192]
