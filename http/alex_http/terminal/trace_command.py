"""``alex trace``: draws what a log tells of a task, and checks a log against what always holds."""

from __future__ import annotations

import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from alex_http.terminal.harmless import harmless_json, one_line
from alex_http.terminal.local_log import CANNOT, finds_log, log_of_this_machine, unreadable

BROKEN = 1
"""Exit code of a check that found a rule broken."""
STANDARD_INPUT = Path("-")
SHOWN = 20
"""Violations that are shown; of the others, how many there are."""
LONGEST = 300
"""Characters of a line of the log, as it is shown."""
PIPED = 110
"""Columns where there is no terminal."""
CANNOT_READ = (OSError, EOFError, zlib.error)
"""What reading raises; the last two if a compressed file is damaged."""


@click.command()
@click.argument("names", nargs=-1, metavar="[TASK] [FILE]...")
@click.option("--mermaid", is_flag=True, help="Write a Mermaid sequence diagram.")
@click.option("--html", "as_html", is_flag=True, help="Write a page: one file, with nothing from elsewhere.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Write to a file.  [default: standard output]"
)
@click.option("--width", type=click.IntRange(min=40), help="Columns of the diagram.  [default: the terminal's]")
@click.option("--all", "everything", is_flag=True, help="Show every message, also what repeats.")
@click.option("--children", is_flag=True, help="Draw the tasks of its sub-agents, too.")
@click.option("--check", is_flag=True, help="Check all tasks in the log against what must hold of them.")
@click.option("--json", "as_json", is_flag=True, help="With --check: write one JSON object.")
@click.option(
    "--otlp",
    is_flag=False,
    flag_value="",
    metavar="[URL]",
    help="Send it as OpenTelemetry spans, to URL or to where the environment says.",
)
@finds_log
@click.pass_context
def trace(
    context: click.Context, names: tuple[str, ...], output: Path | None, width: int | None, data_dir: str | None,
    config_file: Path | None, otlp: str | None, *, mermaid: bool, as_html: bool, everything: bool, children: bool,
    check: bool, as_json: bool,
) -> None:  # fmt: skip
    """Draw what happened to a task: who sent what to whom, when, and how long each message waited and took.

    TASK is the beginning or the end of a task's ID, or `last`. FILE is a log of Alex Runtime, taken with what it
    was rotated into, or - for standard input; without it, the log of the server that this user runs here. Messages
    are in the log at level debug; without them the facts are drawn.

    With --check there is no TASK: all tasks of the log are checked. The exit code is then 0 if all is as it must
    be, 1 if a rule was broken, 2 if the log cannot be checked.

    With --otlp after the TASK its spans are sent, and its sub-agents'; without a TASK those of the whole log.
    """
    if otlp is not None:
        if check or mermaid or as_html or everything or output:
            raise click.UsageError("--otlp draws and checks nothing: it goes with a TASK and a FILE alone.")
        _send(names, otlp, data_dir=data_dir, config_file=config_file)
        return
    if check:
        if mermaid or as_html or children or everything or output:
            raise click.UsageError("--check draws nothing: it goes with --json and FILEs alone.")
        files = [Path(name) for name in names] or [log_of_this_machine(data_dir=data_dir, config_file=config_file)]
        context.exit(_check(files, default=not names, as_json=as_json))
    if as_json or (mermaid and as_html):
        raise click.UsageError("--json goes with --check; --mermaid and --html are one or the other.")
    if not 1 <= len(names) <= 2:
        raise click.UsageError(
            "Say which task: the beginning or the end of its ID, or `last`; then, perhaps, a FILE."
        )
    path = Path(names[1]) if len(names) == 2 else log_of_this_machine(data_dir=data_dir, config_file=config_file)
    form = "mermaid" if mermaid else "html" if as_html else "text"
    text = _drawn(
        path, names[0], default=len(names) == 1, form=form, width=width or _columns(output), everything=everything,
        children=children,
    )  # fmt: skip
    _write(text, output)


# Drawing.


def _drawn(
    path: Path, wanted: str, *, default: bool, form: str, width: int, everything: bool, children: bool
) -> str:
    from alex_actors.tracing.drawing import Drawing
    from alex_actors.tracing.task_log import NotInLog, SeveralTasks, task_log

    read = _reader(path)
    try:
        found = task_log(read, wanted, children=children)
    except CANNOT_READ as error:
        raise unreadable(path, error, default=default) from error
    except SeveralTasks as error:
        _fail(f"{error} Say more of the ID.")
    except NotInLog:
        _fail(_not_there(wanted, path, read))
    drawing = Drawing(found, source=_name_of(path), children=children, everything=everything)
    match form:
        case "mermaid":
            return drawing.mermaid()
        case "html":
            return drawing.html()
        case _:
            return drawing.text(width)


