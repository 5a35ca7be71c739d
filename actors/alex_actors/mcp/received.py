"""What MCP servers send, before the SDK reads it: what it would drop, or refuse as a whole for one part.

Imports the SDK, an extra package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mcp.shared.message import SessionMessage
from mcp.types import PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCResponse
from mcp.types.methods import parse_server_result
from pydantic import ValidationError

from alex_actors.mcp.results import refusal

_FIRST = re.compile(r'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+)\s*,\s*"(?:result|error)"')
_LAST = re.compile(r'(?:\}|null)\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+)\s*\}\s*$')
"""Where SDKs write the ID of a reply: before everything else, or after it."""

_END = 200
"""Characters of a reply that are searched for an ID after everything else."""


def answered(item: SessionMessage | Exception) -> SessionMessage | Exception:
    """Return an error in the place of a reply that is none, or the item itself.

    The SDK's transport on stdio passes on why it cannot read a line; then nobody would tell the call that this was
    its answer, and it would wait for its whole time.
    """
    if isinstance(item, ValidationError) and (number := _id_of(item)) is not None:
        error = ErrorData(code=PARSE_ERROR, message=refusal(item))
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=number, error=error))
    return item


def _id_of(error: ValidationError) -> int | None:
    for detail in error.errors(include_url=False, include_context=False):
        match detail["input"]:
            case {"id": int(number), **others} if "method" not in others:
                return number
            case str(line) if detail["type"] == "json_invalid":
                found = _FIRST.match(line) or _LAST.search(line[-_END:])
                return int(found[1]) if found else None
    return None


def drop_bad_tools(item: SessionMessage | Exception, *, version: str, dropped: Callable[[str, str], None]) -> None:
    """Take tools out of a list of them that the SDK would refuse the whole list for.

    ``dropped`` is told of each: its name, and why.
    """
    if not isinstance(item, SessionMessage) or not isinstance(item.message, JSONRPCResponse):
        return
    result = item.message.result
    tools = result.get("tools")  # what is called has no such key in its results
    if not isinstance(tools, list) or _fault(result, version) is None:
        return
    if _fault(result | {"tools": []}, version) is not None:  # more is wrong than the tools
        return
    kept: list[object] = []
    for tool in tools:
        if (fault := _fault(result | {"tools": [tool]}, version)) is None:
            kept.append(tool)
        else:
            dropped(str(tool.get("name")) if isinstance(tool, dict) else "?", fault)
    result["tools"] = kept


def _fault(result: Mapping[str, Any], version: str) -> str | None:  # Any: JSON
    try:
        parse_server_result("tools/list", version, result)
    except ValidationError as error:
        return refusal(error)
    return None
