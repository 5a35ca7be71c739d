"""Tools of one's own: called as functions, and as a model calls them."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from alex_actors.ports import ToolContext, ToolError
from alex_actors.tools import Toolbox, load_tools
from alex_actors.values import TaskId
from my_tools import time_until

TOOLS = load_tools(["my_tools:time_until", "my_tools:roll"])
CONTEXT = ToolContext(TaskId("task-1"), Path("nowhere"))


def call(name: str, **arguments: Any) -> str:  # JSON
    box = Toolbox(tools=TOOLS, presets={"mine": ("time_until", "dice")})
    return asyncio.run(box.call(name, arguments, CONTEXT, "mine"))


def test_a_decorated_function_is_still_a_function() -> None:
    assert time_until(date.today() + timedelta(days=15), "weeks") == "2 weeks"


def test_a_model_calls_it_with_json() -> None:
    tomorrow = date.today() + timedelta(days=1)

    assert call("time_until", day=tomorrow.isoformat()) == "1 days"
    assert call("dice", sides=6, seed=7) == '{"task":"task-1","rolled":2}'


def test_wrong_arguments_and_errors_are_told_to_the_model() -> None:
    with pytest.raises(
        ToolError, match="'dice' cannot be called so: sides: Input should be greater than or equal"
    ):
        call("dice", sides=1, seed=7)
    with pytest.raises(ToolError, match="2020-01-01 is over"):
        call("time_until", day="2020-01-01")


def test_a_model_is_told_of_the_arguments_and_not_of_the_context() -> None:
    spec = TOOLS["dice"].spec

    assert spec.description == "Roll a die that always falls the same way for a seed."
    assert list(spec.parameters["properties"]) == ["sides", "seed"]
