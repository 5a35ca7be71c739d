"""Spans on their way by OTLP: to who takes them, to who is down, refuses them or takes too long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from alex_actors.models.spec import ModelSpec
from alex_actors.redact import NO_SECRETS, REDACTED
from alex_actors.tracing import otlp_live, otlp_settings
from alex_actors.tracing.otlp import BATCH, SpanSender
from alex_actors.tracing.otlp_export import of_its_trace, send_log
from alex_actors.tracing.otlp_live import LiveSpans
from alex_actors.tracing.spans import SpanMaker
from alex_actors.tracing.spans_values import AskedModel, Span
from alex_http.terminal.trace_command import trace
from tests.live.process import until
from tests.unit.actor_fakes import WAIT, CapturedLog
from tests.unit.otlp_receiver import Receiver
from tests.unit.test_spans import TRACE, a_run, line, made, submit

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on the port of the service ``discard``."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def a_sender(receiver: Receiver | str) -> Iterator[SpanSender]:
    url = receiver if isinstance(receiver, str) else receiver.url
    sender = SpanSender(version="1.2.3", redactor=NO_SECRETS, endpoint=f"{url}/v1/traces")
    yield sender
    sender.close()


class Live:
    """What a server would have, on the environment that a test makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, endpoint: str, **more: str) -> None:
        self.log = CapturedLog()
        self.environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **more}
        for name, value in self.environ.items():  # the exporter reads it itself
            monkeypatch.setenv(name, value)
        self.now = 0.0
        self.spans = LiveSpans(self.environ, most_waiting=100, pause=0.01, now=lambda: self.now)

    def start(self, level: Any = "info") -> None:  # Any: a level
        models = {"big": AskedModel("gpt-5", "openai")}
        self.spans.start(log=self.log.logger, level=level, version="1.2.3", models=models)

    def take(self, *entries: dict[str, Any]) -> None:  # Any: as a log has it
        for entry in entries:
            self.spans.take(entry)

    def stop(self, timeout: float = WAIT) -> None:
        self.spans.stop(timeout=timeout)


# Sending.


def test_spans_come_as_they_were_made(receiver: Receiver) -> None:
    spans = made(a_run())

    with a_sender(receiver) as sender:
        not_sent = sender.send(spans)

    assert not_sent == 0
    assert receiver.paths == ["/v1/traces"]
    for one, other in zip(receiver.spans, spans, strict=True):
        assert (one.name, one.trace_id, one.start, one.end) == (other.name, TRACE, other.start, other.end)
        assert one.span_id == f"{other.span_id:016x}"
        assert one.parent_id == ("" if other.parent_id is None else f"{other.parent_id:016x}")
        assert one.attributes == other.attributes
        assert one.error == (other.error is not None)


def test_the_service_is_named_unless_the_environment_names_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_sender(receiver) as sender:
        sender.send(made(a_run()))
    named = receiver.resource
    receiver.bodies.clear()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=9")

    with a_sender(receiver) as sender:
        sender.send(made(a_run()))

    assert (named["service.name"], named["service.version"]) == ("alex-runtime", "1.2.3")
    assert (receiver.resource["service.name"], receiver.resource["service.version"]) == ("mine", "9")
    assert receiver.resource["deployment.environment.name"] == "test"


def test_many_spans_are_several_requests(receiver: Receiver) -> None:
    spans = made([submit(1.0, 1.0, request_id=f"r-{number}", task_id="") for number in range(2 * BATCH + 1)])

    with a_sender(receiver) as sender:
        sender.send(spans)

    assert len(receiver.requests) == 3
    assert len({span.span_id for span in receiver.spans}) == 2 * BATCH + 1


@pytest.mark.parametrize(("sampler", "argument", "come"), [
    ("always_off", "", 0), ("parentbased_traceidratio", "0.0", 0), ("parentbased_traceidratio", "1.0", 6),
])  # fmt: skip
def test_of_a_trace_all_are_sent_or_none(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str, come: int
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)

    with a_sender(receiver) as sender:
        not_sent = sender.send(made(a_run()))

    assert (len(receiver.spans), not_sent) == (come, 0)


