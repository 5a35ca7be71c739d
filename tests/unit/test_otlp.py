"""Spans on their way by OTLP: to who takes them, to who is down, refuses them or takes too long."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from alex_actors.models.spec import ModelSpec
from alex_actors.redact import NO_SECRETS
from alex_actors.tracing import otlp_settings
from alex_actors.tracing.otlp import BATCH, SpanSender, _Heard
from alex_actors.tracing.otlp_export import of_its_trace, send_log
from alex_actors.tracing.spans_values import AskedModel
from alex_http.terminal.trace_command import trace
from tests.unit.otlp_receiver import Receiver
from tests.unit.test_spans import TRACE, a_run, made, submit

pytestmark = pytest.mark.usefixtures("no_otel_variables")

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on the port of the service ``discard``."""


@contextmanager
def a_sender(receiver: Receiver | str) -> Iterator[SpanSender]:
    url = receiver if isinstance(receiver, str) else receiver.url
    sender = SpanSender(version="1.2.3", redactor=NO_SECRETS, endpoint=f"{url}/v1/traces")
    yield sender
    sender.close()


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
    assert not [name for name, logger in logging.root.manager.loggerDict.items() if _is_heard(logger)]


def _is_heard(logger: logging.Logger | logging.PlaceHolder) -> bool:
    """Return whether a sender that is not closed still takes what a logger says."""
    return any(isinstance(one, _Heard) for one in getattr(logger, "filters", ()))


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


# What is configured.


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
