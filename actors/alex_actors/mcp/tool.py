"""A tool of an MCP server, as agents call it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from alex_actors.ports import ToolContext, ToolSpec


class McpTool:
    """Hands calls to its server, which checks the arguments itself."""

    def __init__(
        self, *, spec: ToolSpec, call: Callable[[Mapping[str, Any]], Awaitable[str]]
    ) -> None:  # Any: JSON
        self._spec = spec
        self._call = call

    @property
    def spec(self) -> ToolSpec:
        """Return what a model is told of it."""
        return self._spec

    async def __call__(
        self,
        arguments: Mapping[str, Any],  # JSON, as the model wrote it
        context: ToolContext,  # noqa: ARG002 - a server is told nothing of who calls
    ) -> str:
        """Run it. Raises ToolError if the server says so, is not there, or is gone before it answers."""
        return await self._call(arguments)
