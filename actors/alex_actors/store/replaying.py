"""Plays recorded events through again: whether they are a task's whole life, and its record what they make it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from alex_actors.events import EVENT_TYPES, AnyEvent, TaskCreated
from alex_actors.projection import Progress, advance
from alex_actors.values import Timestamp, Value


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
        progress = advance(progress, one.timestamp, one.event)
        count += 1
    if not count:
        yield "it has no events"
        return
    for field in Progress.__struct_fields__:
        told, made = record[field], getattr(progress, field)
        if told != made:
            yield f"'{field}' is {_shown(told)}, and its events make it {_shown(made)}"


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
