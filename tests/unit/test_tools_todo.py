"""The tool todo: a list that the conversation keeps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from alex_actors.ports import ToolContext, ToolError
from alex_actors.tools.todo import todo_tool
from alex_actors.values import TaskId

CONTEXT = ToolContext(TaskId("task-1"), Path("nowhere"))


def todo(items: Any) -> str:  # JSON
    return asyncio.run(todo_tool()({"items": items}, CONTEXT))


def test_the_result_has_the_whole_list() -> None:
    result = todo(
        [
            {"text": "look", "status": "done"},
            {"text": "try\nit", "status": "in_progress"},
            {"text": "say"},
        ]
    )

    assert result == "[x] look\n[~] try it\n[ ] say\n1 of 3 done."
    assert todo([]) == "The list is empty."


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ("a", "The argument 'items' of 'todo' must be of type array, not string."),
        (["a"], "Expected `object`, got `str` - at `items[0]`."),
        ([{"text": ""}], "Expected `str` of length >= 1 - at `items[0].text`."),
        ([{"text": "a", "status": "x"}], "Invalid enum value 'x' - at `items[0].status`."),
        ([{"status": "done"}], "Object missing required field `text` - at `items[0]`."),
        ([{"text": "a"}] * 101, "Expected `array` of length <= 100."),
        ([{"text": "a", "b": 1}], "Object contains unknown field `b` - at `items[0]`."),
    ],
)  # fmt: skip
def test_a_list_that_is_not_as_it_must_be_is_refused(items: Any, error: str) -> None:  # JSON
    with pytest.raises(ToolError) as raised:
        todo(items)

    assert str(raised.value).removeprefix("The items are not as they must be: ") == error
