"""``alex token``: makes, lists and revokes tokens. A server that runs sees it at once."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast, get_args

import click
import msgspec

from alex_actors.clock import SystemClock
from alex_actors.data_directory import DirectoryError, make_directory, tokens_file
from alex_actors.values import Owner
from alex_config import SettingsError, load
from alex_http.tokens import NAME_PATTERN, Scope, Token, TokenFile, TokensError

EXIT_NOT_DONE = 2
_COLUMNS = ("ID", "NAME", "OWNER", "SCOPE", "CREATED", "REVOKED")

F = TypeVar("F", bound=Callable[..., object])


def _name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check a name of a token or an owner."""
    if value is not None and not re.fullmatch(NAME_PATTERN, value):
        raise click.BadParameter(f"{value!r} must be 1 to 64 letters, digits, '.', '_', '@' and '-'.")
    return value


def data_directory_options(command: F) -> F:
    """Give a command the options that say which data directory it is about, as ``alex serve`` has them."""
    command = click.option("--data-dir", help="Where everything is kept.  [default: this user's data directory]")(
        command
    )
    return click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="A file of settings (TOML)."
    )(command)


def chosen_data_directory(data_dir: str | None, config_file: Path | None) -> Path:
    """Return the data directory that ``alex serve`` would use with these options. Raises SettingsError."""
    overrides = {"store": {"data_dir": data_dir}}
    settings = load(config_file=config_file, environ=os.environ, overrides=overrides, cwd=Path.cwd())
    return settings.store.resolved_data_dir()


@click.group("token")
def token() -> None:
    """Make, list and revoke the tokens with which clients come in.

    As soon as there is one, every request needs one. A server that runs sees each change at once.
    """


@token.command()
@click.option("--name", required=True, callback=_name, help="What you call it: who has it, or where it is used.")
@click.option(
    "--scope", type=click.Choice(get_args(Scope)), default="write", show_default=True,
    help="read: look at things; write: do things as well; admin: and for other owners.",
)  # fmt: skip
@click.option("--owner", callback=_name, help="Whose sessions and tasks it works on.  [default: the name]")
@data_directory_options
def create(name: str, scope: str, owner: str | None, data_dir: str | None, config_file: Path | None) -> None:
    """Make a token, and print it: it is shown this once and kept nowhere.

    What one owner has does not exist for another. Several tokens may have the same owner. The owner 'local' has
    what was made before there were tokens.
    """
    file = _file(data_dir, config_file, make=True)
    text = _done(lambda: file.create(name=name, owner=Owner(owner or name), scope=cast(Scope, scope)))[1]
    _say(f"The token {name}, for owner {owner or name}, scope {scope}. It is not shown again:")
    click.echo(text)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of lines.")
@data_directory_options
def list_tokens(data_dir: str | None, config_file: Path | None, *, as_json: bool) -> None:
    """Show all tokens, but not what they are: nobody knows that but who has them."""
    tokens = _done(_file(data_dir, config_file).tokens)
    if as_json:
        click.echo(msgspec.json.encode([_shown(each) for each in tokens]))
    elif tokens:
        rows = [_COLUMNS, *(tuple(value or "" for value in _shown(each).values()) for each in tokens)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            click.echo("  ".join(map(str.ljust, row, widths)).rstrip())
    else:
        _say("There is no token: only programs on this machine can use the server.")


@token.command()
@click.argument("name_or_id")
@data_directory_options
def revoke(name_or_id: str, data_dir: str | None, config_file: Path | None) -> None:
    """Have the server let in nobody any more who has the token NAME_OR_ID. What its owner has stays."""
    file = _file(data_dir, config_file)
    revoked = _done(lambda: file.revoke(name_or_id))
    _say(f"The token {revoked.name} ({revoked.id}) is revoked since {revoked.revoked_at}.")


def _shown(shown: Token) -> Mapping[str, str | None]:
    return {field: getattr(shown, field) for field in shown.__struct_fields__ if field != "sha256"}


R = TypeVar("R")


def _file(data_dir: str | None, config_file: Path | None, *, make: bool = False) -> TokenFile:
    def find() -> TokenFile:
        directory = chosen_data_directory(data_dir, config_file)
        if make or directory.is_dir():
            make_directory(directory)
        else:
            msg = f"There is no data directory {directory}. Choose another with --data-dir."
            raise DirectoryError(msg)
        return TokenFile(tokens_file(directory), now=SystemClock().now, random_hex=secrets.token_hex)

    return _done(find)


def _done(act: Callable[[], R]) -> R:
    """Do it, or end the command with what is wrong."""
    try:
        return act()
    except (SettingsError, DirectoryError, TokensError) as error:
        _say(f"alex: {error}")
        raise SystemExit(EXIT_NOT_DONE) from error


def _say(text: str) -> None:
    with suppress(OSError):
        click.echo(text, err=True)
