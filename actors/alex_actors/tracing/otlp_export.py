"""Sends the spans of a log that is written already: of all that it has, or of a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from alex_actors.tracing.spans import REQUEST, SpanMaker
from alex_actors.values import Value

if TYPE_CHECKING:
    from alex_actors.tracing.otlp import SpanSender
    from alex_actors.tracing.spans_values import AskedModel, Span

TOGETHER = 5_120
"""Spans that are made before they are sent: ten requests."""


class Sent(Value, frozen=True, kw_only=True):
    """What came of sending a log."""

    spans: int
    """How many were sent."""
    traces: int
    """Of how many traces they are, those that were not sent included."""
    dropped: int
    """How many were not sent."""
    unfinished: int
    """Tasks without an end in the log: what they did is sent, and their own span is not made."""
    reason: str
    """Why spans were not sent; empty if all were."""


def send_log(
    entries: Iterable[Mapping[str, object]], sender: SpanSender, *, models: Mapping[str, AskedModel] | None = None
) -> Sent:
    """Send the spans of a log's entries; after a failure no more of them. Sent twice they are the same spans."""
    maker = SpanMaker(models=models)
    sent = dropped = 0
    traces: set[str] = set()
    waiting: list[Span] = []

    def send() -> None:
        nonlocal sent, dropped
        not_sent = len(waiting) if dropped else sender.send(waiting)
        sent, dropped = sent + len(waiting) - not_sent, dropped + not_sent
        waiting.clear()

    for entry in entries:
        span = maker.feed(entry)
        if span is not None:
            traces.add(span.trace_id)
            waiting.append(span)
        if len(waiting) == TOGETHER:
            send()
    send()
    return Sent(
        spans=sent, traces=len(traces), dropped=dropped, unfinished=maker.unfinished,
        reason=sender.reason if dropped else "",
    )  # fmt: skip


def of_its_trace(entries: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Return a task's entries less the requests that only asked for it: they are traces of their own."""
    traces = {entry.get("trace_id") for entry in entries if entry.get("event") != REQUEST}
    return [entry for entry in entries if entry.get("event") != REQUEST or entry.get("trace_id") in traces]
