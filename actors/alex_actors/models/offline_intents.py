"""What a part of a task can mean to the offline model."""

from __future__ import annotations

from typing import TypeAlias

from alex_actors.values import Value

LONGEST_COUNT = 1000
MOST_STEPS = 1000
LONGEST_STEP = 60_000
"""Milliseconds."""


class Calculate(Value, frozen=True):
    """Compute an expression."""

    expression: str


class ListFiles(Value, frozen=True):
    """List a directory."""

    path: str


class ReadFile(Value, frozen=True):
    """Say what a file contains."""

    path: str


class WriteFile(Value, frozen=True):
    """Write a file."""

    path: str
    content: str


class Search(Value, frozen=True):
    """Find a text in files."""

    query: str
    path: str


class RunCommand(Value, frozen=True):
    """Run a shell command."""

    command: str


class Echo(Value, frozen=True):
    """Answer with a text."""

    text: str


class Count(Value, frozen=True):
    """Count, up or down."""

    first: int
    last: int

    @property
    def numbers(self) -> range:
        """Return what is counted."""
        step = 1 if self.first <= self.last else -1
        return range(self.first, self.last + step, step)


class Simulate(Value, frozen=True):
    """Take steps in which nothing happens but time."""

    steps: int
    milliseconds: int
    fail: bool = False


class Unknown(Value, frozen=True):
    """No rule covers it; ``reason`` if one nearly does."""

    text: str
    reason: str | None = None


Intent: TypeAlias = (
    Calculate | ListFiles | ReadFile | WriteFile | Search | RunCommand | Echo | Count | Simulate | Unknown
)
