"""Presets, as data: who an agent is, and which tools it may call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from alex_config.errors import Given, expected, unknown, wrong
from alex_config.models import Presets, Text
from alex_config.sources import Name

PRESET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

ToolName: TypeAlias = Literal[
    "calculator",
    "think",
    "list_files",
    "file_read",
    "search",
    "file_write",
    "file_edit",
    "web_fetch",
    "shell",
]
"""The tools that a preset may name."""


class _Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _AgentPreset(_Definition):
    system_prompt: Text


class _ToolPreset(_Definition):
    tools: list[ToolName]


_DEFINITIONS: Mapping[str, type[_Definition]] = {"agents": _AgentPreset, "tools": _ToolPreset}


def checked_presets(definitions: Mapping[Name, Given]) -> tuple[Presets, list[str]]:
    """Return those presets that are right, and a line for everything that is wrong with the others."""
    agents: dict[str, str] = {}
    tools: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for (kind, name), given in definitions.items():
        if not PRESET_NAME.fullmatch(name):
            right = "named with 1 to 64 small letters, digits and hyphens, and not begin with a hyphen"
            problems.append(wrong(f"presets.{kind}", Given(name, given.origin), right))
            continue
        try:
            definition = _DEFINITIONS[kind].model_validate(given.value)
        except ValidationError as error:
            problems += _problems(f"presets.{kind}.{name}", given.origin, _DEFINITIONS[kind], error)
            continue
        if isinstance(definition, _AgentPreset):
            agents[name] = definition.system_prompt
        elif isinstance(definition, _ToolPreset):
            tools[name] = tuple(dict.fromkeys(definition.tools))
    return Presets(agents=agents, tools=tools), problems


def _problems(name: str, origin: str, model: type[_Definition], error: ValidationError) -> list[str]:
    schemas = model.model_json_schema()["properties"]
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
            case _, (key, *_):
                problems.append(wrong(f"{name}.{key}", given, expected(schemas[key])))
            case _:
                problems.append(wrong(name, given, f"a section: [{name}] with {', '.join(schemas)}"))
    return problems
