"""Sends spans while the server runs: what it logs goes to a thread of its own, which makes spans of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread, get_ident
from typing import TYPE_CHECKING

from alex_actors.text import failure_line
from alex_actors.tracing.otlp_settings import (
    INSTALL,
    endpoint_of,
    is_installed,
    is_wanted,
    redactor_of,
    shown,
    unspoken_protocol,
)
from alex_actors.tracing.spans import WANTED, SpanMaker

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.log import Level
    from alex_actors.log_formats import Entry
    from alex_actors.tracing.otlp import SpanSender
    from alex_actors.tracing.spans_values import AskedModel, Span

MOST_WAITING = 20_000
"""Entries that may wait while something is sent: 15 MB of usual ones, and a second of a server under full load."""

PAUSE = 0.5
"""Seconds between two sendings. It makes batches, and leaves the server's threads alone meanwhile."""

SAY_EACH = 60.0
"""Seconds from one line about what was dropped to the next: an endpoint may be away for days."""


class LiveSpans:
    """Takes entries of the log, from any thread, and has the spans sent that they make.

    Who logs is never held up: when too many entries wait, others are dropped, as spans are that cannot be sent.
    Both are counted and said as ``otel.dropped``, at once and then once a minute. The log has what they were of.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        most_waiting: int = MOST_WAITING,
        pause: float = PAUSE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``pause`` and ``now`` in seconds. What is taken before the start waits for it."""
        self._environ = environ
        self._most_waiting = most_waiting
        self._pause = pause
        self._now = now
        self._on = True
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        """Entries; at the end None."""
        # Each thread counts for itself: ``+=`` on a number that threads share is not sure to be exact.
        self._lost: defaultdict[int, int] = defaultdict(int)
        self._work: _Work | None = None
        self._failed = Event()  # nothing is sent, and nothing is taken any more

    @classmethod
    def if_wanted(cls, environ: Mapping[str, str]) -> LiveSpans | None:
        """Return one if the environment says that traces are to be sent, and where."""
        return cls(environ) if is_wanted(environ) else None

    def take(self, entry: Entry) -> None:
        """Take an entry, which nobody changes any more. Never waits, never raises."""
        event = entry.get("event")
        if not self._on or self._failed.is_set() or not isinstance(event, str) or event not in WANTED:
            return
        if self._queue.qsize() >= self._most_waiting:
            self._lost[get_ident()] += 1
        else:
            self._queue.put(entry)

    def start(
        self, *, log: FilteringBoundLogger, level: Level, version: str, models: Mapping[str, AskedModel]
    ) -> None:
        """Begin to send, or say in the log why nothing is sent. ``models`` as ``SpanMaker`` takes them."""
        protocol = unspoken_protocol(self._environ)
        if not is_installed():
            log.warning("otel.not_installed", advice=INSTALL)
        elif protocol is not None:
            log.warning("otel.not_sending", reason=f"The protocol {protocol} is not spoken, only http/protobuf.")
        elif level not in ("debug", "info"):
            log.warning("otel.not_sending", reason=f"Spans are made of lines at info, and log.level is {level}.")
        else:
            self._work = _Work(
                queue=self._queue, lost=lambda: sum(tuple(self._lost.values())), maker=SpanMaker(models=models),
                environ=self._environ, version=version, log=log, pause=self._pause, now=self._now,
                failed=self._failed,
            )  # fmt: skip
            return
        self._on = False

    def stop(self, *, timeout: float) -> None:
        """Send what waits; what is not sent within ``timeout`` seconds is given up."""
        self._on = False
        if self._work is not None:
            self._work.stop(timeout=timeout)


