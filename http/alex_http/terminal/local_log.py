"""Finds the log of the server of this machine, for commands that are not told where it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from alex_http.terminal.harmless import harmless

CANNOT = 2
"""Exit code: the log is not there, cannot be read, or is asked for what it cannot be asked for."""

F = TypeVar("F", bound=Callable[..., object])


class NoLog(click.ClickException):
    """There is no log that could be read. Told in one line at standard error."""

    exit_code = CANNOT

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature: always standard error
        """Write it to standard error."""
        click.echo(f"alex: {harmless(self.message)}", err=True)


def finds_log(command: F) -> F:
    """Give a command the options that say where the data directory is, as ``alex serve`` has them."""
    config = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="A file of settings (TOML)."
    )
    return config(click.option("--data-dir", help="The data directory.  [default: as for serve]")(command))


def log_of_this_machine(*, data_dir: str | None, config_file: Path | None) -> Path:
    """Return where ``alex serve`` would write its log with the same options. Raises NoLog."""
    from alex_actors.data_directory import log_file_of
    from alex_config import SettingsError, load

    overrides = {"store": {"data_dir": data_dir}}
    try:
        settings = load(config_file=config_file, environ=os.environ, overrides=overrides, cwd=Path.cwd())
    except SettingsError as error:
        raise NoLog(str(error)) from error
    return log_file_of(settings.store.resolved_data_dir())


def unreadable(path: Path, error: Exception, *, default: bool) -> NoLog:
    """Return what to tell of a log that cannot be read; ``default``: nobody named it."""
    if isinstance(error, FileNotFoundError) and default:
        return NoLog(
            f"There is no log at {path}: no server has run with this data directory. Start one with `alex serve`, "
            "say where its data is with --data-dir, or name a file, or - for standard input."
        )
    return NoLog(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).")
