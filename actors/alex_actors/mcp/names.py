"""The names of MCP servers' tools, as models and presets know them: ``server__tool``."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

LONGEST = 64
"""Characters of a tool's name that every provider of models takes."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_DIGITS = 8


def tool_names(server: str, tools: Iterable[str]) -> dict[str, str]:
    """Return the names of a server's tools, by what the server calls them.

    Characters that models' providers do not take become ``_``. Where that makes two the same, and where a name is
    too long, its end is replaced by a part of the SHA-256 of what the server calls it: so it is the same
    after each start.
    """
    tools = list(dict.fromkeys(tools))
    plain = {tool: f"{server}__{_FORBIDDEN.sub('_', tool)}" for tool in tools}
    uses = Counter(plain.values())
    return {
        tool: name if len(name) <= LONGEST and uses[name] == 1 else _hashed(name, tool)
        for tool, name in plain.items()
    }


def _hashed(name: str, tool: str) -> str:
    digest = hashlib.sha256(tool.encode()).hexdigest()[:_DIGITS]
    return f"{name[: LONGEST - _DIGITS - 1]}_{digest}"
