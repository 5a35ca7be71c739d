"""Finds what a log tells of one task: by the beginning or the end of its ID, with its sub-agents if wanted."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from alex_actors.logs.reading import parse

LogEntry: TypeAlias = dict[str, Any]  # Any: a line may hold whatever JSON can
Read: TypeAlias = Callable[[], Iterable[bytes]]
"""Reads the log from its beginning, as often as it is called."""

LAST = "last"
"""The task that was recorded last, and is no sub-agent's."""

OF_SESSION = ("session.deleting", "session.deleted")
"""What is told of a session, and ends its tasks."""

_TASK_ID = re.compile(rb'"task_id"\s*:\s*"([^"\\]{1,200})"')  # with spaces: a collector may have written it anew
IS_CREATED, OF_PARENT = b'"task.created"', b'"parent_task_id"'
"""What a line has that tells that a task was recorded, and what it has, too, if that is a sub-agent's."""
_MOST_NAMED = 5


class NotInLog(Exception):
    """There is no such task in the log. Its text says so, and what there is."""


class SeveralTasks(Exception):
    """More than one task has an ID like that."""


class TaskLog(msgspec.Struct):
    """What a log tells of a task."""

    task_id: str
    entries: list[LogEntry]
    """Of it, of its sub-agents if they are wanted, and of the end of its session; in the log's order."""
    children: list[str]
    """The tasks of its sub-agents, and of theirs, as far as the log tells of them."""

    @property
    def session_id(self) -> str:
        """The ID of its session; empty if the log does not say."""
        return next((str(one["session_id"]) for one in self.entries if one.get("session_id")), "")


def task_log(read: Read, wanted: str, *, children: bool) -> TaskLog:
    """Return what the log tells of the task whose ID begins or ends with ``wanted``, or of the ``last`` one.

    Raises NotInLog and SeveralTasks.
    """
    task_id = _last(read()) if wanted == LAST else _like(read(), wanted)
    family = _family(read(), task_id)
    shown = {task_id, *family} if children else {task_id}
    # Only lines with one of these are parsed: the rest of a large log costs a search.
    names = [one.encode() for one in shown]
    entries: list[LogEntry] = []
    session_id = ""
    for line in read():
        of_session = b'"session.delet' in line
        if not of_session and not any(name in line for name in names):
            continue
        entry = parse(line)
        if entry is None:
            continue
        if entry.get("task_id") in shown:
            session_id = session_id or str(entry.get("session_id") or "")
            entries.append(entry)
        elif (
            of_session
            and entry.get("event") in OF_SESSION
            and session_id
            and entry.get("session_id") == session_id
        ):
            entries.append(entry)
    if not entries:
        raise NotInLog(wanted)  # its ID stands in a line that cannot be read, or in a text
    return TaskLog(task_id, entries, family)


def _like(lines: Iterable[bytes], wanted: str) -> str:
    """Return the one ID that begins or ends like this; the very ID, if there is one."""
    needle = wanted.encode()
    found: dict[bytes, None] = {}
    for line in lines:
        if needle not in line:
            continue
        for name in _TASK_ID.findall(line):
            if name == needle:
                return wanted
            if name not in found and (name.startswith((needle, b"task-" + needle)) or name.endswith(needle)):
                found[name] = None
                if len(found) > _MOST_NAMED:
                    raise SeveralTasks(_named(wanted, [*found][:_MOST_NAMED], more=True))
    if not found:
        raise NotInLog(wanted)
    if len(found) > 1:
        raise SeveralTasks(_named(wanted, [*found], more=False))
    return next(iter(found)).decode(errors="replace")


def _named(wanted: str, names: list[bytes], *, more: bool) -> str:
    listed = ", ".join(name.decode(errors="replace") for name in names)
    return f"More than one task is like {wanted!r}: {listed}{', …' if more else ''}."


def _last(lines: Iterable[bytes]) -> str:
    created = (entry for line in lines if OF_PARENT not in line and (entry := _creation(line)) is not None)
    last = deque(created, maxlen=1)
    if not last:
        raise NotInLog(LAST)
    return str(last[0].get("task_id"))


def _creation(line: bytes) -> LogEntry | None:
    """Return what a line says if it tells that a task was recorded; else None."""
    entry = parse(line) if IS_CREATED in line else None
    return entry if entry is not None and entry.get("event") == "task.created" else None


def _family(lines: Iterable[bytes], task_id: str) -> list[str]:
    """Return the tasks of a task's sub-agents, and of theirs: each is recorded after its parent."""
    family = {task_id: None}
    for line in lines:
        entry = _creation(line) if OF_PARENT in line else None
        if entry is not None and entry.get("parent_task_id") in family:
            family[str(entry.get("task_id"))] = None
    return [one for one in family if one != task_id]


class Overview(msgspec.Struct):
    """What a log has, for who asked for a task that is not in it."""

    lines: int
    tasks: int
    first: str
    """The time of its first line; empty if it has none."""
    last: str
    latest: list[str]
    """The tasks that were recorded last."""


def overview(lines: Iterable[bytes]) -> Overview:
    """Return what a log has."""
    found = Overview(0, 0, "", "", [])
    latest: deque[str] = deque(maxlen=3)
    line = b""
    for line in lines:
        found.lines += 1
        if not found.first:
            found.first = _time(line)
        if (entry := _creation(line)) is not None:
            found.tasks += 1
            latest.append(str(entry.get("task_id")))
    found.last, found.latest = _time(line), [*latest]
    return found


def _time(line: bytes) -> str:
    entry = parse(line)
    return str(entry.get("ts", "")) if entry else ""
