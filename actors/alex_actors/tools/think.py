"""The ``think`` tool: a place for a model to write down a thought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alex_actors.ports import Tool, ToolContext, ToolSpec
from alex_actors.tools.tool import FunctionTool, parameters


def think_tool() -> Tool:
    """Return the tool. Its result is the thought."""
    return FunctionTool(
        spec=ToolSpec(
            name="think",
            description="Write down a thought: a plan, an intermediate result, a check. It changes nothing.",
            parameters=parameters(
                {"thought": {"type": "string", "description": "The thought."}}, required=("thought",)
            ),
            repeatable=True,
        ),
        run=_think,
    )


async def _think(
    arguments: Mapping[str, Any],  # JSON, checked
    context: ToolContext,  # noqa: ARG001 - every tool is given one
) -> str:
    thought: str = arguments["thought"]
    return thought
