"""What a check knows of a task that is unfinished, and what it holds against tasks."""

from __future__ import annotations

import msgspec

from alex_actors.tracing.findings import MOST_LINES, Checked, Place, Violation

MOST_KEPT = 10_000
"""Violations that are kept; beyond, they are counted. So many are of a log that is none of one server."""


class Unfinished(msgspec.Struct):
    """A task that has not ended."""

    session_id: str
    owner: str = ""
    facts: dict[str, int] = msgspec.field(default_factory=dict)
    """What was told of it in this stretch of the log, each with its line."""
    stretch: int = 0
    """Which stretch that was: a run of the server, or a part of one from which no line is missing."""
    run: int = 0
    """In which run of the server that was."""
    recorded: bool = False
    """Whether more than its confirmation was ever told."""
    whole: bool = True
    """Whether its beginning is in the log."""
    place: int | None = None
    """Its number among all confirmations; None if that is not known."""
    strategy: str = ""
    begun: int = 0
    """The line of ``task.started``, in whatever run; 0 if there is none."""

    @property
    def session(self) -> tuple[str, str]:
        """What tells its session from all others: two owners may give theirs the same ID."""
        return self.owner, self.session_id


class Notes:
    """Collects violations: one for each task and rule, with the lines that show it."""

    def __init__(self, found: Checked) -> None:
        self._found = found
        self._kept: dict[tuple[str, str], Violation] = {}

    def accuse(self, task_id: str, task: Unfinished, rule: str, what: str, number: int) -> None:
        """Hold it against a task that it broke a rule, as the line of this number shows."""
        known = self._kept.get((task_id, rule))
        if known is not None:
            if len(known.lines) < MOST_LINES and known.lines[-1].number < number:
                known.lines.append(Place(number))
            return
        self._found.broken += 1
        if len(self._kept) < MOST_KEPT:
            numbers = sorted({*task.facts.values(), number})
            violation = Violation(task_id, task.session_id, rule, what, [Place(one) for one in numbers])
            self._kept[task_id, rule] = violation
            self._found.violations.append(violation)
