"""``alex trace --otlp``: sends what a log tells as spans of OpenTelemetry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alex_http import __version__
from alex_http.terminal.harmless import one_line
from alex_http.terminal.local_log import CANNOT

if TYPE_CHECKING:
    from alex_actors.tracing.otlp_export import Sent
    from alex_actors.tracing.spans_values import AskedModel

LOCAL = "http://localhost:4318"
"""Where a collector of OpenTelemetry listens on one's own machine, by its specification."""

Lines = Callable[[], Iterator[bytes]]


class CannotSend(click.ClickException):
    """Spans could not be sent; told in one line at standard error."""

    exit_code = CANNOT

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature: always standard error
        """Write it to standard error."""
        click.echo(f"alex: {one_line(self.message)}", err=True)


def send_spans(read: Lines, wanted: str | None, *, endpoint: str, models: Mapping[str, AskedModel]) -> str:
    """Send the spans of a log, or of one task of it with its sub-agents; return what to tell of that.

    ``endpoint`` is a URL; empty: what the environment says. Raises CannotSend, and what reading raises.
    """
    from alex_actors.tracing.otlp_export import of_its_trace, send_log
    from alex_actors.tracing.otlp_settings import (
        INSTALL,
        endpoint_of,
        is_installed,
        redactor_of,
        shown,
        traces_url,
    )

    if not is_installed():
        raise CannotSend(f"The packages of OpenTelemetry are not installed: {INSTALL}")
    try:
        own = traces_url(endpoint) if endpoint else None
    except ValueError as error:
        told = redactor_of(os.environ, endpoint).text(str(error))
        raise CannotSend(f"{told}. Write the TASK before --otlp.") from error
    from alex_actors.tracing.otlp import SpanSender

    entries = _all(read()) if wanted is None else of_its_trace(_of_task(read, wanted))
    redactor = redactor_of(os.environ, endpoint)
    try:
        sender = SpanSender(version=__version__, redactor=redactor, endpoint=own)
    except Exception as error:  # whatever the exporter finds wrong with its variables
        raise CannotSend(redactor.text(str(error))) from error
    try:
        sent = send_log(entries, sender, models=models)
    finally:
        sender.close()
    where = shown(own or endpoint_of(os.environ) or LOCAL)
    if sent.dropped:
        raise CannotSend(f"{where} did not take {sent.dropped:,} of {_told(sent)}: {sent.reason}")
    return f"Sent {_told(sent)} to {where}.{_unfinished(sent)}"


def models_of(*, data_dir: str | None, config_file: Path | None) -> Mapping[str, AskedModel]:
    """Return what the models are that the server of these options would ask; nothing if they cannot be read."""
    from alex_actors.models.configured import configured_models
    from alex_actors.tracing.otlp_settings import asked_models
    from alex_config import SettingsError, load

    overrides = {"store": {"data_dir": data_dir}}
    try:
        settings = load(config_file=config_file, environ=os.environ, overrides=overrides, cwd=Path.cwd())
    except SettingsError:
        return {}
    return asked_models(configured_models(settings))


def _all(lines: Iterable[bytes]) -> Iterator[Mapping[str, object]]:
    from alex_actors.logs.reading import parse

    return (entry for line in lines if (entry := parse(line)) is not None)


def _of_task(read: Lines, wanted: str) -> list[dict[str, object]]:
    from alex_actors.tracing.task_log import NotInLog, SeveralTasks, task_log

    try:
        return task_log(read, wanted, children=True).entries
    except SeveralTasks as error:
        raise CannotSend(f"{error} Say more of the ID.") from error
    except NotInLog as error:
        raise CannotSend(f"No task like {wanted!r} is in the log.") from error


def _told(sent: Sent) -> str:
    spans, traces = sent.spans + sent.dropped, sent.traces
    return f"{spans:,} span{'' if spans == 1 else 's'} of {traces:,} trace{'' if traces == 1 else 's'}"


def _unfinished(sent: Sent) -> str:
    if not sent.unfinished:
        return ""
    tasks = "1 task has" if sent.unfinished == 1 else f"{sent.unfinished:,} tasks have"
    return f" {tasks} no end in the log: without it there is no `invoke_agent`."
