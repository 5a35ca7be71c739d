"""What a check of a log has found, as lines for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from alex_actors.logs.reading import parse
from alex_actors.tracing.facts import RULES
from alex_actors.tracing.findings import Checked, Violation
from alex_http.terminal.harmless import one_line

LEFT_OUT = frozenset(("level", "task_id", "trace_id", "agent"))
"""Fields that say nothing about a rule, or the same as all others of the task."""


def told(checked: Checked, *, shown: int, longest: int) -> Iterator[str]:
    """Yield the lines: the first ``shown`` violations, each with its lines of the log, cut to ``longest``."""
    for violation in checked.violations[:shown]:
        yield from _told_of(violation, longest)
    if checked.broken > shown:
        rest = Counter(one.rule for one in checked.violations[shown:])
        by_rule = ", ".join(f"{count:,} {rule}" for rule, count in rest.most_common())
        yield f"… and {checked.broken - shown:,} more: {by_rule}."
        yield ""
    killed = f", {checked.killed:,} of them killed" if checked.killed else ""
    yield (
        f"{', '.join(map(one_line, checked.files))}: {checked.lines:,} lines, {_counted(checked.tasks, 'task')}, "
        f"{_counted(checked.runs, 'run')} of the server{killed}; {checked.seconds:.1f} s."
    )
    yield from _not_provable(checked)
    if checked.clean:
        yield "Clean: no rule is broken." if checked.tasks else "No task is in it: there was nothing to check."
    else:
        tasks = len({one.task_id for one in checked.violations})
        yield f"{_counted(checked.broken, 'violation')}, of {_counted(tasks, 'task')}."


def _told_of(violation: Violation, longest: int) -> Iterator[str]:
    session = one_line(violation.session_id) or "no session"
    yield f"{one_line(violation.task_id)} of {session} broke {violation.rule}:"
    yield f"  {RULES[violation.rule]}"
    yield f"  {one_line(violation.what)}"
    for place in violation.lines:
        text = f": {one_line(_brief(place.text), longest)}" if place.text else ""
        yield f"  {one_line(place.file)}:{place.number}{text}"
    yield ""


def _brief(line: str) -> str:
    """Return what a line says of its task, without what stands above it, and without the rest of JSON."""
    said = parse(line.encode()) or {}
    head = f"{said.pop('ts', '')} {said.pop('event', '')}"
    fields = (f"{name}={value}" for name, value in said.items() if name not in LEFT_OUT)
    return " ".join((head, *fields))


def _not_provable(checked: Checked) -> Iterator[str]:
    """Say of what the log proves nothing."""
    if checked.unfinished:
        yield f"{_counted(checked.unfinished, 'task')} had no end yet where the log ends."
    if checked.left:
        yield (
            f"{_counted(checked.left, 'task')} had no end when the server was killed, and was not found "
            "unfinished at the next start: it ended, or was never recorded, in the moment of the kill."
        )
    if checked.begun_before:
        yield f"{_counted(checked.begun_before, 'task')} began before the log does, or in lines that were lost."
    if checked.told_again:
        yield f"{_counted(checked.told_again, 'fact')} was told again after a crash of the store's actor."
    if checked.lost:
        yield f"{_counted(checked.lost, 'line')} could not be written, as the log says, and are not known."
    if checked.unreadable:
        yield f"{_counted(checked.unreadable, 'line')} could not be read: no JSON of a log, or cut short."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
