"""Loading the settings: shipped defaults, a file, the environment, the command line; the later wins."""

from __future__ import annotations

# pydantic-settings is not used: it reads the process's own environment, lets an unknown ALEX_… variable and
# a missing file pass, and forgets which source a value came from, which every message here says.
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from alex_actors.models import OFFLINE
from alex_config.definitions import checked_definitions
from alex_config.errors import Given, SettingsError, expected, suggestion, wrong
from alex_config.models import SECTIONS, Settings
from alex_config.sources import (
    BUILT_IN,
    Name,
    Source,
    from_command_line,
    from_environ,
    from_file,
    from_table,
    schemas,
)

CONFIG_FILE = "alex.toml"
"""Read from the working directory if no file is named."""


def load(
    *,
    config_file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, object]],
    cwd: Path,
) -> Settings:
    """Return the settings that the sources give, from the weakest to the strongest.

    ``config_file`` is the path after ``--config``, from ``cwd`` if it is relative; None stands for
    ``alex.toml`` in ``cwd``, if there is one. ``overrides`` are options of the command line as
    ``{section: {key: value}}``; None as a value is an option that was not given.

    Raises SettingsError, with a line for everything that is wrong, in all sources.
    """
    path = cwd / (config_file or CONFIG_FILE)
    file = from_file(path, required=config_file is not None)
    sources = [shipped(), file, from_environ(environ), from_command_line(overrides)]
    given = {name: value for source in sources for name, value in source.settings.items()}
    definitions = {name: value for source in sources for name, value in source.definitions.items()}

    defined, wrong_definitions = checked_definitions(definitions, environ=environ, directory=path.parent)
    problems = [problem for source in sources for problem in source.problems]
    problems += [*_wrong_values(given), *wrong_definitions, *_unknown_preset(given, definitions)]
    if problems:
        raise SettingsError(problems)
    settings = Settings.model_validate({**_nested(given), "defined": defined})
    if problems := [*_contradictions(settings)]:
        raise SettingsError(problems)
    return settings


def shipped() -> Source:
    """Return the defaults of all settings, and the presets that come with the package."""
    package = resources.files("alex_config")

    def read(path: str) -> dict[str, object]:
        return tomllib.loads(package.joinpath(path).read_text("utf-8"))

    presets = {"agents": read("presets/agents.toml"), "tools": read("presets/tools.toml")}
    return from_table({**read("default.toml"), "presets": presets}, origin=BUILT_IN)


def _contradictions(settings: Settings) -> Iterable[str]:
    """Say what does not go together, though each by itself may be."""
    model, defined = settings.model, settings.defined
    if model.name == OFFLINE:
        for key in ("base_url", "api_key", "api_version"):
            if getattr(model, key):
                yield f"model.{key} is set, and model.name is {OFFLINE!r}: name the model that is to be used"
    if OFFLINE in defined.models:
        yield f"models.{OFFLINE}: that is the name of the built-in rules; choose another one"
    for name in sorted(({model.name, *model.choices} - {OFFLINE}) & {*defined.models}):
        yield f"models.{name}: model.name or model.choices has a model of that name too; choose another one"
    known = (model.name, *model.choices, *defined.models)
    for preset, name in defined.presets.models.items():
        if name not in known:
            problem = f"there is no model {name!r}; {suggestion(name, known)}"
            yield f"presets.agents.{preset}.model: {problem}"


def _nested(given: Mapping[Name, Given]) -> dict[str, dict[str, object]]:
    nested: dict[str, dict[str, object]] = {section: {} for section in SECTIONS}
    for (section, key), value in given.items():
        nested[section][key] = value.value
    return nested


def _wrong_values(given: Mapping[Name, Given]) -> Iterable[str]:
    """Check each section by itself: the error of one must not hide those of another."""
    for section, values in _nested(given).items():
        try:
            SECTIONS[section].model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                key = str(detail["loc"][0])
                own_words = detail.get("ctx", {}).get("error")
                right = str(own_words) if own_words else expected(schemas()[section, key])
                yield wrong(f"{section}.{key}", given[section, key], right)


def _unknown_preset(given: Mapping[Name, Given], definitions: Iterable[Name]) -> Iterable[str]:
    preset = given["tools", "preset"]
    known = [name for kind, name in definitions if kind == "presets.tools"]
    if isinstance(preset.value, str) and preset.value.strip() not in ("", *known):
        right = f"the name of a tool preset ({', '.join(known)}); {suggestion(preset.value, known)}"
        yield wrong("tools.preset", preset, right)
