"""Shell completion: the script that a shell reads, and what completes tasks, sessions and presets."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from alex_http.terminal.harmless import one_line

LARGEST_PAGE = 1000
"""What the server gives at once."""
MOST = 50
"""Of the tasks or sessions that are offered."""


@dataclass(frozen=True)
class InTime:
    """How long the server has to tell what there is: a shell waits. Click's ``obj`` may be another."""

    seconds: float = 0.5


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes `alex`.

    For bash: eval "$(alex completion bash)", in ~/.bashrc. For zsh the same, in ~/.zshrc. For fish:
    alex completion fish > ~/.config/fish/completions/alex.fish
    """
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(context.find_root().command, {}, "alex", "_ALEX_COMPLETE").source())


def complete_task(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer ``last`` and the IDs of the newest tasks, if the server tells them in time."""
    from alex_http.client import Client  # what completes options does not wait for it

    def ask(client: Client) -> Iterable[tuple[str, str]]:
        return [(task.task_id, f"{task.status}: {task.task}") for task in client.tasks(limit=MOST).tasks]

    return _items([("last", "the one that was submitted last"), *_from_server(context, ask)], incomplete)


def complete_waiting_task(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the IDs of the tasks that wait for a person's word, those first that wait longest."""
    from alex_http.client import Client  # as above

    def ask(client: Client) -> Iterable[tuple[str, str]]:
        calls = client.approvals(limit=MOST).approvals
        return {call.task_id: f"waits: {call.tool_name}" for call in calls}.items()

    return _items(_from_server(context, ask), incomplete)


def complete_waiting_call(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the calls of the task that was named which wait for a person's word."""
    from alex_http.client import Client  # as above

    def ask(client: Client) -> Iterable[tuple[str, str]]:
        task = str(context.params.get("task", ""))
        calls = client.approvals(limit=LARGEST_PAGE).approvals
        return [(call.call_id, call.tool_name) for call in calls if call.task_id.endswith(task)]

    return _items(_from_server(context, ask), incomplete)


def complete_session(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the IDs of the sessions that were used last, if the server tells them in time."""
    from alex_http.client import Client  # as above

    def ask(client: Client) -> Iterable[tuple[str, str]]:
        return [(session.id, session.last_task or "") for session in client.sessions(limit=MOST).sessions]

    return _items(_from_server(context, ask), incomplete)


def complete_preset(_context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the presets that come with the package; those of a server's configuration, it alone knows."""
    kind = "agents" if parameter.name == "agent" else "tools"
    spec = find_spec("alex_config")  # not imported: that takes longer than a person likes to wait for a key
    if spec is None or spec.origin is None:
        return []
    table = tomllib.loads((Path(spec.origin).parent / "presets" / f"{kind}.toml").read_text("utf-8"))
    return _items([(name, "") for name in table], incomplete)


def _items(offered: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(value, help=one_line(text, 60)) for value, text in offered if value.startswith(incomplete)
    ]


def _from_server(
    context: click.Context,
    ask: Callable[..., Iterable[tuple[str, str]]],  # of a client, which is not imported for options
) -> list[tuple[str, str]]:
    """Ask the server that the command line names so far; nothing if it does not answer in time."""
    from alex_http.client import Client
    from alex_http.terminal.connection import server_url, token_of

    def do_not_wait(_seconds: float) -> None:
        raise TimeoutError

    try:
        url = server_url(context.params.get("server"), os.environ, Path.cwd())
        token = token_of(context.params.get("token_file"), os.environ)
        in_time = context.find_object(InTime) or InTime()
        with Client(url, token=token, timeout=in_time.seconds, sleep=do_not_wait) as client:
            return [(value, text) for value, text in ask(client) if one_line(value) == value]
    except Exception:  # noqa: BLE001 - a shell that completes has no place for errors
        return []
