"""Agents of one's own: what a user's configuration names, as agents that the runtime can run.

They are loaded once, at the start, so that what is wrong with one is said there and not by the first task.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeVar, cast, runtime_checkable

from alex_actors.agents.memory import Conversations, NothingSaid
from alex_actors.ports import Agent, AgentError
from alex_actors.redact import NO_SECRETS, Redactor
from alex_actors.text import failure_line

if TYPE_CHECKING:
    from alex_actors.events import AnyEvent
    from alex_actors.ports import AgentYield, Clock, Model
    from alex_actors.tasks import Task
    from alex_actors.tools.toolbox import Toolbox

F = TypeVar("F", bound=Callable[..., object])

_SHAPE = (
    "a class with run(self, task, history), an object that has it, or an async generator function (task, history)"
)
"""What is right, as every error says it."""


class CannotLoad(Exception):
    """An agent that the configuration names is none; the text says why, and what would be right."""


@dataclass(frozen=True, kw_only=True)
class AgentParts:
    """What the built-in ReAct agent works with, for agents of one's own.

    ``model`` is the one that the configuration names first, ``models`` all of them by name. ``persona`` gives the
    system prompt of an agent preset, ``workspace`` the directory of a task's session, which need not exist yet;
    ``conversations`` know what was said in a session before a task.
    """

    model: Model
    toolbox: Toolbox
    persona: Callable[[str], str]
    workspace: Callable[[Task], Path]
    clock: Clock
    redactor: Redactor = NO_SECRETS
    models: Mapping[str, Model] = field(default_factory=dict)
    conversations: Conversations = field(default_factory=NothingSaid)

    def model_of(self, task: Task) -> Model:
        """Return the model that a task asks for. Raises AgentError if it is not configured any more."""
        model = self.models.get(task.model)
        if model is None:
            raise AgentError(f"There is no model {task.model!r}; there are: {', '.join(sorted(self.models))}.")
        return model


@runtime_checkable
class TakesParts(Protocol):
    """An agent that is made before there are parts, in a module of its user's, and takes them at the start."""

    def with_parts(self, parts: AgentParts) -> Agent:
        """Return the agent that works with these parts."""


def resumable(function: F) -> F:
    """Mark an async generator function as an agent that goes on from its history: ``resumes = True``."""
    vars(function)["resumes"] = True  # a function takes any attribute, which a type checker does not know
    return function


class FunctionAgent:
    """An async generator function as an agent."""

    def __init__(self, function: Callable[[Task, Sequence[AnyEvent]], AsyncIterator[AgentYield]]) -> None:
        self.run = function
        self.resumes = getattr(function, "resumes", False)


def load_agents(specs: Mapping[str, str], *, parts: AgentParts, search: Sequence[Path]) -> dict[str, Agent]:
    """Return the agents that ``[agents]`` of a configuration names. Raises CannotLoad, with the setting's name."""
    found = {}
    for name, spec in specs.items():
        try:
            found[name] = load_agent(spec, parts=parts, search=search)
        except CannotLoad as error:
            raise CannotLoad(f'agents.{name} = "{spec}": {error}') from error
    return found


def load_agent(spec: str, *, parts: AgentParts, search: Sequence[Path]) -> Agent:
    """Return the agent that ``package.module:Agent`` names. Raises CannotLoad.

    Modules are looked for as Python does, then in the directories ``search``: these are put at the end of
    ``sys.path`` and stay there, since an agent may import its own modules later. At the end, so that a file there
    does not hide a module of the same name that is installed.

    What is called once, here: a class without parameters, and anything that takes one parameter annotated
    ``AgentParts``, a class or a function that returns an agent. A compiled LangGraph graph and an agent of
    pydantic-ai get their adapter.
    """
    module_name, colon, path = spec.partition(":")
    if not (colon and all(part.isidentifier() for part in (*module_name.split("."), *path.split(".")))):
        raise CannotLoad('It is not of the form "package.module:Agent".')
    sys.path.extend(str(folder) for folder in search if str(folder) not in sys.path)
    found: object = _module(module_name, search)
    for name in path.split("."):
        found = _attribute(found, name, module_name)
    return _agent(found, path, parts)


def _module(name: str, search: Sequence[Path]) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):  # another one, that it imports
            raise CannotLoad(f"{name} cannot be imported: {failure_line(error)}{_line_of(error)}") from error
        places = " nor in ".join(map(str, search)) or "the path of Python"
        raise CannotLoad(f"There is no module {error.name}: neither is it installed, nor in {places}.") from error
    except (Exception, SystemExit) as error:
        raise CannotLoad(f"{name} cannot be imported: {failure_line(error)}{_line_of(error)}") from error


