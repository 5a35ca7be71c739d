"""``alex cancel`` and ``alex approve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from alex_http.terminal.completing import complete_task
from alex_http.terminal.connection import connected, connects
from alex_http.terminal.given import call_id_of, task_id_of
from alex_http.terminal.harmless import one_line
from alex_http.terminal.views import show_json


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
@click.argument("task", shell_complete=complete_task)
@click.argument("call")
@click.option("--deny", is_flag=True, help="Have it not run.")
@click.option("--reason", metavar="TEXT", help="For the agent, and for the record.")
@click.option("--arguments", metavar="JSON", callback=_json_object, help="Have it run with these instead.")
@click.option("--json", "as_json", is_flag=True, help="Write the task as it is then, as JSON.")
@connects
def approve(
    task: str, call: str, reason: str | None, arguments: dict[str, Any] | None,  # Any: as above
    server: str | None, token_file: Path | None, *, deny: bool, as_json: bool,
) -> None:  # fmt: skip
    """Have the tool call CALL of TASK run, which waits for a person's word. `alex watch TASK` shows those that do.

    TASK is an ID or the end of one, of four characters or more; `last` is the one that was submitted last.
    The exit code is 7 if none waits under that ID.
    """
    if deny and arguments is not None:
        raise click.UsageError("What is denied is not run: --deny goes without --arguments.")
    with connected(server, token_file) as connection:
        client, task_id, call = connection.client, task_id_of(connection.client, task), call_id_of(call)
        if deny:
            decided = client.deny(task_id, call, reason=reason)
        else:
            decided = client.approve(task_id, call, reason=reason, arguments=arguments)
        if as_json:
            show_json(decided)
        else:
            click.echo(f"{one_line(call)} is {'denied' if deny else 'approved'}.", err=True)