def _not_there(wanted: str, path: Path, read: Callable[[], Iterator[bytes]]) -> str:
    from alex_actors.tracing.task_log import overview

    there = overview(read())
    what = f"No task like {wanted!r} is in {_name_of(path)}: "
    if not there.lines:
        return f"{what}it is empty."
    told = f"it tells of {there.tasks:,} tasks, from {there.first} to {there.last}"
    latest = f", at last {', '.join(there.latest)}" if there.latest else ""
    return f"{what}{told}{latest}."


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    try:
        output.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    except OSError as error:
        _fail(f"{output} cannot be written ({error.strerror}).")
    click.echo(f"{output}: {output.stat().st_size:,} bytes.", err=True)


def _columns(output: Path | None) -> int:
    return shutil.get_terminal_size((PIPED, 24)).columns if output is None and sys.stdout.isatty() else PIPED


# Sending.


def _send(names: tuple[str, ...], endpoint: str, *, data_dir: str | None, config_file: Path | None) -> None:
    """Send the spans of a task, or those of a whole log: then a name, if there is one, is that of a file."""
    from alex_http.terminal.trace_otlp import models_of, send_spans

    if len(names) > 2:
        raise click.UsageError("--otlp goes with a TASK and a FILE at most.")
    whole = len(names) == 1 and (names[0] == str(STANDARD_INPUT) or Path(names[0]).exists())
    given = names[0] if whole else names[1] if len(names) == 2 else None
    path = log_of_this_machine(data_dir=data_dir, config_file=config_file) if given is None else Path(given)
    wanted = None if whole or not names else names[0]
    models = models_of(data_dir=data_dir, config_file=config_file)
    try:
        click.echo(send_spans(_reader(path), wanted, endpoint=endpoint, models=models))
    except CANNOT_READ as error:
        raise unreadable(path, error, default=given is None) from error


# Checking.


def _check(paths: Sequence[Path], *, default: bool, as_json: bool) -> int:
    """Check a log, and say what was found; return the exit code."""
    from alex_actors.tracing.checking import check_files, check_stream

    try:
        if any(map(_read_once, paths)):
            if len(paths) > 1:
                raise click.UsageError("What can be read only once, such as standard input, is checked alone.")
            with sys.stdin.buffer if paths[0] == STANDARD_INPUT else paths[0].open("rb") as lines:
                checked = check_stream(lines, name=_name_of(paths[0]))
        else:
            checked = check_files(paths)
    except CANNOT_READ as error:
        raise unreadable(Path(getattr(error, "filename", None) or paths[0]), error, default=default) from error
    source = ", ".join(map(_name_of, paths))
    if checked.lines == checked.unreadable + checked.blank:
        _fail(f"{source}: no line of a log of Alex Runtime is in it.")
    if not checked.tasks and not checked.runs:
        _fail(f"{source}: nothing could be checked. No task is in it, and no start of a server: both are at info.")
    if as_json:
        click.echo(
            harmless_json(
                msgspec.json.encode({"clean": checked.clean, **msgspec.structs.asdict(checked)}).decode()
            )
        )
    else:
        from alex_http.terminal.trace_findings import told

        for line in told(checked, shown=SHOWN, longest=LONGEST):
            click.echo(line)
    return 0 if checked.clean else BROKEN


# Logs.


def _reader(path: Path) -> Callable[[], Iterator[bytes]]:
    """Return what reads a log from its beginning, again and again: what can be read only once is kept."""
    from alex_actors.logs.reading import lines_of, read_lines

    if not _read_once(path):
        return lambda: read_lines(path)
    with sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb") as stream:
        lines = [*lines_of(stream)]
    return lambda: iter(lines)


def _read_once(path: Path) -> bool:
    return path == STANDARD_INPUT or path.is_fifo() or path.is_char_device()


def _name_of(path: Path) -> str:
    return "standard input" if path == STANDARD_INPUT else str(path)


def _fail(text: str) -> NoReturn:
    click.echo(f"alex: {one_line(text)}", err=True)
    raise click.exceptions.Exit(CANNOT)
