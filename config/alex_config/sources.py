"""Where settings come from: files, the environment, the command line; each value with its origin."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from alex_config.errors import Given, unknown, wrong
from alex_config.models import SECTIONS

PREFIX = "ALEX_"
BUILT_IN = "built in"
NAMED = ("models", "prices", "mcp")
"""Sections of named tables: ``[models.NAME]``."""
OWN_AGENT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""How an agent of one's own is named: its module and what it is called there."""

NOT_SETTINGS = frozenset({"ALEX_SERVER_URL", "ALEX_TOKEN"})
"""Variables of the commands that use a server: where it is, and the token for it."""

Name: TypeAlias = tuple[str, str]
"""Section and key."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one source gives: values of known settings, definitions of presets, and what was wrong."""

    settings: Mapping[Name, Given] = field(default_factory=dict)
    definitions: Mapping[Name, Given] = field(default_factory=dict)
    """By kind (``presets.agents``, ``models``, …) and name, as they were written."""
    problems: tuple[str, ...] = ()


def from_file(path: Path, *, required: bool) -> Source:
    """Read a TOML file. One that is not there gives nothing, or a problem if it is required."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        missing = f"{path}: there is no such file; --config takes the path of a TOML file"
        return Source(problems=(missing,) if required else ())
    except OSError as error:
        return Source(problems=(f"{path}: cannot be read ({error.strerror}); must be a readable TOML file",))
    except UnicodeDecodeError as error:
        return Source(problems=(f"{path}: byte {error.start} is not UTF-8; must be a TOML file in UTF-8",))
    except tomllib.TOMLDecodeError as error:
        return Source(problems=(f"{path}: not TOML: {error}",))
    return from_table(table, origin=f"in {path}")


def from_table(table: Mapping[str, object], *, origin: str) -> Source:
    """Take settings and presets from nested tables: ``{section: {key: value}}``."""
    settings: dict[Name, Given] = {}
    definitions: dict[Name, Given] = {}
    problems: list[str] = []
    for section, content in table.items():
        if section not in (*SECTIONS, "presets", *NAMED):
            problems.append(unknown(section, origin, [*SECTIONS, "presets", *NAMED], what="section"))
        elif not isinstance(content, Mapping):
            problems.append(wrong(section, Given(content, origin), f"a section: [{section}] on its own line"))
        elif section == "presets":
            problems += _take_presets(content, definitions, origin)
        elif section in NAMED:
            definitions |= {(section, name): Given(value, origin) for name, value in content.items()}
        else:
            own = {key: value for key, value in content.items() if section == "agents" and _is_agent(key, value)}
            definitions |= {(section, name): Given(value, origin) for name, value in own.items()}
            rest = {key: value for key, value in content.items() if key not in own}
            problems += _take_settings(section, rest, settings, origin)
    return Source(settings, definitions, tuple(problems))


def _is_agent(key: str, value: object) -> bool:
    """Return whether an entry of ``[agents]`` names an agent of one's own: ``package.module:Name``."""
    return ("agents", key) not in schemas() and isinstance(value, str) and OWN_AGENT.fullmatch(value) is not None


def _take_settings(
    section: str, content: Mapping[str, object], settings: dict[Name, Given], origin: str
) -> list[str]:
    problems: list[str] = []
    for key, value in content.items():
        if (section, key) in schemas():
            settings[section, key] = Given(value, origin)
        else:
            problem = unknown(f"{section}.{key}", origin, (".".join(name) for name in schemas()))
            own = '; an agent of your own is named as "package.module:Agent"' if section == "agents" else ""
            problems.append(problem + own)
    return problems


def _take_presets(content: Mapping[str, object], presets: dict[Name, Given], origin: str) -> list[str]:
    problems: list[str] = []
    for kind, definitions in content.items():
        if kind not in ("agents", "tools"):
            problems.append(
                unknown(f"presets.{kind}", origin, ("presets.agents", "presets.tools"), what="section")
            )
        elif not isinstance(definitions, Mapping):
            problems.append(
                wrong(f"presets.{kind}", Given(definitions, origin), f"a section: [presets.{kind}.NAME]")
            )
        else:
            presets |= {(f"presets.{kind}", name): Given(value, origin) for name, value in definitions.items()}
    return problems


def from_environ(environ: Mapping[str, str]) -> Source:
    """Take settings from variables named ``ALEX_SECTION__KEY``; any other ``ALEX_…`` is a problem."""
    variables = {f"{PREFIX}{section}__{key}".upper(): (section, key) for section, key in schemas()}
    settings: dict[Name, Given] = {}
    problems: list[str] = []
    for variable, text in environ.items():
        if name := variables.get(variable):
            settings[name] = Given(_parsed(text, name), f"in environment variable {variable}")
        elif variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            problems.append(unknown(variable, "in the environment", [*variables, *NOT_SETTINGS]))
    return Source(settings, problems=tuple(problems))


def _parsed(text: str, name: Name) -> object:
    """Read a variable's text as the setting's type; leave it as it is if that fails, to be shown as wrong."""
    try:
        match schemas()[name].get("type"):
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}.get(text.lower(), text)
            case "array":
                return [item.strip() for item in text.split(",") if item.strip()]
    except ValueError:
        return text
    return text


def from_command_line(overrides: Mapping[str, Mapping[str, object]]) -> Source:
    """Take settings from parsed options; None stands for an option that was not given."""
    given = {
        section: {key: value for key, value in content.items() if value is not None}
        for section, content in overrides.items()
    }
    return from_table(given, origin="on the command line")


@cache
def schemas() -> Mapping[Name, Mapping[str, Any]]:  # Any: JSON Schema nests as it likes
    """Return the JSON Schema of every setting that there is."""
    return {
        (section, key): schema
        for section, model in SECTIONS.items()
        for key, schema in model.model_json_schema()["properties"].items()
    }
