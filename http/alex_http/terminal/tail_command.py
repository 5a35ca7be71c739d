"""``alex tail``: shows the log as lines that a person can read, and goes on as it grows."""

from __future__ import annotations

import os
import sys
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from gzip import GzipFile
from itertools import islice
from pathlib import Path

import click

from alex_actors.logs.follower import Follower
from alex_actors.logs.reading import Opened, lines_of, open_log
from alex_actors.logs.searching import Part, backwards, between, forwards, unpacked
from alex_actors.tracing.task_log import LAST
from alex_http.terminal.harmless import harmless
from alex_http.terminal.local_log import NoLog, finds_log, log_of_this_machine, unreadable
from alex_http.terminal.tail_filters import LEVELS, SHORTEST_END, Filter, moment
from alex_http.terminal.tail_last import last_task
from alex_http.terminal.tail_output import Output

COUNT = 20
"""Lines that are shown if nothing says how many: half a screen."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""
_PAUSE = 0.2
"""Seconds between two looks at a log that is followed: five a second cost nothing, and nobody reads faster."""
CANNOT_READ = (OSError, EOFError, zlib.error)
"""What reading raises; the last two if a compressed file is damaged."""


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Return the moment that is meant, in UTC. Raises click.BadParameter."""
    try:
        return None if value is None else moment(value, now=datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        text = f"{value!r} is neither a time ago (30s, 10m, 2h, 1d) nor as 2026-11-22T20:00Z."
        raise click.BadParameter(text, ctx=context, param=parameter) from error


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which lines are to be shown: of those that ``filter`` wants, the last ``count``; None: all."""

    filter: Filter
    count: int | None
    since: datetime | None
    until: datetime | None


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@click.option(
    "-n", "--lines", "count", type=click.IntRange(min=0), metavar="LINES",
    help=f"The last LINES of those that fit.  [default: {COUNT}; all with --task, --session, --since or --until, "
    "and of standard input]",
)  # fmt: skip
@click.option(
    "--task", metavar="ID", help="Lines about a task; the end of its ID is enough; `last`: the one recorded last."
)
@click.option(
    "--session", metavar="ID", help="Lines about a session; the end of its ID is enough; `last`: of the last task."
)
@click.option(
    "--event", "events", multiple=True, metavar="EVENT", help="task.ended, say, or 'task.*'. Repeatable."
)
@click.option("--level", type=click.Choice(list(LEVELS)), help="Lines of this level and above.")
@click.option(
    "--since",
    metavar="TIME",
    callback=_moment,
    help="Lines since then: 30s, 10m, 2h, 1d ago, or 2026-11-22T20:00Z.",
)
@click.option("--until", metavar="TIME", callback=_moment, help="Lines until then.")
@click.option("--json", "as_json", is_flag=True, help="Pass the lines on as they are.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
@click.option("--utc", is_flag=True, help="Show times in UTC, not in this machine's zone.")
@click.option("--full-ids", is_flag=True, help="Show IDs in full on a terminal of less than 200 columns, too.")
@finds_log
@click.pass_context
def tail(
    context: click.Context, file: Path | None, task: str | None, session: str | None, events: tuple[str, ...],
    level: str | None, color: str, data_dir: str | None, config_file: Path | None, count: int | None,
    since: datetime | None, until: datetime | None, *, follow: bool, as_json: bool, utc: bool, full_ids: bool,
) -> None:  # fmt: skip
    """Show the log as lines for people.

    FILE is a log of Alex Runtime, taken with what it was rotated into, or - for standard input; without it, the
    log of the server that this user runs on this machine. What is no line of a log is shown as it is, unless lines
    of a task, a session, an event or a level are asked for. With --follow, a log that is not there yet is waited
    for, and `last` is the task that is the last one when it starts.
    """
    if follow and until:
        raise click.UsageError("--follow goes on for ever: it cannot be had with --until.")
    if task is not None and len(task) < SHORTEST_END:
        raise click.UsageError(f"--task takes an ID, or its end: at least {SHORTEST_END} characters.")
    path = file or log_of_this_machine(data_dir=data_dir, config_file=config_file)
    task, session = _without_last(path, task, session, default=file is None)
    wanted = Wanted(
        filter=Filter(task=task, session=session, events=events, level=level, since=since, until=until),
        count=COUNT if count is None and not (task or session or since or until) else count,
        since=since,
        until=until,
    )
    output = Output(as_json=as_json, color=color, utc=utc, full_ids=full_ids)
    try:
        if _is_read_once(path):
            _pass_on(path, wanted.filter, count, output)
        else:
            _show(path, wanted, output, follow=follow)
        if not output.shown and count != 0:
            click.echo("alex: no line of the log fits.", err=True)
    except KeyboardInterrupt:
        context.exit(INTERRUPTED)
    except BrokenPipeError:  # `head` has what it wanted
        output.forsake()
    except CANNOT_READ as error:
        if error is output.failure:
            raise
        raise unreadable(path, error, default=file is None) from error


def _is_read_once(path: Path) -> bool:
    return str(path) == "-" or path.is_fifo() or path.is_char_device()


def _without_last(
    path: Path, task: str | None, session: str | None, *, default: bool
) -> tuple[str | None, str | None]:
    """Return the IDs that ``last`` stands for, others as they are. Raises NoLog and click.UsageError."""
    if LAST not in (task, session):
        return task, session
    if _is_read_once(path):
        raise click.UsageError("`last` is sought from the end of a log: it cannot be had of a pipe.")
    try:
        found = last_task(path)
    except CANNOT_READ as error:
        raise unreadable(path, error, default=default) from error
    if found is None:
        raise NoLog(f"There is no task in {path} yet: none is the last.")
    return found.task_id if task == LAST else task, found.session_id if session == LAST else session


def _pass_on(path: Path, wanted: Filter, count: int | None, output: Output) -> None:
    """Show lines of what can be read only once, a pipe, each as soon as it is there."""
    with sys.stdin.buffer if str(path) == "-" else path.open("rb") as lines:
        fitting = (line for line in lines_of(lines) if wanted.wants(line))
        for line in fitting if count is None else deque(fitting, count):
            output.show(line)
            output.flush()


def _show(path: Path, wanted: Wanted, output: Output, *, follow: bool) -> None:
    """Show lines of a file, and of those that it was rotated into."""
    with ExitStack() as closing:
        files = _open(path, waits=follow)
        for file in files:
            closing.enter_context(file)
        # The newest first: what is in an older file then is not read twice, nor missed, if it is rotated now.
        ends = [_end_of(file) for file in reversed(files)][::-1]
        if follow and files and not isinstance(files[-1], GzipFile):
            ends[-1] = _end_of_lines(Part(files[-1], 0, ends[-1]))
        for line in _lines(list(zip(files, ends, strict=True)), wanted, closing):
            output.show(line)
        output.flush()
        if follow:
            plain = [(file, end) for file, end in zip(files, ends, strict=True) if not isinstance(file, GzipFile)]
            _follow(Follower(path, plain), wanted.filter, output)


def _open(path: Path, *, waits: bool) -> list[Opened]:
    """Open the log and what it was rotated into; nothing if it is not there, and is waited for."""
    try:
        return open_log(path)
    except FileNotFoundError:
        if not waits:
            raise
    click.echo(f"alex: There is no log at {harmless(str(path))} yet: waiting for it.", err=True)
    return []


def _lines(files: list[tuple[Opened, int]], wanted: Wanted, closing: ExitStack) -> Iterator[bytes]:
    """Yield the lines that are to be shown, the oldest first."""
    if wanted.count is None and not (wanted.since or wanted.until):
        # Nothing has to be sought: what is compressed is read as it comes.
        parts: Iterable[Part] = (Part(file, 0, end) for file, end in files)
    else:
        newest_first = (
            unpacked(file, closing=closing) if isinstance(file, GzipFile) else Part(file, 0, end)
            for file, end in reversed(files)
        )
        stretches = between(newest_first, since=wanted.since, until=wanted.until)
        if wanted.count is not None:
            fitting = (line for part in stretches for _, line in backwards(part) if wanted.filter.wants(line))
            yield from reversed(list(islice(fitting, wanted.count)))
            return
        parts = reversed(list(stretches))
    for part in parts:
        yield from (line for _, line in forwards(part) if wanted.filter.wants(line))


def _end_of(file: Opened) -> int:
    """Return the size of a file; more than any has of a compressed one, whose size is not known."""
    return sys.maxsize if isinstance(file, GzipFile) else os.fstat(file.fileno()).st_size


def _end_of_lines(part: Part) -> int:
    """Return where the last line ends whose newline is there: the next one is shown when it is whole."""
    if part.end == 0:
        return 0
    part.file.seek(part.end - 1)
    if part.file.read(1) == b"\n":
        return part.end
    return next(position for position, _ in backwards(part))


def _follow(follower: Follower, wanted: Filter, output: Output) -> None:
    """Show what is appended, until Ctrl-C, or until nobody reads it any more."""
    while True:
        for line in follower.new_lines():
            if wanted.wants(line):
                output.show(line)
        output.flush()
        time.sleep(_PAUSE)  # a file tells nobody that it has grown
