"""Finds users' own tools: functions that the configuration names, and those of installed packages."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor

from alex_actors.ports import Tool
from alex_actors.text import failure_line
from alex_actors.tools.functions import NotATool, as_tool, on_threads
from alex_actors.tools.names import Names

ENTRY_POINTS = "alex_runtime.tools"
"""The group in which a package lists its tools; an entry's name is the tool's."""


class ToolsError(Exception):
    """Raised for tools that cannot be had as configured; its text says what is wrong and what would be right."""


def load_tools(
    functions: Sequence[str],
    *,
    wanted: Collection[str] = (),
    installed: Iterable[importlib.metadata.EntryPoint] | None = None,
    threads: Executor | None = None,
) -> dict[str, Tool]:
    """Return the tools by name: of ``functions``, such as ``my_tools:weather``, and of installed packages.

    Of the latter, those whose entry points ``wanted`` names, exactly or by a pattern: it is what the presets have,
    all together. No others are imported, so that installing a package runs none of its code here.
    ``installed``: as Python knows them, unless given. A ``def`` runs on ``threads``. Raises ToolsError.
    """
    found = [_named(spec) for spec in functions]
    names = Names(wanted)
    entries = importlib.metadata.entry_points(group=ENTRY_POINTS) if installed is None else installed
    found += [_entry(entry) for entry in entries if entry.name in names]
    if threads is not None:
        found = [on_threads(made, threads) for made in found]
    return merged(*({made.spec.name: made} for made in found))


def merged(*groups: Mapping[str, Tool]) -> dict[str, Tool]:
    """Return all tools of all groups. Raises ToolsError if a name is in two of them: neither wins in silence."""
    tools: dict[str, Tool] = {}
    for group in groups:
        for name, made in group.items():
            if name in tools:
                raise ToolsError(f"Two tools have the name {name!r}; give one another, with @tool(name=…).")
            tools[name] = made
    return tools


def _named(spec: str) -> Tool:
    module, _, attribute = spec.partition(":")
    if not module or not attribute:
        raise ToolsError(f"{spec!r} names no function: it must be package.module:function.")
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ToolsError(f"{spec!r}: there is no module {error.name!r} on Python's path.") from error
        raise ToolsError(f"{spec!r}: importing {module!r} failed: {failure_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise ToolsError(f"{spec!r}: importing {module!r} failed: {failure_line(error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ToolsError(f"{spec!r}: {module!r} has no {attribute!r}.")
        found = getattr(found, part)
    return _tool(repr(spec), found)


def _entry(entry: importlib.metadata.EntryPoint) -> Tool:
    where = f"the entry point {entry.name!r} of {ENTRY_POINTS}"
    try:
        found: object = entry.load()
    except (Exception, SystemExit) as error:
        raise ToolsError(f"{where}: loading {entry.value!r} failed: {failure_line(error)}") from error
    made = _tool(where, found)
    if made.spec.name != entry.name:
        raise ToolsError(f"{where}: the tool's name is {made.spec.name!r}; both must be the same.")
    return made


def _tool(where: str, found: object) -> Tool:
    try:
        return as_tool(found)
    except NotATool as error:
        raise ToolsError(f"{where}: {error}") from error
