"""Commands about a data directory: back it up, check it. A server may use it meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

import click
import msgspec

from alex_actors.backup import DATABASE, WORKSPACES, Backup, BackupError, back_up
from alex_actors.store.check import Checked, check
from alex_actors.store.database import DatabaseError
from alex_config import Settings, SettingsError, load

NOT_SOUND = 1
CANNOT = 2
"""Exit codes: of a check that found something, and of a command that could not do its work."""

F = TypeVar("F", bound=Callable[..., object])


def _options(command: F) -> F:
    """Give a command the options that say where the data directory is, as ``serve`` has them."""
    config = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="A file of settings (TOML)."
    )
    return config(click.option("--data-dir", help="The data directory.  [default: as for serve]")(command))


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@_options
@click.pass_context
def backup(context: click.Context, target: Path, data_dir: str | None, config_file: Path | None) -> None:
    """Copy everything to a new directory TARGET, also while a server runs.

    `alex serve --data-dir TARGET` starts on the copy. It has the database, the workspaces of the sessions and the
    tokens; not the log.
    """
    try:
        settings = _settings(data_dir, config_file)
        with _leaves_in_order():
            made = back_up(settings.store.resolved_data_dir(), target.absolute())
    except (SettingsError, BackupError) as error:
        click.echo(f"alex: {error}", err=True)
        context.exit(CANNOT)
    for line in _told_of_backup(made, target):
        click.echo(line)


@click.command("check")
@_options
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object instead of lines.")
@click.pass_context
def check_data(context: click.Context, data_dir: str | None, config_file: Path | None, *, as_json: bool) -> None:
    """Check that what is recorded is sound, and tell what the next start would recover.

    Changes nothing, and works while a server runs. The exit code is 0 if all is sound, 1 if not, and 2 if there is
    nothing that could be checked.
    """
    try:
        settings = _settings(data_dir, config_file)
        data = settings.store.resolved_data_dir()
        checked = check(data / DATABASE, data / WORKSPACES)
    except (SettingsError, DatabaseError) as error:
        click.echo(f"alex: {error}", err=True)
        context.exit(CANNOT)
    if as_json:
        click.echo(msgspec.json.encode(checked))
    else:
        for line in _told_of_check(checked, resume=settings.agents.recovery == "resume"):
            click.echo(line)
    context.exit(0 if checked.sound else NOT_SOUND)


@contextmanager
def _leaves_in_order() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end this process as Ctrl-C does: what it had begun is cleared up."""
    wanted = (signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores one
    before = {number: signal.signal(number, _leave) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # as shells report a process that a signal ended


def _settings(data_dir: str | None, config_file: Path | None) -> Settings:
    overrides = {"store": {"data_dir": data_dir}}
    return load(config_file=config_file, environ=os.environ, overrides=overrides, cwd=Path.cwd())


def _told_of_backup(made: Backup, target: Path) -> Iterator[str]:
    yield (
        f"{target} has {_counted(made.sessions, 'session')} with {_counted(made.tasks, 'task')}, and "
        f"{_counted(made.workspaces, 'workspace')} with {_counted(made.files, 'file')}: {made.bytes:,} bytes."
    )
    if made.left_out_count:
        more = ", …" if made.left_out_count > len(made.left_out) else ""
        yield (
            f"Not in it, since they are no files or may not be read: {', '.join(map(ascii, made.left_out))}{more}"
        )


def _told_of_check(checked: Checked, *, resume: bool) -> Iterator[str]:
    yield (
        f"{checked.database}: {_counted(checked.sessions, 'session')}, {_counted(checked.tasks, 'task')}, "
        f"{_counted(checked.events, 'event')}."
    )
    for finding in checked.findings:
        yield f"NOT SOUND: {finding.about}: {finding.text}"
    yield from checked.notes
    if checked.unfinished:
        does = "resume" if resume else "end as interrupted"
        yield f"The next start would {does} {_counted(len(checked.unfinished), 'unfinished task')}:"
    for task in checked.unfinished:
        since = f"running since {task.started_at}" if task.started_at else f"waiting since {task.created_at}"
        yield f"  {task.task_id} in {task.session_id} of {task.owner}: {since}, {_counted(task.events, 'event')}"
    yield "Sound." if checked.sound else f"{_counted(len(checked.findings), 'finding')}."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
