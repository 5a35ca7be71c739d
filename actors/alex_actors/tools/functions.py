"""Tools from plain Python functions: the signature is the schema, the docstring is what a model is told."""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json

from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools.excerpts import MAX_TEXT
from alex_actors.tools.tool import in_thread

P = ParamSpec("P")
R = TypeVar("R")

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What the makers of models allow as a tool's name."""


WAITS_FOR_A_THREAD = 60.0
"""Seconds until a call of a ``def`` that finds all threads busy is told so. Tools take seconds, mostly."""


class NotATool(TypeError):
    """Raised for a function that no tool can be made of; its text says what to change."""


class ToolFunction(Generic[P, R]):
    """A function that is called as before, and whose ``tool`` is what a model calls."""

    __name__: str

    def __init__(self, function: Callable[P, R], made: Tool) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self.tool = made

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self._function(*args, **kwargs)


@overload
def tool(function: Callable[P, R], /) -> ToolFunction[P, R]: ...


@overload
def tool(
    *, name: str | None = None, description: str | None = None, repeatable: bool = False, alone: bool = False
) -> Callable[[Callable[P, R]], ToolFunction[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    repeatable: bool = False,
    alone: bool = False,
) -> ToolFunction[P, R] | Callable[[Callable[P, R]], ToolFunction[P, R]]:
    """Make a tool of a function, ``def`` or ``async def``: ``@tool``, or ``@tool(repeatable=True)``.

    Its parameters are the tool's arguments: with types that pydantic knows, defaults, and
    ``Annotated[int, Field(description="…", ge=1)]`` for more. One of type ``ToolContext`` is given the context,
    and no model sees it. A ``def`` runs on a thread. What it returns is told to the model, as JSON if it is no
    text, but no iterator, which may have no end; a ToolError that it raises as well.

    ``name`` is the function's, ``description`` its docstring. ``repeatable``: running it again, after an
    interruption, changes nothing more. ``alone``: no other call of the same turn runs beside it. Raises NotATool.
    """

    def make(function: Callable[P, R]) -> ToolFunction[P, R]:
        made = _Called(function, name=name, description=description, repeatable=repeatable, alone=alone)
        return ToolFunction(function, made)

    return make if function is None else make(function)


def as_tool(given: object) -> Tool:
    """Return the tool that something is: of a decorated function, of a plain one, or a Tool. Raises NotATool."""
    if isinstance(given, ToolFunction):
        return given.tool
    if isinstance(getattr(given, "spec", None), ToolSpec) and callable(given):
        return cast("Tool", given)  # a Protocol's calls cannot be checked at run time
    if inspect.isroutine(given):
        return tool(given).tool
    raise NotATool(f"It is {type(given).__name__}, not a function, nor something with `spec` and `__call__`.")


def on_threads(given: Tool, threads: Executor, *, begun_within: float = WAITS_FOR_A_THREAD) -> Tool:
    """Return a tool that runs on these threads if it is a ``def``; any other is returned as it is.

    Else it takes those of the event loop. A call for which none is free within so many seconds raises ToolError.
    """
    return given.on(threads, begun_within) if isinstance(given, _Called) else given


class _Untitled(GenerateJsonSchema):
    """A schema without titles, which say the names again and cost tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's schema, of any kind
        return False


class _Called:
    """A tool that calls a function with arguments that fit its signature."""

    def __init__(
        self,
        function: Callable[..., object],
        *,
        name: str | None,
        description: str | None,
        repeatable: bool,
        alone: bool,
    ) -> None:
        self._function = function
        self._name = name or str(getattr(function, "__name__", ""))
        if not TOOL_NAME.fullmatch(self._name) or "__" in self._name:
            raise NotATool(
                f"{self._name!r} is no name for a tool: 1 to 64 of a-z, A-Z, 0-9, _ and -, and no __, "
                "which parts the names of MCP servers from those of their tools."
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise NotATool(f"{self._name!r} yields; a tool returns its result, whole: a list, for one.")
        self.threads: Executor | None = None
        self.begun_within: float | None = None
        told = description or inspect.getdoc(function)
        if not told:
            raise NotATool(f"{self._name!r} needs a docstring, or a description: it is what a model is told.")
        self._context, self._model = _signature(self._name, function)
        self.spec = ToolSpec(
            name=self._name,
            description=told,
            parameters=_schema(self._name, self._model),
            repeatable=repeatable,
            alone=alone,
        )

    def on(self, threads: Executor, begun_within: float) -> _Called:
        """Return the same tool, on threads."""
        other = copy.copy(self)
        other.threads, other.begun_within = threads, begun_within
        return other

    async def __call__(
        self,
        arguments: Mapping[str, Any],  # JSON, as the model wrote it
        context: ToolContext,
    ) -> str:
        """Call the function. Raises ToolError for arguments that do not fit, and whatever the function raises."""
        try:
            given = self._model.model_validate(dict(arguments))
        except ValidationError as error:
            raise ToolError(f"{self._name!r} cannot be called so: {_explained(error)}.") from None
        fields = type(given).model_fields.items()
        kwargs = {field.alias: getattr(given, place) for place, field in fields if field.alias is not None}
        if self._context is not None:
            kwargs[self._context] = context
        if inspect.iscoroutinefunction(self._function):
            return _told(await cast("Awaitable[object]", self._function(**kwargs)))  # it is a coroutine function
        return await in_thread(
            lambda: _told(self._function(**kwargs)), threads=self.threads, begun_within=self.begun_within
        )


def _signature(name: str, function: Callable[..., object]) -> tuple[str | None, type[BaseModel]]:
    """Return the parameter that takes the context, and a model of the others. Raises NotATool."""
    try:
        hints = get_type_hints(function, include_extras=True)
        signature = inspect.signature(function)
    except (NameError, TypeError, ValueError) as error:
        raise NotATool(f"The signature of {name!r} cannot be read: {error}.") from error
    context: str | None = None
    fields: dict[str, Any] = {}  # pairs of a type and a default, as create_model() takes them
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise NotATool(f"{name!r} has {_kind(parameter)}: a model gives each argument by its name.")
        hint = hints.get(parameter.name)
        if hint is None:
            raise NotATool(f"The parameter {parameter.name!r} of {name!r} needs a type: a model is told of it.")
        if hint is ToolContext:
            context = parameter.name
        else:
            fields[f"p{len(fields)}"] = (hint, _field(parameter))
    try:
        # Fields have names of their own and the parameters' as aliases: these may be any, also `json` or `_x`.
        return context, create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except PydanticUserError as error:
        raise NotATool(f"{name!r} has a type of which there is no JSON: {error.message}") from error


def _kind(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return f"{parameter.name!r} by position alone"
    return f"*{parameter.name}" if parameter.kind is parameter.VAR_POSITIONAL else f"**{parameter.name}"


def _field(parameter: inspect.Parameter) -> FieldInfo:
    if parameter.default is parameter.empty:
        return cast("FieldInfo", Field(alias=parameter.name))  # typed as Any, to be a default
    if isinstance(parameter.default, FieldInfo):
        raise NotATool(f"Write {parameter.name!r} as Annotated[…, Field(…)]: as a default, Field is what it gets.")
    return cast("FieldInfo", Field(parameter.default, alias=parameter.name))  # as above


def _schema(name: str, model: type[BaseModel]) -> dict[str, Any]:  # a JSON Schema
    try:
        schema = model.model_json_schema(schema_generator=_Untitled)
    except PydanticUserError as error:
        raise NotATool(f"{name!r} has a type of which there is no JSON Schema: {error.message}") from error
    schema.pop("title", None)
    schema.pop("description", None)
    return {"required": [], **schema}


def _explained(error: ValidationError) -> str:
    """Return what is wrong with arguments, in one line."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}" for detail in details[:5]]
    return "; ".join(shown) + (f"; and {len(details) - 5} more" if len(details) > 5 else "")


def _told(result: object) -> str:
    """Return what a model is told of a result. Raises TypeError if there is an iterator in it."""
    _refuse_iterators(result)
    match result:
        case str():
            text = result
        case None:
            text = "Done."
        case msgspec.Struct():
            text = msgspec.json.encode(result).decode()
        case _:
            text = to_json(result).decode()
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}\n[only the first {MAX_TEXT:,} of {len(text):,} characters are shown]"


def _refuse_iterators(result: object) -> None:
    """Raise TypeError for an iterator, also one within lists and dicts: it would be read to its end, if any."""
    left, seen = [result], set[int]()
    while left:
        value = left.pop()
        if isinstance(value, Iterator):
            raise TypeError(f"It returned something with a {type(value).__name__}; a list of it would be told.")
        if isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            left += value.values() if isinstance(value, dict) else value
