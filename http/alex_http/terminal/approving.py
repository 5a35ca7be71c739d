"""``alex approvals``: the tool calls that wait for a person's word, over all tasks, and how to answer them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from alex_http.client import Approval, ApprovalPage
from alex_http.terminal.completing import complete_session
from alex_http.terminal.connection import connected, connects
from alex_http.terminal.given import session_id_of
from alex_http.terminal.harmless import one_line
from alex_http.terminal.listing import LARGEST_PAGE, LONGEST_TEXT, Column, show_table
from alex_http.terminal.views import show_json
from alex_http.terminal.words import age, arguments, counted

WIDE = 140
"""Columns of a terminal from which on a call fits beside its task; else it is written below it, in full."""
LONGEST_NAME = 100
"""Characters of a tool's name: an agent of somebody's own may say any, and a column is as wide as its longest."""
COLUMNS = (
    Column("TASK"), Column("CALL"), Column("SESSION", need=160), Column("WAITS", right=True),
    Column("LEFT", right=True), Column("TOOL", need=WIDE), Column("ARGUMENTS", need=WIDE),
)  # fmt: skip


@click.command()
@click.option("--session", metavar="ID", shell_complete=complete_session, help="Those of one session.")
@click.option(
    "--limit", type=click.IntRange(1, LARGEST_PAGE), default=20, show_default=True, help="So many at most."
)
@click.option("--cursor", metavar="TEXT", help="Go on where the list before ended: its `next_cursor`.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
@connects
def approvals(
    session: str | None, limit: int, cursor: str | None, server: str | None, token_file: Path | None,
    *, everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """List the tool calls that wait for your word, oldest first; those of sub-agents as well.

    `alex approve TASK CALL` has one run, with --deny it is not run.
    """
    wanted = None if session is None else session_id_of(session)
    with connected(server, token_file) as connection:
        client = connection.client

        def page(cursor: str | None) -> ApprovalPage:
            return client.approvals(limit=LARGEST_PAGE if everything else limit, cursor=cursor, session_id=wanted)

        read = page(cursor)
        found = list(read.approvals)
        while everything and read.next_cursor is not None:
            read = page(read.next_cursor)
            found += read.approvals
        if wanted is not None and not found:
            client.session(wanted)  # nothing waits in it, or there is none? Raises UnknownSession
    if as_json:
        show_json(ApprovalPage(approvals=found, next_cursor=read.next_cursor))
        return
    now = datetime.now(UTC)
    below = [f"{one_line(call.tool_name, LONGEST_NAME)}({arguments(call.arguments)})" for call in found]
    show_table(COLUMNS, [_row(call, now) for call in found], styled=None, below=below)
    _say_how(found, read.next_cursor)


def _row(call: Approval, now: datetime) -> Sequence[str]:
    left = "" if call.expires_at is None else age(now, call.expires_at)
    return (
        one_line(call.task_id), one_line(call.call_id), one_line(call.session_id), age(call.requested_at, now),
        left, one_line(call.tool_name, LONGEST_NAME), arguments(call.arguments, LONGEST_TEXT),
    )  # fmt: skip


def _say_how(found: Sequence[Approval], next_cursor: str | None) -> None:
    """Say at standard error how the first is answered, and what is not shown."""
    if not found:
        click.echo("No tool call waits for your word.", err=True)
        return
    first = f"{one_line(found[0].task_id)} {one_line(found[0].call_id)}"
    click.echo(f"Answer with: alex approve {first} [--deny] [--reason TEXT] [--arguments JSON]", err=True)
    if next_cursor is not None:
        shown, more = counted(len(found), "call"), one_line(next_cursor)
        click.echo(f"There are more than these {shown}; --all shows all, --cursor {more} the next.", err=True)
