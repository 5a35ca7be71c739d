"""Tools made from functions: schemas from signatures, arguments checked, results told."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from pydantic import BaseModel, Field

from alex_actors.ports import ToolContext, ToolError
from alex_actors.tools import NotATool, as_tool, tool
from alex_actors.tools.excerpts import MAX_TEXT
from alex_actors.tools.functions import on_threads
from alex_actors.tools.think import think_tool
from alex_actors.tools.tool import in_thread
from alex_actors.values import TaskId

CONTEXT = ToolContext(TaskId("task-1"), Path("nowhere"))


class Point(BaseModel):
    x: int
    y: int = 0


@dataclass
class Size:
    width: int


class Wire(msgspec.Struct):
    a: int


def call(given: object, **arguments: Any) -> str:  # JSON
    return asyncio.run(as_tool(given)(arguments, CONTEXT))


def error_of(given: object, **arguments: Any) -> str:  # JSON
    with pytest.raises(ToolError) as raised:
        call(given, **arguments)
    return str(raised.value)


def draw(
    point: Point,
    kind: Literal["dot", "cross"],
    labels: list[str] | None = None,
    scale: Annotated[float, Field(gt=0, description="How large")] = 1.0,
) -> str:
    """Draw a point.

    On a plane.
    """
    return f"{type(point).__name__} {point.x},{point.y} {kind} {labels} {scale}"


def test_the_schema_is_the_signature_and_the_description_the_docstring() -> None:
    spec = as_tool(draw).spec

    assert (spec.name, spec.description) == ("draw", "Draw a point.\n\nOn a plane.")
    assert (spec.repeatable, spec.alone) == (False, False)
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "point": {"$ref": "#/$defs/Point"},
            "kind": {"enum": ["dot", "cross"], "type": "string"},
            "labels": {
                "anyOf": [{"items": {"type": "string"}, "type": "array"}, {"type": "null"}],
                "default": None,
            },
            "scale": {"type": "number", "default": 1.0, "exclusiveMinimum": 0, "description": "How large"},
        },
        "required": ["point", "kind"],
        "additionalProperties": False,
        "$defs": {
            "Point": {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
                "required": ["x"],
                "title": "Point",
            }
        },
    }


def test_arguments_come_as_the_types_of_the_signature() -> None:
    assert call(draw, point={"x": 1}, kind="dot") == "Point 1,0 dot None 1.0"
    assert call(draw, point={"x": 1}, kind="cross", labels=["a"], scale=2) == "Point 1,0 cross ['a'] 2.0"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"kind": "dot"}, "point: Field required"),
        ({"point": {"x": "?"}, "kind": "dot"}, "point.x: Input should be a valid integer"),
        ({"point": {"x": 1}, "kind": "line"}, "kind: Input should be 'dot' or 'cross'"),
        ({"point": {"x": 1}, "kind": "dot", "scale": 0}, "scale: Input should be greater than 0"),
        ({"point": {"x": 1}, "kind": "dot", "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"point": {"x": 1}, "kind": "dot", "p0": 1}, "p0: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], error: str) -> None:  # JSON
    assert error_of(draw, **arguments).startswith(f"'draw' cannot be called so: {error}")


def test_many_wrong_arguments_are_not_all_named() -> None:
    def many(a: int, b: int, c: int, d: int, e: int, f: int, g: int) -> None:
        """Take many."""

    assert error_of(many).endswith("e: Field required; and 2 more.")


def test_parameters_may_have_any_name() -> None:
    def odd(json: str, schema: int, _x: int, model_config: int, self: int, copy: bool = False) -> list[object]:
        """Have odd names."""
        return [json, schema, _x, model_config, self, copy]

    assert call(odd, json="j", schema=1, _x=2, model_config=3, self=4) == '["j",1,2,3,4,false]'


def test_the_context_is_given_and_no_model_sees_it() -> None:
    async def whose(context: ToolContext) -> str:
        """Say whose it is."""
        return context.task_id

    assert call(whose) == "task-1"
    assert as_tool(whose).spec.parameters["properties"] == {}
    assert "context: Extra inputs are not permitted" in error_of(whose, context={})


def test_a_function_runs_on_a_thread_and_a_coroutine_function_on_the_loop() -> None:
    def blocking() -> str:
        """Block."""
        return threading.current_thread().name

    async def awaiting() -> str:
        """Await."""
        return threading.current_thread().name

    here = threading.current_thread().name

    assert call(blocking) != here
    assert call(awaiting) == here


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("text", "text"),
        (None, "Done."),
        ({"a": [1, None, True]}, '{"a":[1,null,true]}'),
        (Point(x=1), '{"x":1,"y":0}'),
        (Size(2), '{"width":2}'),
        (Wire(3), '{"a":3}'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (7, "7"),
    ],
)
def test_a_result_is_told_as_text_or_json(result: object, told: str) -> None:
    def give() -> object:
        """Give it."""
        return result

    assert call(give) == told


def test_a_long_result_is_cut() -> None:
    def long() -> str:
        """Be long."""
        return "x" * (MAX_TEXT + 1)

    assert call(long).endswith("x\n[only the first 65,536 of 65,537 characters are shown]")


def test_what_a_function_raises_passes() -> None:
    def fail(how: Literal["told", "broken"]) -> None:
        """Fail."""
        raise ToolError("no") if how == "told" else ValueError("bug")

    assert error_of(fail, how="told") == "no"
    with pytest.raises(ValueError, match="bug"):
        call(fail, how="broken")


def test_a_decorator_says_what_the_function_does_not() -> None:
    @tool(name="ring-2", description="Ring.", repeatable=True, alone=True)
    def bell(times: int) -> str:
        """For programmers."""
        return "ding " * times

    spec = bell.tool.spec

    assert bell(2) == "ding ding "
    assert (bell.__name__, bell.__doc__) == ("bell", "For programmers.")
    assert (spec.name, spec.description, spec.repeatable, spec.alone) == ("ring-2", "Ring.", True, True)
    assert as_tool(bell) is bell.tool


def test_a_tool_is_a_tool_and_a_method_is_a_function() -> None:
    class Shelf:
        def books(self, about: str) -> list[str]:
            """List books."""
            return [about]

    think = think_tool()

    assert as_tool(think) is think
    assert call(Shelf().books, about="cats") == '["cats"]'


def no_types(a) -> None:  # type: ignore[no-untyped-def] # that is what is tested
    """Have no types."""


def no_docstring(a: int) -> None: ...


def several(*args: int) -> None:
    """Take several."""


def named(**kwargs: int) -> None:
    """Take any name."""


def positional(a: int, /) -> None:
    """Take a position."""


def unknown(a: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821,UP037 - that is what is tested
    """Take what is not there."""


def no_json(a: Callable[[], int]) -> None:
    """Take a function."""


def no_model(a: threading.Thread) -> None:
    """Take a thread."""


def default_field(a: int = Field(1)) -> None:
    """Have a field as its default."""


def yields() -> Iterator[int]:
    """Yield one after the other."""
    yield 1


async def yields_later() -> AsyncIterator[int]:
    """Yield one after the other, in its time."""
    yield 1


def a__b() -> None:
    """Look like a server's tool."""


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (no_types, "The parameter 'a' of 'no_types' needs a type"),
        (no_docstring, "'no_docstring' needs a docstring"),
        (several, r"'several' has \*args: a model gives each argument by its name"),
        (named, r"'named' has \*\*kwargs: a model gives each argument by its name"),
        (positional, "'positional' has 'a' by position alone: a model gives each argument by its name"),
        (unknown, "The signature of 'unknown' cannot be read: name 'Nowhere' is not defined"),
        (no_json, "'no_json' has a type of which there is no JSON Schema"),
        (no_model, "'no_model' has a type of which there is no JSON"),
        (default_field, "Write 'a' as Annotated"),
        (yields, "'yields' yields; a tool returns its result, whole"),
        (yields_later, "'yields_later' yields; a tool returns its result, whole"),
        (a__b, "'a__b' is no name for a tool"),
        (lambda: None, "'<lambda>' is no name for a tool"),
        (7, "It is int, not a function"),
        (Point, "It is ModelMetaclass, not a function"),
    ],
)
def test_what_no_tool_can_be_made_of_says_why(given: object, error: str) -> None:
    with pytest.raises(NotATool, match=error):
        as_tool(given)


