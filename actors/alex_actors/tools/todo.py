"""The ``todo`` tool: the plan of a task, as a list that its model keeps.

The whole list is the argument, and the result has it again: so the conversation is what remembers it, also after
an interruption.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools.tool import FunctionTool, parameters
from alex_actors.values import Value

MAX_ITEMS = 100
MAX_TEXT = 500
"""Characters of an item."""

_MARKS = {"pending": "[ ]", "in_progress": "[~]", "done": "[x]"}


class _Item(Value, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
    status: Literal["pending", "in_progress", "done"] = "pending"


_Items = Annotated[list[_Item], msgspec.Meta(max_length=MAX_ITEMS)]


def todo_tool() -> Tool:
    """Return the tool. Repeatable: it keeps nothing itself."""
    item = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
            "status": {"type": "string", "enum": list(_MARKS), "default": "pending"},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    return FunctionTool(
        spec=ToolSpec(
            name="todo",
            description=(
                "Keep a list of what is to be done, for a task of several steps. Give the whole list each time: "
                "it takes the place of the one before. Set a step to in_progress when you begin it, and to done "
                "when you have checked that it is."
            ),
            parameters=parameters(
                {"items": {"type": "array", "items": item, "maxItems": MAX_ITEMS, "description": "All steps."}},
                required=("items",),
            ),
            repeatable=True,
            alone=True,
        ),
        run=_todo,
    )


async def _todo(
    arguments: Mapping[str, Any],  # JSON, checked
    context: ToolContext,  # noqa: ARG001 - every tool is given one
) -> str:
    try:
        items = msgspec.convert(arguments["items"], _Items)
    except msgspec.ValidationError as error:
        raise ToolError(f"The items are not as they must be: {str(error).replace('$', 'items')}.") from None
    if not items:
        return "The list is empty."
    lines = [f"{_MARKS[item.status]} {' '.join(item.text.split())}" for item in items]
    done = sum(item.status == "done" for item in items)
    return "\n".join((*lines, f"{done} of {len(items)} done."))
