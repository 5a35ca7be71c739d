"""``alex tasks`` and ``alex sessions``: tables that fit the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

import click
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from alex_http.client import Session, Status, Task, TaskPage
from alex_http.terminal.completing import complete_session
from alex_http.terminal.connection import connected, connects
from alex_http.terminal.given import session_id_of
from alex_http.terminal.harmless import one_line
from alex_http.terminal.views import is_terminal, show_json
from alex_http.terminal.watching import console_of
from alex_http.terminal.words import age, money

LARGEST_PAGE = 1000
"""What the server gives at once."""
LONGEST_TEXT = 200
"""Characters of a task's text where no terminal limits it."""
OF_SUB_AGENT = "↳ "
"""What the text of a task begins with that an agent handed on, and nobody submitted."""
_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "pending": "dim"}
_GAP = 2

F = TypeVar("F", bound=Callable[..., object])


class Column(NamedTuple):
    """One column. Those with a ``need`` are left out where the terminal has fewer columns than that."""

    title: str
    need: int = 0
    right: bool = False


TASK_COLUMNS = (
    Column("ID"), Column("STATUS"), Column("SESSION", need=160), Column("AGE", right=True),
    Column("ITER", need=75, right=True), Column("TOKENS", need=90, right=True),
    Column("COST", need=100, right=True), Column("TEXT"),
)  # fmt: skip
SESSION_COLUMNS = (Column("ID"), Column("TASKS", right=True), Column("USED", right=True), Column("LAST TASK"))


def pages(command: F) -> F:
    """Give a command the options that say which part of a list is wanted."""
    command = click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")(command)
    command = click.option("--all", "everything", is_flag=True, help="All of them.")(command)
    command = click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many of the newest.")(
        command
    )
    return click.option(
        "--limit", type=click.IntRange(1, LARGEST_PAGE), default=20, show_default=True, help="So many at most."
    )(command)


@click.command()
@click.option("--session", metavar="ID", shell_complete=complete_session, help="Those of one session.")
@click.option("--status", type=click.Choice(get_args(Status)), help="Those in one status.")
@pages
@connects
def tasks(
    session: str | None, status: Status | None, limit: int, offset: int, server: str | None,
    token_file: Path | None, *, everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """List tasks, newest first."""
    with connected(server, token_file) as connection:
        client = connection.client

        def page(limit: int, offset: int) -> TaskPage:
            return client.tasks(limit=limit, offset=offset, session_id=session, status=status)

        read = page(LARGEST_PAGE if everything else limit, offset)
        found = list(read.tasks)
        while everything and len(found) < read.total - offset and read.tasks:
            read = page(LARGEST_PAGE, offset + len(found))
            found += read.tasks
        if session is not None and read.total == 0:
            client.session(session_id_of(session))  # without tasks, or none at all? Raises UnknownSession
    if as_json:
        show_json({"tasks": found, "total": read.total, "limit": len(found), "offset": offset})
        return
    now = datetime.now(UTC)
    show_table(TASK_COLUMNS, [_task_row(task, now) for task in found], styled=1)
    _say_rest("task", len(found), read.total, offset)


@click.command()
@pages
@connects
def sessions(
    limit: int, offset: int, server: str | None, token_file: Path | None, *, everything: bool, as_json: bool
) -> None:
    """List sessions, those first that were used last."""
    with connected(server, token_file) as connection:
        read = connection.client.sessions(limit=LARGEST_PAGE if everything else limit, offset=offset)
        found = list(read.sessions)
        while everything and len(found) < read.total - offset and read.sessions:
            read = connection.client.sessions(limit=LARGEST_PAGE, offset=offset + len(found))
            found += read.sessions
    if as_json:
        show_json({"sessions": found, "total": read.total, "limit": len(found), "offset": offset})
        return
    now = datetime.now(UTC)
    show_table(SESSION_COLUMNS, [_session_row(session, now) for session in found], styled=None)
    _say_rest("session", len(found), read.total, offset)


def _task_row(task: Task, now: datetime) -> Sequence[str]:
    return (
        one_line(task.task_id), task.status, one_line(task.session_id), age(task.created_at, now),
        f"{task.current_iteration}", f"{task.tokens_used:,}", money(task.cost_usd) if task.cost_usd else "",
        OF_SUB_AGENT * (task.parent_task_id is not None) + one_line(task.task, LONGEST_TEXT),
    )  # fmt: skip


def _session_row(session: Session, now: datetime) -> Sequence[str]:
    last = one_line(session.last_task or "", LONGEST_TEXT)
    return one_line(session.id), f"{session.task_count:,}", age(session.updated_at, now), last


def show_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    styled: int | None,
    below: Sequence[str] | None = None,
) -> None:
    """Write a table, fitted to a terminal, else whole. ``styled``: the column of the status.

    ``below``: what stands below each row, indented, where the last column is left out.
    """
    if not rows:
        return
    terminal = is_terminal(sys.stdout)
    console = console_of(stderr=False)
    width = console.width if terminal else None
    kept = [number for number, column in enumerate(columns) if width is None or width >= column.need]
    lines = [
        tuple(columns[number].title for number in kept),
        *(tuple(row[number] for number in kept) for row in rows),
    ]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line_number, line in enumerate(lines):
        text = Text(style="bold" if line_number == 0 else "")
        for cell, number, wide in zip(line, kept, widths, strict=True):
            style = _STYLES.get(cell, "") if number == styled and line_number else ""
            text.append(_padded(cell, wide, right=columns[number].right), style).append(" " * _GAP)
        text.rstrip()
        if terminal:
            text.truncate(console.width, overflow="ellipsis")
            console.print(text, no_wrap=True, crop=True)
            if below is not None and line_number and kept[-1] < len(columns) - 1:
                console.print(Text(f"{' ' * _GAP}{below[line_number - 1]}"))
        else:
            click.echo(text.plain)


def _padded(cell: str, width: int, *, right: bool) -> str:
    return " " * (width - cell_len(cell)) + cell if right else set_cell_size(cell, width)


def _say_rest(noun: str, shown: int, total: int, offset: int) -> None:
    """Say at standard error what is not shown."""
    if total == 0:
        click.echo(f"No {noun}s.", err=True)
    elif shown < total:
        click.echo(
            f"{shown:,} of {total:,} {noun}s; --all shows all, --offset {offset + shown} the next.", err=True
        )
