"""Sends spans by OTLP over HTTP, with the SDK and the exporter of OpenTelemetry, which the extra ``otel`` brings.

https://opentelemetry.io/docs/specs/otlp/. What can be set is set by OpenTelemetry's own environment variables.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from threading import get_ident
from types import MappingProxyType
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from alex_actors.text import shortened
from alex_actors.tracing.otlp_deadline import Deadline, session_of
from alex_actors.tracing.otlp_settings import timeout_of

if TYPE_CHECKING:
    from alex_actors.redact import Redactor
    from alex_actors.tracing.spans_values import Kind, Span

BATCH = 512
"""Spans in a request, as many as the SDK sends at once: some 200 kB."""

SERVICE = "alex-runtime"
"""The service's name, unless ``OTEL_SERVICE_NAME`` or ``OTEL_RESOURCE_ATTRIBUTES`` has another."""

_LONGEST_REASON = 300
"""Characters."""

_KINDS: Mapping[Kind, SpanKind] = MappingProxyType(
    {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "server": SpanKind.SERVER}
)


class SpanSender:
    """Sends spans, and waits until that is done. For one thread at a time.

    Requests that fail are repeated by the exporter, within its timeout (``OTEL_EXPORTER_OTLP_TIMEOUT``, 10 s).
    Then they are cut off, whatever an endpoint goes on to send.
    What would be logged of that, by it and by what it uses, is kept as ``reason`` instead: it would fill the log.
    """

    def __init__(self, *, version: str, redactor: Redactor, endpoint: str | None = None) -> None:
        """``endpoint``: the URL for traces; None: what the environment says. Raises what the exporter raises."""
        self._closed = False
        self._heard = _Heard(redactor)
        self._heard.listen()
        try:
            self._deadline = Deadline()
            self._seconds = timeout_of(os.environ)
            self._exporter = OTLPSpanExporter(endpoint=endpoint, session=session_of(self._deadline))
            self._ids = _GivenIds()
            self._made = _Collector()
            self._provider = TracerProvider(
                resource=_resource(version), id_generator=self._ids, shutdown_on_exit=False
            )
            self._provider.add_span_processor(self._made)
            self._tracer = self._provider.get_tracer("alex_runtime", version)
        except BaseException:
            self._heard.stop()
            raise

    @property
    def reason(self) -> str:
        """Return what the exporter said first of its last work, in one line without secrets: why it failed."""
        return self._heard.said

    def send(self, spans: Sequence[Span]) -> int:
        """Send spans, and return how many were not sent: after a failure it is not tried with others."""
        if self._closed:
            return len(spans)
        self._heard.listen()
        for start in range(0, len(spans), BATCH):
            made = self._sdk_spans(spans[start : start + BATCH])
            if made and not self._export(made):
                return len(spans) - start
        return 0

    def close(self) -> None:
        """Give up what is being sent, and close the connections. May be called by any thread."""
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()  # type: ignore[no-untyped-call] # it has no annotation
            self._heard.stop()

    def _export(self, made: Sequence[ReadableSpan]) -> bool:
        with self._deadline.within(self._seconds):
            return self._exporter.export(made) is SpanExportResult.SUCCESS

    def _sdk_spans(self, spans: Iterable[Span]) -> list[ReadableSpan]:
        """Return spans as the SDK has them, less those that its sampler leaves out."""
        for span in spans:
            self._make(span)
        return self._made.take()

    def _make(self, span: Span) -> None:
        trace_id = int(span.trace_id, 16)
        self._ids.trace_id, self._ids.span_id = trace_id, span.span_id
        parent = Context()
        if span.parent_id is not None:
            # Of one trace all are sent or none: what the sampler says of the trace holds for each.
            said = self._provider.sampler.should_sample(None, trace_id, span.name)
            sampled = said.decision is Decision.RECORD_AND_SAMPLE
            flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
            above = SpanContext(trace_id, span.parent_id, is_remote=span.remote_parent, trace_flags=flags)
            parent = set_span_in_context(NonRecordingSpan(above), parent)
        made = self._tracer.start_span(
            span.name, parent, kind=_KINDS[span.kind], attributes=span.attributes, start_time=span.start
        )
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, span.error))
        made.end(span.end)


class _GivenIds(IdGenerator):
    """Gives the IDs that the next span is to have."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Collector(SpanProcessor):
    """Keeps spans that have ended until they are taken."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        spans, self._spans = self._spans, []
        return spans


class _Heard(logging.Filter):
    """Keeps the first thing that libraries would log on the thread that sends; what others log goes its way."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self.said = ""
        self._redactor = redactor
        self._thread: int | None = None
        self._loggers: dict[str, logging.Logger] = {}

    def listen(self) -> None:
        """Listen on this thread from now on, to the loggers that came since as well."""
        self._thread = get_ident()
        self.said = ""
        for name, logger in tuple(logging.root.manager.loggerDict.items()):
            if (
                name not in self._loggers
                and name.startswith(("opentelemetry", "urllib3", "requests"))
                and isinstance(logger, logging.Logger)
            ):
                logger.addFilter(self)
                self._loggers[name] = logger

    def stop(self) -> None:
        """Listen no more."""
        for logger in self._loggers.values():
            logger.removeFilter(self)
        self._loggers.clear()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        if record.levelno >= logging.WARNING and not self.said:
            text = " ".join(record.getMessage().split())
            self.said = shortened(self._redactor.text(text), _LONGEST_REASON)
        return False


def _resource(version: str) -> Resource:
    given = OTELResourceDetector().detect().attributes
    return Resource.create({"service.name": SERVICE, "service.version": version, **given})
