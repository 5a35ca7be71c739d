"""The types of tools made from functions, as tested API: mypy checks this file, and nothing runs it.

Each deliberate error carries the code of the error that a type checker must report. If one is reported no
more, its ``type: ignore`` is unused, and that is an error (``warn_unused_ignores``, part of ``--strict``).
"""

from __future__ import annotations

from typing import assert_type

from alex_actors.ports import Tool, ToolContext
from alex_actors.tools import as_tool, load_tools, tool


@tool
def plain(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return city * days


@tool(name="other", repeatable=True, alone=True)
async def asynchronous(city: str, *, context: ToolContext) -> list[int]:
    """Tell the weather later."""
    return [len(city)]


def called_as_functions() -> None:
    assert_type(plain("Bern"), str)
    assert_type(plain("Bern", days=2), str)
    plain(1)  # type: ignore[arg-type] # a city is a text
    plain("Bern", weeks=1)  # type: ignore[call-arg] # it has no such parameter
    plain()  # type: ignore[call-arg] # it needs a city


async def awaited(context: ToolContext) -> None:
    assert_type(await asynchronous("Bern", context=context), list[int])
    await asynchronous("Bern")  # type: ignore[call-arg] # as a function it needs its context


async def called_as_tools(context: ToolContext) -> None:
    assert_type(plain.tool, Tool)
    assert_type(await asynchronous.tool({"city": "Bern"}, context), str)
    assert_type(as_tool(plain), Tool)
    assert_type(load_tools(["a:b"]), dict[str, Tool])


def wrong_decorators() -> None:
    tool("name")  # type: ignore[call-overload] # a name is given by name
    tool(repeat=True)  # type: ignore[call-overload] # there is no such option
