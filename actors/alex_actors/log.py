"""The log: facts as structured lines, without secrets, to a file and to standard output."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, TextIO, TypeAlias

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from alex_actors.log_formats import ConsoleFormat, Entry, Format, json_line, presentable, repr_of
from alex_actors.log_sinks import QueuedWriter, Sinks, Writer
from alex_actors.logs.file_writer import FileWriter
from alex_actors.logs.rotation import LogFile, Rotation
from alex_actors.redact import Redactor
from alex_actors.values import timestamp

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

_LEVELS: Mapping[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_TRUSTED = frozenset({"ts", "level", "task_id", "session_id", "trace_id"})
"""Fields that never hold a secret: two that are made here, and IDs, which are the same in every line."""


class Log:
    """The process's log. ``logger`` is given to whoever has facts to tell; they ``bind`` what they repeat.

    A line has ``ts`` (RFC 3339, UTC, microseconds), ``level``, ``event``, then the fields as they were given;
    an exception is one field, ``exception``, with its traceback as text. Values that JSON does not know are
    shown as their repr. Logging never raises: lines that could not be written are counted in ``lost``.
    """

    def __init__(self, *, level: Level, sinks: Sinks, now: Callable[[], datetime], redactor: Redactor) -> None:
        self._level = level
        self._sinks = sinks
        self._captured = ExitStack()
        # Wrapped by hand: structlog.configure would set it for the whole process. The bind makes it concrete,
        # where a lazy proxy would be put together again for each line.
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            _Recorder(sinks=sinks, now=now, redactor=redactor),
            processors=[],
            wrapper_class=_logger_class(_LEVELS[level]),
            context_class=dict,
        ).bind()

    @classmethod
    def open(
        cls,
        *,
        level: Level,
        log_file: Path | None,
        stdout: IO[str] | IO[bytes] | None,
        environ: Mapping[str, str],
        now: Callable[[], datetime],
        max_file_bytes: int = 0,
        keep_files: int = 0,
        also: Callable[[Entry], None] | None = None,
    ) -> Log:
        """Open the log, and let nothing else of the process know of it (``capture`` does that).

        ``log_file`` gets JSON lines, and is made with its directories if it is not there. Once it has
        ``max_file_bytes`` (0: never) it gets a number, and a new one is begun; ``keep_files`` of them stay.
        ``stdout`` gets
        readable lines if it is a terminal (in colour unless ``NO_COLOR`` is set or ``TERM`` is ``dumb``), else
        JSON lines, from a thread of the log's own; it must have a file descriptor, which is duplicated. None: no
        such output. ``also`` is given each entry, in the thread that logs. The secrets in ``environ`` are replaced
        everywhere.

        Raises OSError if the file cannot be opened.
        """
        outputs: list[tuple[Format, list[Writer]]] = []
        json_writers: list[Writer] = []
        if log_file is not None:
            rotation = Rotation(log_file, max_bytes=max_file_bytes, keep_files=keep_files)
            json_writers.append(_file_writer(log_file, rotation, now))
        if stdout is not None:
            file = FileIO(os.dup(stdout.fileno()), "w")
            if stdout.isatty():
                color = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
                console = ConsoleFormat(color=color)
                outputs.append((console, [QueuedWriter(file, lost_line=_lost_line(console, now))]))
            else:
                json_writers.append(QueuedWriter(file, lost_line=_lost_line(json_line, now)))
        outputs.insert(0, (json_line, json_writers))
        sinks = Sinks([output for output in outputs if output[1]], also=also)
        return cls(level=level, sinks=sinks, now=now, redactor=Redactor.of_environment(environ))

    @property
    def lost(self) -> int:
        """Return how many lines could not be written, over all outputs, since the log was opened."""
        return self._sinks.lost

    def capture(self) -> None:
        """Take in, until ``close``, what is not logged through ``logger``.

        That is: the standard library's logging as event ``log`` from WARNING on (from INFO at level debug),
        warnings, and exceptions that nobody caught, as ``thread.crashed`` and ``process.crashed``.
        """
        handler = _Handler(self.logger)
        root = logging.getLogger()
        _set_level(self._captured, root, logging.INFO if self._level == "debug" else logging.WARNING)
        # waitress warns for each request that finds all workers busy, which under load is nearly each.
        _set_level(self._captured, logging.getLogger("waitress.queue"), logging.ERROR)
        # The SDK tells of each line of an MCP server that is no message, with a traceback.
        _set_level(self._captured, logging.getLogger("mcp.client.stdio"), logging.CRITICAL)
        root.addHandler(handler)
        self._captured.callback(root.removeHandler, handler)

        hooks = _Hooks(self.logger, sys.excepthook)
        self._captured.callback(setattr, warnings, "showwarning", warnings.showwarning)
        self._captured.callback(setattr, threading, "excepthook", threading.excepthook)
        self._captured.callback(setattr, sys, "excepthook", sys.excepthook)
        warnings.showwarning = hooks.warning
        threading.excepthook = hooks.thread
        sys.excepthook = hooks.process

    def flush(self, *, timeout: float) -> bool:
        """Wait, at most ``timeout`` seconds, until no line waits to be written. Return whether that is so."""
        return self._sinks.flush(timeout=timeout)

    def close(self, *, timeout: float = 1.0) -> None:
        """Give back what ``capture`` took, and close the outputs. What is logged later is lost.

        A standard output that takes nothing for ``timeout`` seconds (a stopped terminal) does not get the rest.
        """
        self._captured.close()
        self._sinks.close(timeout=timeout)


def _file_writer(path: Path, rotation: Rotation, now: Callable[[], datetime]) -> FileWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = LogFile(path)
    torn = False
    if path.stat().st_size:
        with path.open("rb") as written_before:
            written_before.seek(-1, os.SEEK_END)
            torn = written_before.read() != b"\n"
    return FileWriter(
        file,
        lost_line=_lost_line(json_line, now),
        torn=torn,
        successor=rotation,
        not_rotated=lambda error: json_line(_warning("log.not_rotated", now, error=error.strerror)),
    )


def _lost_line(format_entry: Format, now: Callable[[], datetime]) -> Callable[[int], bytes]:
    return lambda count: format_entry(_warning("log.lost", now, lines=count))


def _warning(event: str, now: Callable[[], datetime], **fields: object) -> Entry:
    """Return what an output says of itself."""
    return {"ts": timestamp(now()), "level": "warning", "event": event, **fields}


def _set_level(restored: ExitStack, logger: logging.Logger, level: int) -> None:
    restored.callback(logger.setLevel, logger.level)
    logger.setLevel(level)


class _Recorder:
    """Makes an entry of what was logged, and writes it."""

    def __init__(self, *, sinks: Sinks, now: Callable[[], datetime], redactor: Redactor) -> None:
        self._sinks = sinks
        self._now = now
        self._redactor = redactor

    def record(self, level: str, event: str | None, fields: Entry) -> None:
        """Write what was logged, without its secrets; ``fields`` may be changed."""
        if (exc_info := fields.pop("exc_info", None)) and (text := _traceback(exc_info)):
            fields["exception"] = text
        head: Entry = {"ts": timestamp(self._now()), "level": level, "event": event}
        # The head twice: first for the order, and last so that a field of the same name cannot replace it.
        self._sinks.write(_harmless({**head, **fields, **head}, self._redactor))


def _logger_class(level: int) -> type[FilteringBoundLogger]:
    """Return structlog's filtering logger, calling the recorder directly: a chain of processors costs 0.7 µs."""

    def record(
        self: Any,  # Any: structlog's class, whose base is not public
        level: str,
        event: str | None = None,
        /,
        **fields: object,
    ) -> None:
        self._logger.record(level, event, {**self._context, **fields})

    filtering = structlog.make_filtering_bound_logger(level)
    return type(filtering.__name__, (filtering,), {"_proxy_to_logger": record})


