"""What a file defines by name: presets, models, prices, MCP servers, agents of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alex_config.errors import Given, expected, unknown, wrong
from alex_config.models import Definitions, Presets
from alex_config.sources import Name
from alex_config.tables import AgentPreset, McpTable, ModelTable, Price, Table, ToolPreset

PRESET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
MCP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

_NAMED_AS_PRESETS = "named with 1 to 64 small letters, digits and hyphens, and not begin with a hyphen"
_NAMED_AS_MODELS = "named with 1 to 128 letters, digits and '.', '_', ':', '/', '@', '+', '-', the first no sign"
_NAMES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "presets.agents": (PRESET_NAME, _NAMED_AS_PRESETS),
    "presets.tools": (PRESET_NAME, _NAMED_AS_PRESETS),
    "models": (MODEL_NAME, _NAMED_AS_MODELS),
    "prices": (MODEL_NAME, _NAMED_AS_MODELS),
    "mcp": (MCP_NAME, "named with 1 to 32 small letters, digits and hyphens, and not begin with a hyphen"),
    "agents": (PRESET_NAME, _NAMED_AS_PRESETS),
}
_TABLES: Mapping[str, type[Table]] = {
    "presets.agents": AgentPreset,
    "presets.tools": ToolPreset,
    "models": ModelTable,
    "prices": Price,
    "mcp": McpTable,
}
_SHOWN_KEYS = {"presets.tools": ("tools",), "presets.agents": ("system_prompt",)}


def checked_definitions(
    given: Mapping[Name, Given], *, environ: Mapping[str, str], directory: Path
) -> tuple[Definitions, list[str]]:
    """Return those definitions that are right, and a line for everything that is wrong with the others."""
    tables: dict[str, dict[str, Any]] = {kind: {} for kind in _TABLES}  # Any: each kind has its type
    own_agents: dict[str, str] = {}
    problems: list[str] = []
    for (kind, name), one in given.items():
        pattern, right = _NAMES[kind]
        if not pattern.fullmatch(name):
            problems.append(wrong(kind, Given(name, one.origin), right))
        elif kind == "agents":
            own_agents[name] = str(one.value)
        else:
            try:
                table = _TABLES[kind].model_validate(one.value)
            except ValidationError as error:
                problems += _problems(kind, name, one.origin, error)
                continue
            faults = _FAULTS.get(kind, _none)(table, f"{kind}.{name}, {one.origin}", environ)
            problems += faults
            tables[kind][name] = table
    return _defined(tables, own_agents, environ, directory), problems


def _defined(
    tables: Mapping[str, Mapping[str, Any]],  # Any: as above
    own_agents: Mapping[str, str],
    environ: Mapping[str, str],
    directory: Path,
) -> Definitions:
    agents: Mapping[str, AgentPreset] = tables["presets.agents"]
    tools: Mapping[str, ToolPreset] = tables["presets.tools"]
    models: Mapping[str, ModelTable] = tables["models"]
    keys = {name: environ.get(one.api_key_variable, one.api_key) for name, one in models.items()}
    return Definitions(
        presets=Presets(
            agents={name: preset.system_prompt for name, preset in agents.items()},
            models={name: preset.model for name, preset in agents.items() if preset.model},
            tools={name: tuple(dict.fromkeys(preset.tools)) for name, preset in tools.items()},
            approve={name: preset.approve for name, preset in tools.items() if preset.approve},
        ),
        models={name: one.model_copy(update={"api_key": keys[name]}) for name, one in models.items()},
        prices=tables["prices"],
        mcp=tables["mcp"],
        own_agents=own_agents,
        directory=directory,
    )


def _none(_table: Table, _name: str, _environ: Mapping[str, str]) -> list[str]:
    return []


def _faults_of_model(table: Table, name: str, environ: Mapping[str, str]) -> list[str]:
    if not isinstance(table, ModelTable) or not table.api_key_variable:
        return []
    if table.api_key:
        return [f"{name}: api_key and api_key_variable are both there; give one of them"]
    if table.api_key_variable not in environ:
        # What is given is not shown: somebody may have put the key there.
        return [f"{name}: api_key_variable must be the name of an environment variable that there is"]
    return []


_VARIABLES: Mapping[str, Callable[[McpTable], Iterable[str]]] = {
    "pass_env": lambda table: table.pass_env,
    "header_variables": lambda table: table.header_variables.values(),
}


def _faults_of_mcp(table: Table, name: str, environ: Mapping[str, str]) -> list[str]:
    if not isinstance(table, McpTable):
        return []
    if bool(table.command) == bool(table.url):
        return [f"{name}: needs a command, which is started, or the url of a server that runs; one of them"]
    if table.url and not re.match(r"https?://[^/]", table.url):
        return [f"{name}: the url must begin with http:// or https:// and a host"]
    misplaced = ("args", "env", "pass_env", "cwd") if table.url else ("headers", "header_variables")
    goes_with = "command" if table.url else "url"
    return [
        *(f"{name}: {key} goes with a {goes_with}" for key in misplaced if getattr(table, key)),
        *(
            f"{name}: {key} has {variable!r}, and there is no such environment variable"
            for key, variables in (
                ("pass_env", table.pass_env),
                ("header_variables", table.header_variables.values()),
            )
            for variable in variables
            if variable not in environ
        ),
    ]


_FAULTS: Mapping[str, Callable[[Table, str, Mapping[str, str]], list[str]]] = {
    "models": _faults_of_model,
    "mcp": _faults_of_mcp,
}


def _problems(kind: str, named: str, origin: str, error: ValidationError) -> list[str]:
    name = f"{kind}.{named}"
    schemas = _TABLES[kind].model_json_schema()["properties"]
    problems: list[str] = []
    for detail in error.errors(include_url=False):
        given = Given(detail["input"], origin)
        match detail["type"], detail["loc"]:
            case "missing", (key, *_):
                problems.append(f"{name}, {origin}: {key} is missing; must be {expected(schemas[key])}")
            case "extra_forbidden", (key, *_):
                problems.append(unknown(f"{name}.{key}", origin, (f"{name}.{known}" for known in schemas)))
            case _, (key, int(index), *_):
                problems.append(wrong(f"{name}.{key}[{index}]", given, expected(schemas[key]["items"])))
            case _, (key, str(inner), *_):
                problems.append(wrong(f"{name}.{key}.{inner}", given, "a text"))
            case _, (key, *_):
                problems.append(wrong(f"{name}.{key}", given, expected(schemas[key])))
            case _:
                keys = _SHOWN_KEYS.get(kind, tuple(schemas))
                problems.append(wrong(name, given, f"a section: [{name}] with {', '.join(keys)}"))
    return problems
