"""Spans that are sent while the server runs: nobody is held up by who takes them, or does not."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from alex_actors.redact import REDACTED
from alex_actors.tracing import otlp_live
from alex_actors.tracing.otlp_live import LiveSpans
from alex_actors.tracing.spans import SpanMaker
from alex_actors.tracing.spans_values import AskedModel, Span
from tests.live.process import until
from tests.unit.actor_fakes import WAIT, CapturedLog
from tests.unit.otlp_receiver import Receiver
from tests.unit.test_spans import a_run, line, submit

pytestmark = pytest.mark.usefixtures("no_otel_variables")

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on the port of the service ``discard``."""


class Live:
    """What a server would have, on the environment that a test makes."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, endpoint: str, *, pause: float = 0.01, **more: str
    ) -> None:
        self.log = CapturedLog()
        self.environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **more}
        for name, value in self.environ.items():  # the exporter reads it itself
            monkeypatch.setenv(name, value)
        self.now = 0.0
        self.spans = LiveSpans(self.environ, most_waiting=100, pause=pause, now=lambda: self.now)

    def start(self, level: Any = "info") -> None:  # Any: a level
        models = {"big": AskedModel("gpt-5", "openai")}
        self.spans.start(log=self.log.logger, level=level, version="1.2.3", models=models)

    def take(self, *entries: dict[str, Any]) -> None:  # Any: as a log has it
        for entry in entries:
            self.spans.take(entry)

    def stop(self, timeout: float = WAIT) -> None:
        self.spans.stop(timeout=timeout)


def test_what_is_logged_comes_as_spans_and_the_rest_at_the_stop(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(monkeypatch, receiver.url, OTEL_EXPORTER_OTLP_HEADERS="x-key=a%20secret")
    before, after = a_run()[:4], a_run()[4:]
    live.take(*before)  # before it is started

    live.start()
    until(lambda: len(receiver.spans) == 2, "spans come")
    live.take(*after, line("log", 11.0), {"event": ["odd"]})
    live.stop()

    assert receiver.names() == [
        "POST /api/tasks", "wait in line", "chat gpt-5", "execute_tool shell", "chat gpt-5",
        "invoke_agent researcher",
    ]  # fmt: skip
    assert receiver.headers[0]["x-key"] == "a secret"
    assert live.log.events() == ["otel.sending"]
    assert live.log.lines[0]["endpoint"] == receiver.url
    assert "otel" not in {thread.name for thread in threading.enumerate()}


def test_a_stop_does_not_wait_until_it_is_time_to_send(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(monkeypatch, receiver.url, pause=WAIT)
    live.start()
    live.take(submit(1.0, 1.0))
    until(live.spans._queue.empty, "it has begun to wait for more")

    live.stop(timeout=WAIT / 2)

    assert receiver.names() == ["POST /api/tasks"]


def test_an_endpoint_that_fails_is_said_once_and_costs_nobody_anything(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.status = 500
    live = Live(monkeypatch, receiver.url)
    live.start()

    for number in range(1, 4):
        live.take(submit(float(number), 1.0, request_id=f"r-{number}"))
        until(lambda: len(receiver.requests) == number, "it is tried")  # noqa: B023 - called at once
    live.stop()

    first, last = live.log.named("otel.dropped")
    assert (first["spans"], last["spans"]) == (1, 2)
    assert "500" in first["reason"]
    assert "log" not in live.log.events()


def test_an_endpoint_that_is_down_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(monkeypatch, NOWHERE, OTEL_EXPORTER_OTLP_TIMEOUT="0.2")
    live.start()

    live.take(submit(1.0, 1.0))
    until(lambda: live.log.named("otel.dropped"), "what is dropped is said")
    live.stop()

    (dropped,) = live.log.named("otel.dropped")
    assert dropped["spans"] == 1
    assert dropped["reason"]


def test_while_an_endpoint_hangs_entries_are_dropped_and_a_stop_does_not_wait_for_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.go_on.clear()
    live = Live(monkeypatch, receiver.url)
    live.start()
    live.take(submit(1.0, 1.0))
    until(lambda: receiver.paths, "it hangs")

    live.take(*(submit(2.0, 1.0, request_id=f"r-{number}") for number in range(150)))
    waiting = live.spans._queue.qsize()
    live.stop(timeout=0.05)

    assert waiting == 100
    receiver.go_on.set()
    until(lambda: "otel" not in {thread.name for thread in threading.enumerate()}, "its thread ends")
    (dropped,) = live.log.named("otel.dropped")
    assert (dropped["spans"], dropped["lines"]) == (1, 150)
    assert len(receiver.requests) == 1


def test_what_is_being_sent_when_a_stop_gives_up_is_counted(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.go_on.clear()
    live = Live(monkeypatch, receiver.url, pause=WAIT)
    live.start()
    live.take(*(submit(2.0, 1.0, request_id=f"r-{number}") for number in range(30)))
    until(lambda: live.spans._queue.qsize() == 29, "it is connected, and waits for more")

    live.stop(timeout=1)  # which ends the pause: all of it is taken out of the queue, its end as well

    receiver.go_on.set()
    until(lambda: "otel" not in {thread.name for thread in threading.enumerate()}, "its thread ends")
    (dropped,) = live.log.named("otel.dropped")
    assert (dropped["spans"], dropped["lines"]) == (30, 0)


def test_a_stop_ends_the_wait_for_another_attempt(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.status = 503  # after which the exporter waits for a second
    live = Live(monkeypatch, receiver.url)
    live.start()
    live.take(submit(1.0, 1.0))
    until(lambda: receiver.paths, "it is tried")

    live.stop(timeout=0.1)

    until(lambda: "otel" not in {thread.name for thread in threading.enumerate()}, "its thread ends")
    assert len(receiver.paths) == 1


def test_a_span_that_cannot_be_encoded_does_not_end_the_thread(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(monkeypatch, receiver.url)
    live.start()
    bad = Span(name="bad", trace_id="no number", span_id=1, parent_id=None, start=0, end=0, attributes={})
    maker = SpanMaker()
    monkeypatch.setattr(live.spans._work, "_maker", maker)
    feed = maker.feed
    monkeypatch.setattr(maker, "feed", lambda entry: bad if entry.get("event") == "message" else feed(entry))

    live.take(line("message", 1.0))
    until(lambda: live.log.named("otel.dropped"), "it is dropped")
    live.take(submit(1.0, 1.0))
    until(lambda: receiver.names() == ["POST /api/tasks"], "the next comes")
    live.stop()

    assert "ValueError" in live.log.named("otel.dropped")[0]["reason"]


def test_headers_that_are_malformed_are_said_without_what_is_in_them(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(monkeypatch, receiver.url, OTEL_EXPORTER_OTLP_HEADERS="my-own-password")

    live.start()
    live.take(submit(1.0, 1.0))
    live.stop()

    assert REDACTED in live.log.named("otel.misconfigured")[0]["reason"]
    assert "my-own-password" not in f"{live.log.lines} {caplog.text}"


# What is asked for, and cannot be had.


def test_without_the_packages_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_live, "is_installed", lambda: False)
    live = Live(monkeypatch, NOWHERE)

    live.start()
    live.take(*a_run())
    live.stop()

    assert live.log.events() == ["otel.not_installed"]
    assert live.log.lines[0]["advice"] == "pip install 'alex-runtime[otel]'"
    assert live.spans._queue.empty()


@pytest.mark.parametrize(("more", "level", "says"), [
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "info", "grpc"),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "warning", "log.level is warning"),
])  # fmt: skip
def test_what_cannot_work_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, str], level: str, says: str
) -> None:
    live = Live(monkeypatch, NOWHERE, pause=0.01, **more)

    live.start(level)
    live.stop()

    (said,) = live.log.lines
    assert said["event"] == "otel.not_sending"
    assert says in said["reason"]


def test_an_exporter_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER"
    live = Live(monkeypatch, NOWHERE, pause=0.01, **{name: "nobody"})

    live.start()
    live.take(*a_run())
    until(lambda: live.log.named("otel.not_sending"), "it is said")
    until(lambda: "otel" not in {thread.name for thread in threading.enumerate()}, "its thread ends")
    live.take(*a_run())

    assert "nobody" in live.log.lines[0]["reason"]
    assert live.spans._queue.empty()
    live.stop()


@pytest.mark.parametrize(("environ", "wanted"), [
    ({}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": NOWHERE}, True),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE, "OTEL_SDK_DISABLED": "TRUE"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE, "OTEL_TRACES_EXPORTER": "none"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE, "OTEL_TRACES_EXPORTER": "console, otlp"}, True),
])  # fmt: skip
def test_traces_are_sent_where_the_environment_says_so(environ: dict[str, str], wanted: bool) -> None:
    assert (LiveSpans.if_wanted(environ) is not None) == wanted