def _line_of(error: BaseException) -> str:
    """Return where an import failed: the last line of code that ran. A syntax error says it itself."""
    trace = error.__traceback__
    if trace is None or isinstance(error, SyntaxError):
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})"


def _attribute(owner: object, name: str, module_name: str) -> object:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        own = (
            key
            for key, value in vars(owner).items()
            if not key.startswith("_") and getattr(value, "__module__", None) == module_name
        )
        there = ", ".join(sorted(own)) or "nothing that could be an agent"
        raise CannotLoad(f"There is no {name} in {module_name}; there is: {there}.") from error


def _agent(found: object, name: str, parts: AgentParts) -> Agent:
    """Return what was found as an agent, after making it if it has to be made."""
    if inspect.isasyncgenfunction(found):
        _check_call(found, f"{name}(task, history)")
        return _checked(FunctionAgent(found), name)
    if inspect.iscoroutinefunction(found):
        raise CannotLoad(f"{name} has no yield: what was meant is an async generator function (task, history).")
    if inspect.isclass(found) or (inspect.isfunction(found) and _takes_parts(found)):
        found = _made(found, name, parts)
    return _checked(_adapted(found, parts), name)


def _made(maker: Callable[..., object], name: str, parts: AgentParts) -> object:
    """Call a class or a function that makes an agent."""
    needed = _needed(maker)
    if needed and not _takes_parts(maker):
        raise CannotLoad(
            f"{name} needs {', '.join(needed)}: it has to take nothing, or one parameter of type AgentParts."
        )
    try:
        if _takes_parts(maker):
            (parameter, *_) = inspect.signature(maker).parameters.values()
            return maker(**{parameter.name: parts}) if parameter.kind is parameter.KEYWORD_ONLY else maker(parts)
        return maker()
    except (Exception, SystemExit) as error:
        raise CannotLoad(f"{name} raised when it was made: {failure_line(error)}{_line_of(error)}") from error


def _needed(maker: Callable[..., object]) -> list[str]:
    """Return the parameters that have no default."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(maker).parameters.values()
    return [one.name for one in parameters if one.default is one.empty and one.kind not in variadic]


def _takes_parts(maker: Callable[..., object]) -> bool:
    """Return whether the first parameter is annotated AgentParts, and no other is needed.

    Annotations of ``from __future__ import annotations`` are text, and their names may be there for type checkers
    alone: the name is compared.
    """
    parameters = list(inspect.signature(maker).parameters.values())
    if not parameters or not set(_needed(maker)) <= {parameters[0].name}:
        return False
    annotation = parameters[0].annotation
    text = annotation.rpartition(".")[2] if isinstance(annotation, str) else None
    return annotation is AgentParts or text == AgentParts.__name__


def _adapted(found: object, parts: AgentParts) -> object:
    """Return an agent of another library in its adapter, and give parts to what takes them.

    The adapters are heavy, and extras: they are imported only if something of their library is there.
    """
    library = type(found).__module__.partition(".")[0]
    if library == "langgraph":
        from langgraph.pregel import Pregel

        from alex_actors.agents.langgraph import LangGraphAgent

        found = LangGraphAgent(found) if isinstance(found, Pregel) else found
    elif library == "pydantic_ai":
        from pydantic_ai import Agent as Wrapped

        from alex_actors.agents.pydantic_ai import PydanticAgent

        found = PydanticAgent(found) if isinstance(found, Wrapped) else found
    return found.with_parts(parts) if isinstance(found, TakesParts) else found


def _checked(agent: object, name: str) -> Agent:
    """Return an object that looks like an agent. Raises CannotLoad if it does not."""
    run = getattr(agent, "run", None)
    if not callable(run):
        raise CannotLoad(f"{name} is no agent, but of the type {type(agent).__name__}; an agent is {_SHAPE}.")
    _check_call(run, f"{name}.run(task, history)")
    if inspect.iscoroutinefunction(run) or inspect.isgeneratorfunction(run):
        raise CannotLoad(f"{name}.run is no async generator: it has to be `async def`, and to yield.")
    if not isinstance(resumes := getattr(agent, "resumes", False), bool):
        raise CannotLoad(f"{name}.resumes has to be True or False, not {resumes!r}.")
    return cast("Agent", agent)  # as far as can be seen without running it


def _check_call(function: Callable[..., object], call: str) -> None:
    """See whether a function takes a task and a history."""
    try:
        inspect.signature(function).bind(None, ())
    except TypeError as error:
        raise CannotLoad(
            f"{call} is how it is called, and it takes {inspect.signature(function)}: {error}."
        ) from error
