"""Tools of one's own: plain functions. Their types are the schema, their docstrings what a model is told."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from alex_actors.ports import ToolContext, ToolError
from alex_actors.tools import tool

Unit = Literal["days", "weeks"]


@tool(repeatable=True)
def time_until(day: date, unit: Unit = "days") -> str:
    """Say how long it is until a day, from today."""
    left = (day - date.today()).days
    if left < 0:
        raise ToolError(f"{day} is over.")  # the model is told this, and may try something else
    return f"{left // 7 if unit == 'weeks' else left} {unit}"


@tool(name="dice", repeatable=True)
async def roll(
    sides: Annotated[int, Field(ge=2, le=100, description="How many sides a die has")],
    seed: int,
    context: ToolContext,  # of the server, no argument: for whom it runs
) -> dict[str, object]:
    """Roll a die that always falls the same way for a seed."""
    await asyncio.sleep(0)  # a database or another server would be asked here
    return {"task": context.task_id, "rolled": seed % sides + 1}
