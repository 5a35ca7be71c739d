"""``alex submit``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from alex_http.client import Strategy
from alex_http.terminal.completing import complete_preset, complete_session
from alex_http.terminal.connection import connected, connects
from alex_http.terminal.exits import Exit, Failed
from alex_http.terminal.given import seconds, utf8
from alex_http.terminal.harmless import one_line
from alex_http.terminal.views import show_json
from alex_http.terminal.watching import watch_task

F = TypeVar("F", bound=Callable[..., object])

CHOICES = (
    click.option(
        "--agent", metavar="PRESET", shell_complete=complete_preset, help="Who the agent is: an agent preset."
    ),
    click.option(
        "--tools", metavar="PRESET", shell_complete=complete_preset, help="What it may do: a tool preset."
    ),
    click.option("--model", metavar="NAME", help="One of the models that the server offers."),
    click.option(
        "--timeout", type=float, callback=seconds, metavar="SECONDS", help="It fails when it runs for longer."
    ),
    click.option("--max-iterations", type=int, metavar="N", help="Turns of the model at most."),
)
"""What a task may choose, in a submit and in a chat."""


def chooses(command: F) -> F:
    """Give a command the options of a task."""
    for option in reversed(CHOICES):
        command = option(command)
    return command


def chosen(given: dict[str, Any]) -> dict[str, Any]:  # Any: each option has a type of its own, which click checks
    """Return those options as the client takes them."""
    names = {
        "agent": "agent_preset", "tools": "tool_preset", "model": "model", "timeout": "timeout_seconds",
        "max_iterations": "max_iterations",
    }  # fmt: skip
    return {name: given[option] for option, name in names.items()}


def _pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    pairs = [value.partition("=") for value in values]
    for key, sign, _ in pairs:
        if not sign or not key:
            raise click.BadParameter(f"{key!r} must be KEY=VALUE.")
    return {key: value for key, _, value in pairs} or None


@click.command()
@click.argument("text")
@click.option(
    "--session",
    metavar="ID",
    shell_complete=complete_session,
    help="The session that it belongs to.  [default: a new one]",
)
@click.option("--watch", is_flag=True, help="Follow it until it ends, as `alex watch` does.")
@chooses
@click.option(
    "--strategy",
    type=click.Choice(get_args(Strategy)),
    help="What to do if the session has an unfinished task.  [default: enqueue]",
)
@click.option(
    "--metadata", metavar="KEY=VALUE", multiple=True, callback=_pairs, help="Kept with it; any number of them."
)
@click.option("--idempotency-key", metavar="KEY", help="The same key starts the same task once, however often.")
@click.option("--json", "as_json", is_flag=True, help="Write the task, or with --watch its events, as JSON.")
@connects
@click.pass_context
def submit(
    context: click.Context, /, text: str, session: str | None, strategy: Strategy | None,
    metadata: dict[str, str] | None, idempotency_key: str | None, server: str | None, token_file: Path | None,
    *, watch: bool, as_json: bool, **choices: Any,  # Any: as in `chosen`
) -> None:  # fmt: skip
    """Submit a task, and print its ID. TEXT says what is to be done; `-` reads it from standard input."""
    text = _text(text)
    with connected(server, token_file) as connection:
        try:
            task = connection.client.submit(
                text, session_id=session, strategy=strategy, metadata=metadata, idempotency_key=idempotency_key,
                **chosen(choices),
            )  # fmt: skip
        except UnicodeEncodeError:  # a ValueError, too; `connected` tells of it
            raise
        except ValueError as error:  # a key that is none
            raise Failed(f"{error}", Exit.USAGE) from error
        if watch:
            context.exit(watch_task(connection, task, as_json=as_json))
        if as_json:
            show_json(task)
        else:
            click.echo(one_line(task.task_id))


def _text(text: str) -> str:
    if text != "-":
        return utf8(text, "TEXT")
    try:
        text = sys.stdin.read().strip() if sys.stdin else ""  # None: it was closed before the start
    except UnicodeDecodeError as error:
        raise Failed("Standard input is not UTF-8.", Exit.USAGE) from error
    return utf8(text, "Standard input")
