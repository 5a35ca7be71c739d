"""The command ``alex``: a table of its commands, each imported when it is used."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from alex_http import __version__

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it. click's own, 1, would say that a task has failed."""
CANNOT_WRITE = 9
"""Exit code: the output cannot be written."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What writing to a disk raises that is full, or broken."""


class Entry(NamedTuple):
    """Where a command is, and what ``alex --help`` says of it without importing it."""

    path: str
    """``module:attribute``, which is a click command."""
    help: str


COMMANDS: Mapping[str, Entry] = {
    "serve": Entry("alex_runtime:serve", "Serve the HTTP API until SIGTERM or Ctrl-C."),
    "submit": Entry("alex_http.terminal.submitting:submit", "Submit a task."),
    "watch": Entry("alex_http.terminal.watching:watch", "Follow a task, or all tasks of a session."),
    "chat": Entry("alex_http.terminal.chatting:chat", "Talk with an agent: one session, many turns."),
    "tasks": Entry("alex_http.terminal.listing:tasks", "List tasks."),
    "sessions": Entry("alex_http.terminal.listing:sessions", "List sessions."),
    "cancel": Entry("alex_http.terminal.deciding:cancel", "Cancel a task."),
    "approvals": Entry("alex_http.terminal.approving:approvals", "List the tool calls that wait for your word."),
    "approve": Entry("alex_http.terminal.deciding:approve", "Have a tool call run that waits for your word."),
    "tail": Entry("alex_http.terminal.tail_command:tail", "Show the log as lines for people."),
    "trace": Entry("alex_http.terminal.trace_command:trace", "Draw what happened to a task; check a log."),
    "token": Entry("alex_http.token_commands:token", "Make, list and revoke tokens for clients."),
    "backup": Entry("alex_http.data_commands:backup", "Copy everything to a new directory."),
    "check": Entry("alex_http.data_commands:check_data", "Check that what is recorded is sound."),
    "completion": Entry("alex_http.terminal.completing:completion", "Print the script for a shell's completion."),
}
"""By name, in the order in which ``alex --help`` shows them."""


class LazyGroup(click.Group):
    """A group of commands of which none is imported before it is used.

    What a client runs starts in a fifth of a second; with the server's imports it took four times as long.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:  # Any: as click has it
        """Run a command, and end with its exit code: in order, too, if nobody reads, or nothing can be written."""
        run = partial(super().main, *args, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        try:
            code = _exit_code(run)
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except OSError as error:
            if error.errno != errno.EPIPE and error.errno not in _FULL:
                raise
            code = _not_written(error)
        sys.exit(code)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # Any: as click has it
        """Read the command line; ``--help`` writes."""
        with _a_reader_may_go():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # Any: as click has it
        """Run the command."""
        with _a_reader_may_go():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Return all names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click has it
        """Import a command; return None if there is none of this name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.path.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.path} is no command of click")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click has it
        """Write the table's help, which needs no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands from the table; options as ever."""
        names = [
            CompletionItem(name, help=entry.help)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="alex")
def main() -> None:
    """Run tasks for AI agents, and let people and programs follow them."""


@contextmanager
def _a_reader_may_go() -> Iterator[None]:
    """End in order when nobody reads any more: who did has what they wanted. click would end with 1."""
    try:
        yield
    except BrokenPipeError as error:
        raise click.exceptions.Exit(0) from error


def _exit_code(run: Callable[[], int | None]) -> int:
    """Run a command; return its exit code when all that it has said is written. Raises OSError."""
    try:
        code = run()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before the start
        stream.flush()
    return code or 0


def _not_written(error: OSError) -> int:
    """Tell that the output cannot be written, and return the exit code; a reader that went away wants no more."""
    code = 0
    if error.errno != errno.EPIPE:
        code = CANNOT_WRITE
        with suppress(OSError):  # it may be standard error that is full
            click.echo(f"alex: The output cannot be written ({error.strerror}).", err=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError):  # a stream that a test has put there is no file
            os.dup2(nowhere, stream.fileno())  # what Python flushes at its end
    return code
