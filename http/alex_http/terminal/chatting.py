"""``alex chat``: one session, many turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from alex_http.client import AlexError, UnknownSession
from alex_http.terminal.completing import complete_session
from alex_http.terminal.connection import Connection, connected, connects
from alex_http.terminal.exits import Exit, Failed, failure
from alex_http.terminal.given import utf8
from alex_http.terminal.harmless import harmless, one_line
from alex_http.terminal.submitting import chooses, chosen
from alex_http.terminal.views import is_terminal
from alex_http.terminal.watcher import watch_command
from alex_http.terminal.watching import watch_task

PROMPT = "> "


@click.command()
@click.option(
    "--session",
    metavar="ID",
    shell_complete=complete_session,
    help="The session to talk in.  [default: a new one]",
)
@click.option("--continue", "-c", "goes_on", is_flag=True, help="Talk in the session that was used last.")
@chooses
@click.option("--json", "as_json", is_flag=True, help="Write the events of each turn, as JSON lines.")
@connects
@click.pass_context
def chat(
    context: click.Context, /, session: str | None, server: str | None, token_file: Path | None,
    *, goes_on: bool, as_json: bool, **choices: Any,  # Any: as in `chosen`
) -> None:  # fmt: skip
    """Talk with an agent: each line is a task, and all of them are one session.

    Ctrl-D ends it. Ctrl-C while an answer comes leaves, and the task goes on; twice cancels the answer. From a
    pipe each line is a turn, and the exit code is that of the last one that was not completed.
    """
    if session is not None and goes_on:
        raise click.UsageError("Name either a --session or --continue.")
    with connected(server, token_file) as connection:
        if goes_on:
            session = _last_session(connection)
        talk = Chat(connection, session, chosen(choices), as_json=as_json)
        context.exit(talk.by_hand() if is_terminal(sys.stdin) else talk.from_pipe())


def _last_session(connection: Connection) -> str:
    sessions = connection.client.sessions(limit=1).sessions
    if not sessions:
        raise Failed("There is no session yet: leave out --continue.", Exit.UNKNOWN)
    return sessions[0].id


class Chat:
    """Submits each line in one session, and follows it to its end."""

    def __init__(
        self, connection: Connection, session: str | None, choices: dict[str, Any], *, as_json: bool
    ) -> None:  # Any: as in `chosen`
        self._connection = connection
        self._session = session
        self._choices = choices
        self._as_json = as_json
        self._is_said = as_json
        """Whether the session was said; in JSON each event says it."""

    def by_hand(self) -> Exit:
        """Ask for lines until Ctrl-D."""
        said_before = self._said_before()
        click.echo("Ctrl-D ends the chat. Ctrl-C while an answer comes leaves; its task goes on.", err=True)
        self._say_session()
        for line in _typed_lines(said_before):
            try:
                if self._turn(line) is Exit.DETACHED:
                    return Exit.DETACHED
            except AlexError as error:  # such as a text that is too long: the next one may not be
                failure(error, self._connection.url).show()
            except Failed as failed:  # the server went away, and may be back
                failed.show()
        if self._session is not None:
            click.echo(f"Come back: {self._come_back()}", err=True)
        return Exit.DONE

    def _said_before(self) -> Sequence[str]:
        """Return the session's tasks, for the arrow keys: no chat is kept in a file of this machine."""
        if self._session is None:
            return ()
        try:
            return [one_line(task.task) for task in self._connection.client.session(self._session).tasks]
        except UnknownSession:
            return ()  # it is made with the first turn

    def from_pipe(self) -> Exit:
        """Take each line of standard input for a turn."""
        worst = Exit.DONE
        for line in sys.stdin or ():  # None: it was closed before the start
            if line.strip():
                code = self._turn(line.strip())
                if code is Exit.DETACHED:
                    return code
                worst = code or worst
        return worst

    def _turn(self, line: str) -> Exit:
        text = utf8(line, "This line")
        task = self._connection.client.submit(text, session_id=self._session, **self._choices)
        self._session = task.session_id
        self._say_session()
        return watch_task(self._connection, task, as_json=self._as_json, shows="turn", come_back=self._come_back())

    def _say_session(self) -> None:
        """Say once which session it is, as soon as there is one: a new one comes with the first turn."""
        if self._session is None or self._is_said:
            return
        self._is_said = True
        click.echo(f"Session {one_line(self._session)}\nCome back: {self._come_back()}", err=True)

    def _come_back(self) -> str:
        return watch_command("chat", "--session", harmless(self._session or ""))


def _typed_lines(before: Sequence[str]) -> Iterator[str]:
    """Yield what a person types, with the line editing and the history of readline where Python has it."""
    try:
        import readline
    except ImportError:
        pass
    else:
        for said in before:
            readline.add_history(said)
    while True:
        try:
            line = _typed_line()
        except EOFError:
            click.echo(err=True)
            return
        except KeyboardInterrupt:  # as shells have it: away with this line
            click.echo(err=True)
            continue
        if line.strip():
            yield line.strip()


def _typed_line() -> str:
    """Ask for a line; with standard output in a file, at standard error."""
    if is_terminal(sys.stdout):
        return input(PROMPT)
    click.echo(PROMPT, err=True, nl=False)
    return input()