@pytest.mark.parametrize("within", ["itself", "list", "dict"])
def test_an_iterator_is_no_result_since_it_may_have_no_end(within: str) -> None:
    def endless() -> object:
        """Go on for ever."""
        ones = (1 for _ in itertools.count())
        return {"itself": ones, "list": [[1, ones]], "dict": {"a": ({"b": ones},)}}[within]

    with pytest.raises(TypeError, match="It returned something with a generator; a list of it would be told"):
        call(endless)


def test_a_result_that_has_itself_in_it_is_an_error_and_no_hang() -> None:
    def circular() -> object:
        """Turn in a circle."""
        ring: list[object] = []
        ring.append(ring)
        return ring

    with pytest.raises(ValueError, match="Circular reference"):
        call(circular)


@pytest.mark.parametrize("within", ["a thread", "the loop"])
def test_a_function_that_raises_stop_iteration_has_failed_and_is_not_waited_for_for_ever(within: str) -> None:
    def stops() -> str:
        """Stop."""
        raise StopIteration

    async def stops_later() -> str:
        """Stop in its time."""
        raise StopIteration

    with pytest.raises(RuntimeError, match="raised StopIteration"):
        call(stops if within == "a thread" else stops_later)


def test_functions_that_hold_all_their_threads_hold_up_no_other_work_and_the_next_is_told_so() -> None:
    free = threading.Event()

    def hold() -> str:
        """Hold its thread."""
        free.wait()
        return threading.current_thread().name

    async def scenario() -> tuple[str, str, str]:
        with ThreadPoolExecutor(1, thread_name_prefix="own") as threads:
            held = asyncio.create_task(on_threads(as_tool(hold), threads)({}, CONTEXT))
            await asyncio.sleep(0)
            with pytest.raises(ToolError) as refused:
                await on_threads(as_tool(hold), threads, begun_within=0.0)({}, CONTEXT)
            other = await in_thread(lambda: "other work")
            free.set()
            return str(refused.value), other, await held

    refused, other, name = asyncio.run(scenario())

    assert refused == "No thread was free within 0 seconds: try again later."
    assert (other, name) == ("other work", "own_0")


def test_what_is_no_function_stays_what_it_is_whatever_threads_there_are() -> None:
    think = think_tool()

    with ThreadPoolExecutor(1) as threads:
        assert on_threads(think, threads) is think