def test_after_a_failure_nothing_more_is_tried_and_why_is_known(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 500
    spans = made([submit(1.0, 1.0, request_id=f"r-{number}") for number in range(BATCH + 88)])

    with a_sender(receiver) as sender, caplog.at_level(logging.DEBUG):
        not_sent = sender.send(spans)

        assert not_sent == BATCH + 88
        assert "500" in sender.reason
    assert len(receiver.requests) == 1
    assert caplog.records == []


# A log that is written already.


def test_a_log_is_sent_as_the_server_would_have_sent_it(receiver: Receiver) -> None:
    entries = [{}, *a_run(), *a_run("task-2")[:4], {"event": "task.ended"}]

    with a_sender(receiver) as sender:
        sent = send_log(entries, sender)

    assert (sent.spans, sent.traces, sent.dropped, sent.unfinished) == (8, 1, 0, 1)
    assert [(span.name, int(span.span_id, 16)) for span in receiver.spans][:6] == [
        (span.name, span.span_id) for span in made(a_run())
    ]


def test_who_only_asked_for_a_task_is_no_part_of_its_trace() -> None:
    poll = submit(9.0, 1.0, method="GET", path="/api/tasks/task-1", trace_id="a" * 32, request_id="r-9")

    assert of_its_trace([*a_run(), poll]) == a_run()


def test_a_log_that_cannot_be_sent_is_counted(receiver: Receiver) -> None:
    receiver.status = 404

    with a_sender(receiver) as sender:
        sent = send_log(a_run(), sender)

    assert (sent.spans, sent.dropped) == (0, 6)
    assert "404" in sent.reason


@pytest.mark.parametrize(("arguments", "says"), [
    (["{log}", "--otlp", "{url}"], "did not take 1 of 1 span of 1 trace: "),
    (["none", "{log}", "--otlp", "{url}"], "No task like 'none' is in the log."),
    (["--otlp", "last"], "'last' is no URL such as http://localhost:4318. Write the TASK before --otlp."),
    (["task-1", "gone.jsonl", "--otlp", "{url}"], "gone.jsonl cannot be read (No such file or directory)."),
])  # fmt: skip
def test_the_command_says_in_a_line_what_cannot_be_sent(
    receiver: Receiver, tmp_path: Path, arguments: list[str], says: str
) -> None:
    receiver.status = 403
    log = tmp_path / "alex.jsonl"
    log.write_bytes(msgspec.json.encode(a_run()[-1]) + b"\n")

    given = [argument.format(log=log, url=receiver.url) for argument in arguments]
    result = CliRunner().invoke(trace, [*given, "--data-dir", str(tmp_path)])

    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_command_says_what_it_sent(receiver: Receiver, tmp_path: Path) -> None:
    log = tmp_path / "alex.jsonl"
    log.write_bytes(b"\n".join(map(msgspec.json.encode, [*a_run(), *a_run("task-2")[:4]])))

    whole = CliRunner().invoke(trace, [str(log), "--otlp", receiver.url])
    one = CliRunner().invoke(trace, ["task-1", str(log), "--otlp", receiver.url])

    to = f"to {receiver.url}/v1/traces."
    assert whole.stdout == (
        f"Sent 8 spans of 1 trace {to} 1 task has no end in the log: without it there is no `invoke_agent`.\n"
    )
    assert one.stdout == f"Sent 6 spans of 1 trace {to}\n"


# Live.


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
    live.stop(timeout=0.05)

    receiver.go_on.set()
    until(lambda: "otel" not in {thread.name for thread in threading.enumerate()}, "its thread ends")
    (dropped,) = live.log.named("otel.dropped")
    assert dropped["lines"] == 150
    assert len(receiver.requests) == 1


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
    live = Live(monkeypatch, NOWHERE, **more)

    live.start(level)
    live.stop()

    (said,) = live.log.lines
    assert said["event"] == "otel.not_sending"
    assert says in said["reason"]


def test_an_exporter_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER"
    live = Live(monkeypatch, NOWHERE, **{name: "nobody"})

    live.start()
    until(lambda: live.log.named("otel.not_sending"), "it is said")
    live.stop()

    assert "nobody" in live.log.lines[0]["reason"]


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


@pytest.mark.parametrize(("endpoint", "url"), [
    ("http://h:4318", "http://h:4318/v1/traces"), ("http://h:4318/", "http://h:4318/v1/traces"),
    ("https://h/otlp", "https://h/otlp/v1/traces"), ("http://h/v1/traces", "http://h/v1/traces"),
])  # fmt: skip
def test_an_endpoint_for_everything_has_the_path_of_traces_added(endpoint: str, url: str) -> None:
    assert otlp_settings.traces_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["task-1", "localhost:4318", "ftp://h", "http://", ""])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="is no URL"):
        otlp_settings.traces_url(endpoint)


def test_an_endpoint_is_shown_without_passwords_and_parameters() -> None:
    shown = otlp_settings.shown("https://me:secret@h.example:4318/v1/traces?key=secret")

    assert shown == "https://h.example:4318/v1/traces"


def test_models_are_called_as_they_are_where_they_are_asked() -> None:
    specs = {"fast": ModelSpec(name="gemini-3", provider="gemini"), "gpt-5": ModelSpec(name="gpt-5")}

    models = otlp_settings.asked_models(specs)

    assert models == {
        "offline": AskedModel("offline", "alex-runtime"), "fast": AskedModel("gemini-3", "gcp.gemini"),
        "gpt-5": AskedModel("gpt-5", "openai"),
    }  # fmt: skip
