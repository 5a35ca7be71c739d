"""``alex cancel`` and ``alex approve``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from alex_http.client import Approval, Client, NothingWaits
from alex_http.terminal.completing import complete_task, complete_waiting_call, complete_waiting_task
from alex_http.terminal.connection import connected, connects
from alex_http.terminal.exits import Exit, Failed
from alex_http.terminal.given import call_id_of, task_id_of
from alex_http.terminal.harmless import one_line
from alex_http.terminal.views import show_json
from alex_http.terminal.words import arguments as written

_PAGE = 200
"""Calls in one reply."""


@click.command()
@click.argument("task", shell_complete=complete_task)
@click.option("--json", "as_json", is_flag=True, help="Write the task as it is then, as JSON.")
@connects
def cancel(task: str, server: str | None, token_file: Path | None, *, as_json: bool) -> None:
    """Cancel TASK, and return when that is recorded.

    TASK is an ID or the end of one, of four characters or more; `last` is the one that was submitted last.
    The exit code is 7 if it had ended before.
    """
    with connected(server, token_file) as connection:
        task_id = task_id_of(connection.client, task)
        connection.client.cancel(task_id)
        if as_json:
            show_json(connection.client.task(task_id))
        else:
            click.echo(f"{one_line(task_id)} is cancelled.", err=True)


def _json_object(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> dict[str, Any] | None:  # Any: JSON, as the tool takes it
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=dict[str, Any])  # Any: as above
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise click.BadParameter(f"must be a JSON object: {error}") from error


@click.command()
@click.argument("task", shell_complete=complete_waiting_task)
@click.argument("call", required=False, shell_complete=complete_waiting_call)
@click.option("--deny", is_flag=True, help="Have it not run.")
@click.option("--reason", metavar="TEXT", help="For the agent, and for the record.")
@click.option("--arguments", metavar="JSON", callback=_json_object, help="Have it run with these instead.")
@click.option("--json", "as_json", is_flag=True, help="Write the task as it is then, as JSON.")
@connects
def approve(
    task: str, call: str | None, reason: str | None, arguments: dict[str, Any] | None,  # Any: as above
    server: str | None, token_file: Path | None, *, deny: bool, as_json: bool,
) -> None:  # fmt: skip
    """Have the tool call CALL of TASK run, which waits for a person's word. CALL may be left out if only one does.

    `alex approvals` lists all that wait.
    TASK is an ID or the end of one, of four characters or more; `last` is the one that was submitted last.
    The exit code is 7 if none waits under that ID.
    """
    if deny and arguments is not None:
        raise click.UsageError("What is denied is not run: --deny goes without --arguments.")
    with connected(server, token_file) as connection:
        client, task_id = connection.client, task_id_of(connection.client, task)
        call = _the_one_that_waits(client, task_id) if call is None else call_id_of(call)
        try:
            if deny:
                decided = client.deny(task_id, call, reason=reason)
            else:
                decided = client.approve(task_id, call, reason=reason, arguments=arguments)
        except NothingWaits as error:
            own, others = _waiting(client, task_id)
            raise Failed(f"{error.detail}{_those_that_do(own, others)}", Exit.CONFLICT) from error
        if as_json:
            show_json(decided)
        else:
            click.echo(f"{one_line(call)} is {'denied' if deny else 'approved'}.", err=True)


def _the_one_that_waits(client: Client, task_id: str) -> str:
    """Return the ID of the call that waits. Raises Failed if none does, or several do, with what they are."""
    own, others = _waiting(client, task_id)
    if not own:
        text = f"No tool call of the task {one_line(task_id)} waits for your word.{_those_that_do(own, others)}"
        raise Failed(text, Exit.CONFLICT)
    if len(own) > 1:
        raise Failed(f"{len(own)} tool calls wait for your word, name one:{_named(own)}", Exit.USAGE)
    return own[0].call_id


def _waiting(client: Client, task_id: str) -> tuple[Sequence[Approval], Sequence[Approval]]:
    """Return the calls of a task that wait for a person's word, and the others of its session: of sub-agents."""
    session_id = client.task(task_id).session_id
    page = client.approvals(limit=_PAGE, session_id=session_id)
    found = list(page.approvals)
    while page.next_cursor is not None:
        page = client.approvals(limit=_PAGE, cursor=page.next_cursor, session_id=session_id)
        found += page.approvals
    return [call for call in found if call.task_id == task_id], [call for call in found if call.task_id != task_id]


def _those_that_do(own: Sequence[Approval], others: Sequence[Approval]) -> str:
    """Return what to say of calls that wait, where the one that was named does not."""
    if own:
        return f" These do:{_named(own)}"
    if others:
        return f" Of other tasks of its session these do:{_named(others, with_task=True)}"
    return " `alex approvals` lists those that do."


def _named(calls: Sequence[Approval], *, with_task: bool = False) -> str:
    return "".join(
        f"\n  {f'{one_line(each.task_id)}  ' if with_task else ''}"
        f"{one_line(each.call_id)}  {one_line(each.tool_name)}({written(each.arguments)})"
        for each in calls
    )
