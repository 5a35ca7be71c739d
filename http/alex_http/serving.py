"""``alex serve``: its options, and how a start that fails is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from alex_actors.agents.configured import CannotConfigure
from alex_actors.data_directory import DirectoryError, tokens_file
from alex_actors.store.database import DatabaseError
from alex_actors.tools import SandboxError
from alex_config import Settings, SettingsError, load
from alex_http.hosts import CannotExpose, check_host
from alex_http.shutdown import EXIT_CANNOT_START
from alex_http.tokens import TokensError, read_tokens
from alex_http.transport import CannotListen

CANNOT_START = (
    SettingsError,
    CannotExpose,
    TokensError,
    DirectoryError,
    DatabaseError,
    SandboxError,
    CannotConfigure,
    CannotListen,
)
"""What has a text that says in one line why there is no server, and what to do."""


def serve_command(run: Callable[[Settings], int]) -> click.Command:
    """Return the command ``serve``. ``run`` serves until it is told to stop, and returns the exit code."""

    @click.command()
    @click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
    @click.option("--port", type=int, help="Port to listen on; 0 takes one that is free.  [default: 8080]")
    @click.option("--data-dir", help="Where everything is kept.  [default: this user's data directory]")
    @click.option("--config", "config_file", type=click.Path(path_type=Path), help="A file of settings (TOML).")
    @click.option("--log-level", help="debug, info, warning or error.  [default: info]")
    def serve(
        host: str | None, port: int | None, data_dir: str | None, config_file: Path | None, log_level: str | None
    ) -> None:
        """Serve the HTTP API until SIGTERM or Ctrl-C; a second Ctrl-C stops at once."""
        overrides: dict[str, dict[str, object]] = {
            "server": {"host": host, "port": port},
            "store": {"data_dir": data_dir},
            "log": {"level": log_level},
        }
        try:
            settings = load(config_file=config_file, environ=os.environ, overrides=overrides, cwd=Path.cwd())
            tokens = read_tokens(tokens_file(settings.store.resolved_data_dir()))
            check_host(settings.server.host, has_token=any(token.revoked_at is None for token in tokens))
            exit_code = run(settings)
        except CANNOT_START as error:
            say(f"alex: {error}")
            exit_code = EXIT_CANNOT_START
        _end(exit_code)

    return serve


def say(text: str) -> None:
    """Tell a person at standard error; if nobody reads it any more, that is no reason to stop."""
    with suppress(OSError):
        click.echo(text, err=True)


def _end(exit_code: int) -> None:
    """End the process, whatever its threads do: a tool that hangs must not keep it."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before the start
        with suppress(OSError):
            stream.flush()
    os._exit(exit_code)
