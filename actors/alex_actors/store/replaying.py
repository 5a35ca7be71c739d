"""Plays recorded events through again: whether they are a task's whole life, and its record what they make it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from alex_actors.events import (
    EVENT_TYPES,
    TERMINAL,
    AnyEvent,
    TaskCancelled,
    TaskCompleted,
    TaskCreated,
    TaskFailed,
    TerminalEvent,
)
from alex_actors.projection import Progress, advance
from alex_actors.values import Timestamp, Value

PRESET_PATTERN = r"[a-z0-9][a-z0-9-]{0,63}"
"""The name of a preset, as the configuration has it."""
MODEL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}"
"""The name of a model: providers put paths, versions and tags into it."""

_NAMES = {
    "agent_preset": re.compile(PRESET_PATTERN),
    "tool_preset": re.compile(PRESET_PATTERN),
    "model": re.compile(MODEL_PATTERN),
}
_REASONS: Mapping[type[TerminalEvent], tuple[str, ...]] = {
    TaskCompleted: ("completed",),
    TaskFailed: ("error", "timeout", "interrupted"),
    TaskCancelled: ("cancelled",),
}
"""Why a task has ended so."""


class ReplayedEvent(Value, frozen=True):
    """An event as it is recorded."""

    name: str
    """How it is called in what is said of it."""
    event_type: str
    timestamp: Timestamp
    event: AnyEvent


def faults_of_events(record: Mapping[str, object], recorded: Iterable[ReplayedEvent]) -> Iterator[str]:
    """Yield what is wrong with a task's events, in their order, and with the record that they should make.

    ``record`` has the task's text as ``task``, and the fields of Progress by name.
    """
    progress = Progress()
    count = 0
    for one in recorded:
        yield from _faults_of_event(one, count, progress)
        if count == 0 and isinstance(one.event, TaskCreated) and one.event.task != record["task"]:
            yield f"{one.name} has another task than the record"
        if isinstance(one.event, TERMINAL) and not progress.ended:
            yield from (f"{one.name}: '{field}' {fault}" for field, fault in faults_of_end(one.event, progress))
        progress = advance(progress, one.timestamp, one.event)
        count += 1
    if not count:
        yield "it has no events"
        return
    for field in Progress.__struct_fields__:
        told, made = record[field], getattr(progress, field)
        if told != made:
            yield f"'{field}' is {_shown(told)}, and its events make it {_shown(made)}"


def faults_of_end(end: TerminalEvent, before: Progress) -> Iterator[tuple[str, str]]:
    """Yield each field of a terminal event that cannot be so after what came before it, and why."""
    made = {"total_iterations": before.current_iteration, "total_tokens": before.tokens_used}
    for field, value in made.items():
        if getattr(end, field) != value:
            yield field, f"is {getattr(end, field)}, and the events before it make it {value}"
    if end.duration < 0:
        yield "duration", "is negative"
    elif end.duration and before.started_at is None:
        yield "duration", "is not 0, and it never started"
    if end.termination_reason not in _REASONS[type(end)]:
        yield "termination_reason", f"is {end.termination_reason!r}, and it is {EVENT_TYPES[type(end)]}"
    elif not isinstance(end, TaskCompleted) and end.stop_reason != end.termination_reason:
        yield "stop_reason", f"is {end.stop_reason!r}, and its termination_reason {end.termination_reason!r}"


def faults_of_names(record: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with the names of a task's presets and its model."""
    for field, pattern in _NAMES.items():
        if not pattern.fullmatch(str(record[field])):
            yield f"'{field}' is {_shown(record[field])}, which is no name"


def _faults_of_event(one: ReplayedEvent, before: int, progress: Progress) -> Iterator[str]:
    if EVENT_TYPES[type(one.event)] != one.event_type:
        yield f"{one.name} is called {one.event_type}, and is {EVENT_TYPES[type(one.event)]}"
    if isinstance(one.event, TaskCreated) != (before == 0):
        yield f"{one.name} is {one.event_type}: task_created is the first event, and only that"
    if progress.ended:
        yield f"{one.name} comes after its end"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
