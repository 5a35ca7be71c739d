"""The command ``alex``: a table of its commands, each imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from alex_http import __version__


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
