"""A call whose arguments nobody can read is answered to the model, and its tool is not run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from alex_actors.models.unreadable import arguments_of
from alex_actors.ports import ToolContext, ToolError, ToolSpec
from alex_actors.tools.tool import FunctionTool
from alex_actors.tools.toolbox import Toolbox
from alex_actors.values import TaskId


async def never(arguments: Mapping[str, Any], context: ToolContext) -> str:  # Any: JSON
    raise AssertionError("the tool was run")


def test_the_model_is_told_what_it_wrote_and_the_tool_is_not_run() -> None:
    spec = ToolSpec(
        name="any", description="Takes anything.", parameters={"type": "object", "properties": {}}, repeatable=True
    )
    box = Toolbox(tools={"any": FunctionTool(spec=spec, run=never)}, presets={"safe": ("any",)})
    context = ToolContext(TaskId("task-1"), Path("nowhere"))

    with pytest.raises(ToolError) as raised:
        asyncio.run(box.call("any", arguments_of('{"path": "a.t'), context, "safe"))

    assert "not a whole JSON object" in str(raised.value)
    assert '{"path": "a.t' in str(raised.value)


def test_very_long_arguments_are_not_kept_whole() -> None:
    (kept,) = arguments_of("x" * 1_000_000).values()

    assert len(kept) == 4_000
