"""What people and scripts give: texts, IDs and the ends of IDs, seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Protocol

import click

from alex_http.client import Task, TaskPage
from alex_http.terminal.exits import Exit, Failed
from alex_http.terminal.harmless import one_line

SHORTEST_END = 4
"""Characters from which on the end of an ID stands for it, as for the commands about the log."""
AMONG = 1000
"""Tasks, the newest ones, among which the end of an ID is looked for."""
_PAGE = 100
"""Of them in one reply: texts are long, and a reply has a limit."""
MOST_NAMED = 10
"""Tasks that are named when an end is that of several."""

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_TASK_ID = re.compile(r"task-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Lists(Protocol):
    """What lists tasks, newest first: a client."""

    def tasks(self, *, limit: int, offset: int = 0) -> TaskPage:
        """Return so many of them."""


def utf8(text: str, what: str) -> str:
    """Return a text. Raises Failed if it is not UTF-8: Python reads other bytes as lone surrogates (PEP 383)."""
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise Failed(f"{what} is not UTF-8.", Exit.USAGE)
    return text


def seconds(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Return a number of seconds. Raises click.BadParameter for one that JSON does not have: inf, nan."""
    if value is not None and not isfinite(value):
        raise click.BadParameter(f"{value} is no number of seconds.")
    return value


def session_id_of(session: str) -> str:
    """Return a session's ID. Raises Failed for what cannot be one, and would be another path of the server."""
    if not _ID.fullmatch(session):
        raise Failed(f"There is no session {session!r}. `alex sessions` lists those that there are.", Exit.UNKNOWN)
    return session


def call_id_of(call: str) -> str:
    """Return a tool call's ID, likewise: models make them, of any characters."""
    if call in ("", ".", "..") or "/" in call:
        raise Failed(f"No tool call {call!r} waits for approval.", Exit.CONFLICT)
    return utf8(call, "CALL")


def task_id_of(client: Lists, task: str) -> str:
    """Return the ID of a task: of ``last``, the one that somebody submitted last; of an ID, or of the end of one.

    Raises Failed if there is none, or if the end is that of several.
    """
    if task == "last":
        return _last(client)
    if _TASK_ID.fullmatch(task):
        return task
    newest = _newest(client) if _is_end(task) else ()
    fitting = {each.task_id: each for each in newest if each.task_id.endswith(task)}
    if task in fitting or len(fitting) == 1:
        return task if task in fitting else next(iter(fitting))
    if not fitting:
        raise Failed(f"There is no task {task!r}. `alex tasks` lists those that there are.", Exit.UNKNOWN)
    named = [
        f"\n  {one_line(each.task_id)} {each.status}: {one_line(each.task, 60)}"
        for each in list(fitting.values())[:MOST_NAMED]
    ]
    more = "" if len(fitting) <= MOST_NAMED else f"\n  and {len(fitting) - MOST_NAMED} more"
    raise Failed(f"{len(fitting)} tasks have IDs that end in {task!r}:{''.join(named)}{more}", Exit.USAGE)


def _last(client: Lists) -> str:
    """Return the newest task that is no sub-agent's; of a thousand of these, the newest."""
    newest = client.tasks(limit=1).tasks
    if not newest:
        raise Failed("There is no task yet: submit one with `alex submit`.", Exit.UNKNOWN)
    if newest[0].parent_task_id is None:
        return newest[0].task_id
    return next((each.task_id for each in _newest(client) if each.parent_task_id is None), newest[0].task_id)


def _is_end(task: str) -> bool:
    if not _ID.fullmatch(task):
        return False
    if len(task) < SHORTEST_END:
        raise Failed(f"{task!r} is too short: give {SHORTEST_END} characters of an ID's end, or more.", Exit.USAGE)
    return True


def _newest(client: Lists) -> Iterator[Task]:
    """Yield the newest tasks, by pages. One may come twice, if others are submitted meanwhile."""
    for offset in range(0, AMONG, _PAGE):
        page = client.tasks(limit=_PAGE, offset=offset).tasks
        yield from page
        if len(page) < _PAGE:
            return
