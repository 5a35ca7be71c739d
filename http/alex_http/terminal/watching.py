"""``alex watch``, and what other commands need to watch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from alex_http.client import Task
from alex_http.terminal.completing import complete_session, complete_task
from alex_http.terminal.connection import Connection, connected, connects
from alex_http.terminal.exits import Exit
from alex_http.terminal.given import session_id_of, task_id_of
from alex_http.terminal.interrupts import Interrupts, keys
from alex_http.terminal.views import Answers, JsonView, PlainAnswers, PlainView, Shows, View, is_terminal
from alex_http.terminal.watcher import Watcher, watch_command


def console_of(*, stderr: bool) -> Console:
    """Return a console that takes no text for markup, emoji or something to colour."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def answers() -> Answers:
    """Return where answers go: laid out on a terminal that can show it, as they are otherwise."""
    if is_terminal(sys.stdout) and not (console := console_of(stderr=False)).is_dumb_terminal:
        from alex_http.terminal.markdown import MarkdownAnswers  # where it is not used, it is not waited for

        return MarkdownAnswers(console)
    return PlainAnswers()


def view_of(shows: Shows, *, as_json: bool, known: Task | None) -> View:
    """Return the view that fits where it is shown."""
    if as_json:
        return JsonView()
    if is_terminal(sys.stderr) and not (console := console_of(stderr=True)).is_dumb_terminal:
        from alex_http.terminal.live_view import LiveView  # as above

        return LiveView(console=console, answers=answers(), shows=shows, known=known)
    return PlainView(answers=answers(), shows=shows)


@contextmanager
def watcher_of(
    connection: Connection, come_back: str, shows: Shows, *, as_json: bool, known: Task | None = None
) -> Iterator[Watcher]:
    """Return a watcher, which has Ctrl-C and the keys for as long as it is entered."""
    interrupts = Interrupts()
    view = view_of(shows, as_json=as_json, known=known)
    with ExitStack() as stack:
        stack.enter_context(interrupts.taken())
        pressed = None if isinstance(view, PlainView) else stack.enter_context(keys())
        yield Watcher(connection, view, interrupts=interrupts, keys=pressed, come_back=come_back)


def watch_task(
    connection: Connection, task: Task, *, as_json: bool, shows: Shows = "task", come_back: str | None = None
) -> Exit:
    """Watch a task until its end. ``come_back``: the command that is told to who leaves."""
    back = come_back or watch_command("watch", task.task_id)
    with watcher_of(connection, back, shows, as_json=as_json, known=task) as watcher:
        return watcher.task(task.task_id)


@click.command()
@click.argument("task", required=False, shell_complete=complete_task)
@click.option(
    "--session", metavar="ID", shell_complete=complete_session, help="Watch all tasks of a session instead."
)
@click.option("--json", "as_json", is_flag=True, help="Write the events, a line of JSON for each.")
@connects
@click.pass_context
def watch(
    context: click.Context, task: str | None, session: str | None, server: str | None, token_file: Path | None,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Follow TASK until it ends, from its first event on.

    TASK is an ID or the end of one, of four characters or more; `last` is the one that was submitted last.
    Its answer goes to standard output, everything else to standard error. Ctrl-C detaches and changes nothing; a
    second one within two seconds cancels the task. The exit code is 0 if it is completed, 1 if it has failed, 3 if
    it was cancelled, and 130 after Ctrl-C.
    """
    if (task is None) == (session is None):
        raise click.UsageError("Name either a TASK or a --session.")
    with connected(server, token_file) as connection:
        if task is not None:
            known = connection.client.task(task_id_of(connection.client, task))
            context.exit(watch_task(connection, known, as_json=as_json))
        known_session = connection.client.session(session_id_of(session or "")).id
        back = watch_command("watch", "--session", known_session)
        with watcher_of(connection, back, "session", as_json=as_json) as watcher:
            context.exit(watcher.session(known_session))