def _harmless(entry: Entry, redactor: Redactor) -> Entry:
    """Return the entry in JSON's own types and without secrets; whatever is in it, do not raise."""
    try:
        if redactor.is_harmless(entry, trusted=_TRUSTED):
            return entry
        clean: Entry = redactor.redact(msgspec.to_builtins(entry, enc_hook=repr_of, str_keys=True))
    except Exception:  # noqa: BLE001 - odd keys, cycles, …: a line that looks odd is better than none
        clean = redactor.redact(presentable(entry))
    clean |= {key: entry[key] for key in _TRUSTED if isinstance(entry.get(key), str)}
    return clean


def _traceback(exc_info: object) -> str:
    """Format what the logging of the standard library takes as ``exc_info``; empty if there is no exception."""
    match exc_info:
        case BaseException():
            error: BaseException | None = exc_info
        case (_, BaseException() | None as error, _):
            pass
        case _:
            error = sys.exc_info()[1]
    if error is None:
        return ""
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # noqa: BLE001 - somebody else's exception
        return repr_of(error)


class _Handler(logging.Handler):
    """Hands on what other libraries log."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as event ``log``, at the nearest level below its own."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the arguments do not fit the text: show both
            message = f"{record.msg} {repr_of(record.args)}"
        level = max(logging.DEBUG, min(logging.CRITICAL, record.levelno // 10 * 10))
        self._logger.log(level, "log", logger=record.name, message=message, exc_info=record.exc_info)


class _Hooks:
    """What Python calls for warnings and for exceptions that nobody caught."""

    def __init__(
        self,
        logger: FilteringBoundLogger,
        excepthook: Callable[[type[BaseException], BaseException, TracebackType | None], object],
    ) -> None:
        self._logger = logger
        self._excepthook = excepthook

    def warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Log a warning, as the standard library's logging would name it."""
        del file, line  # where and how else it could be printed
        text = f"{category.__name__}: {message}"
        self._logger.warning("log", logger="py.warnings", message=text, file=filename, line=lineno)

    def thread(self, args: threading.ExceptHookArgs) -> None:
        """Log the exception that ended a thread."""
        if args.exc_type is not SystemExit:
            name = args.thread.name if args.thread else None
            self._logger.critical("thread.crashed", thread=name, exc_info=args.exc_value)

    def process(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log the exception that ends the process, and let Python print it as well: a person may be watching."""
        if not issubclass(kind, KeyboardInterrupt):
            self._logger.critical("process.crashed", exc_info=error)
        self._excepthook(kind, error, trace)
