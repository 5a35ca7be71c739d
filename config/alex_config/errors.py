"""What is said to a person whose settings are wrong: one line for each, with what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alex_actors.redact import redact

LONGEST_VALUE = 80
"""Characters of a wrong value that are shown: enough to find it again, and one line on a screen."""


class SettingsError(Exception):
    """The settings are wrong. Its text has one line for each problem, which ``problems`` has one by one."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(map(_printable, problems))
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody gave, and where: ``origin`` reads well after a comma."""

    value: object
    origin: str


def wrong(name: str, given: Given, right: str) -> str:
    """Return the line for a setting whose value is wrong; ``right`` follows "must be"."""
    return f"{name} = {_shown(name, given.value)}, {given.origin}: must be {right}"


def unknown(name: str, origin: str, known: Iterable[str], *, what: str = "setting") -> str:
    """Return the line for a name that does not exist, with the closest one that does, else with all."""
    return f"{name}, {origin}: there is no such {what}; {suggestion(name, known)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the known name that is closest to ``name`` as a question, else all known names.

    Where no whole name is close, one with a close last part is: the right key in the wrong section.
    """
    whole = {each.casefold(): each for each in known}
    last = {each.rpartition(".")[2]: names for each, names in whole.items()}
    for wanted, names in ((name.casefold(), whole), (name.casefold().rpartition(".")[2], last)):
        if close := difflib.get_close_matches(wanted, names, n=1):
            return f"did you mean {names[close[0]]}?"
    return f"there are {', '.join(whole.values())}"


def expected(schema: Mapping[str, Any]) -> str:  # Any: JSON Schema nests as it likes
    """Put a setting's JSON Schema into words that follow "must be"."""
    match schema:
        case {"description": str(words)}:
            return words
        case {"enum": [*values]}:
            return f"one of {', '.join(map(repr, values))}"
        case {"type": "integer"}:
            return f"a whole number{_range(schema)}"
        case {"type": "number"}:
            return f"a number{_range(schema)}"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "array", "items": items}:
            return f"a list, and each item {expected(items)}"
        case {"type": "object"}:
            return "a table of texts"
        case {"type": "string", "minLength": _}:
            return "a text that is not empty"
        case _:
            return "a text"


def _range(schema: Mapping[str, Any]) -> str:  # Any: as above
    return f" from {schema['minimum']} to {schema['maximum']}"


def _shown(name: str, value: object) -> str:
    """Show a value on one line; not if its name or its looks say that it is a secret."""
    key = name.rpartition(".")[2]
    shown = redact({key: value})
    text = repr(shown[key])
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _printable(line: str) -> str:
    """Escape what would break the line or steer a terminal: names and paths may hold anything."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