class _Work:
    """What is done on the thread that sends."""

    def __init__(
        self,
        *,
        queue: SimpleQueue[Entry | None],
        lost: Callable[[], int],
        maker: SpanMaker,
        environ: Mapping[str, str],
        version: str,
        log: FilteringBoundLogger,
        pause: float,
        now: Callable[[], float],
        failed: Event,
    ) -> None:
        """``lost`` tells how many entries never got into the queue; ``failed`` is set if nothing can ever be sent.

        The thread begins at once.
        """
        self._queue = queue
        self._lost = lost
        self._maker = maker
        self._environ = environ
        self._version = version
        self._log = log
        self._pause = pause
        self._now = now
        self._failed = failed
        self._stopping = Event()
        self._sender: SpanSender | None = None
        self._told_lost = 0
        self._dropped = 0
        self._in_hand = 0  # spans that are being sent
        self._at_end = False  # whether the end of the queue was taken out of it
        self._reason = ""
        self._told_at: float | None = None
        self._given_up = False
        self._thread = Thread(target=self._run, name="otel", daemon=True)
        self._thread.start()

    def stop(self, *, timeout: float) -> None:
        """Send what waits. A request that hangs for longer than ``timeout`` seconds is left behind."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive() and self._sender is not None:
            self._sender.close()  # ends the wait before another attempt
            self._thread.join(timeout / 10)
        if self._thread.is_alive():
            self._given_up = True
            lines = self._queue.qsize() - (not self._at_end) + self._lost() - self._told_lost
            self._log.warning(
                "otel.dropped", spans=self._dropped + self._in_hand, lines=lines,
                reason="The stop did not wait for them any longer.",
            )  # fmt: skip

    def _run(self) -> None:
        try:
            self._sender = sender = self._connect()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the packages or the variables
            self._log.warning("otel.not_sending", reason=self._told(error))
            self._failed.set()
            self._empty_queue()
            return
        going_on = True
        while going_on:
            entries, going_on = self._next_entries()
            spans = [span for entry in entries if (span := self._maker.feed(entry)) is not None]
            self._in_hand = len(spans)
            self._send(sender, spans)
            self._in_hand = 0
            self._say_dropped(at_once=not going_on)
        sender.close()

    def _connect(self) -> SpanSender:
        # Here, since it takes a third of a second, for which the start of the server need not wait.
        from alex_actors.tracing.otlp import SpanSender

        sender = SpanSender(version=self._version, redactor=redactor_of(self._environ))
        self._log.info("otel.sending", endpoint=shown(endpoint_of(self._environ)))
        if sender.reason:
            self._log.warning("otel.misconfigured", reason=sender.reason)
        return sender

    def _next_entries(self) -> tuple[list[Entry], bool]:
        """Wait for an entry, and a little for more. Return them, and whether others may come."""
        entry = self._queue.get()
        if entry is not None:
            self._stopping.wait(self._pause)
        entries: list[Entry] = []
        try:
            while entry is not None:
                entries.append(entry)
                entry = self._queue.get_nowait()
        except Empty:
            return entries, True
        self._at_end = True
        return entries, False

    def _empty_queue(self) -> None:
        with suppress(Empty):
            while True:
                self._queue.get_nowait()

    def _send(self, sender: SpanSender, spans: Sequence[Span]) -> None:
        try:
            dropped = sender.send(spans)
        except Exception as error:  # noqa: BLE001 - no fault of the exporter ends the thread
            dropped, self._reason = len(spans), self._told(error)
        else:
            self._reason = sender.reason if dropped else self._reason
        self._dropped += dropped

    def _say_dropped(self, *, at_once: bool) -> None:
        lost = self._lost() - self._told_lost
        now = self._now()
        recently = self._told_at is not None and now - self._told_at < SAY_EACH
        if not (lost or self._dropped) or (recently and not at_once) or self._given_up:
            return
        self._log.warning("otel.dropped", spans=self._dropped, lines=lost, reason=self._reason)
        self._told_at = now
        self._told_lost += lost
        self._dropped = 0

    def _told(self, error: Exception) -> str:
        return redactor_of(self._environ).text(failure_line(error))
