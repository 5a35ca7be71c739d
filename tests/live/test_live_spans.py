"""Traces by OpenTelemetry's protocol, of a real server: while it runs, and of its log afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import ServerProcess, run_alex, until
from tests.unit.otlp_receiver import Received, Receiver

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz"
PARENT = "00f067aa0ba902b7"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ABSENT = '[models.absent]\nbase_url = "http://127.0.0.1:9/v1"\napi_key = "sk-of-nobody"\nattempts = 1\n'
"""Settings with a model whose server is not there."""


@dataclass(frozen=True)
class Run:
    """A server that ran a task, and has stopped; and what it sent meanwhile."""

    server: ServerProcess
    task_id: str
    spans: dict[str, Received]
    """Those of the task's trace, by their IDs."""
    failed: dict[str, Received]
    """Those of a task whose model is not there, by their names."""
    names: set[str]
    sent: bytes


@contextmanager
def taken() -> Iterator[Receiver]:
    """Give the environment an endpoint that takes spans."""
    with Receiver() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with taken() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A server at level debug; one for all tests here, since none changes anything."""
    with taken() as receiver:
        directory = tmp_path_factory.mktemp("spans")
        (directory / "alex.toml").write_text(ABSENT)
        # A tenth of the time for a stop is for what is not sent yet.
        stop = {"TIMEOUTS__SHUTDOWN_SECONDS": "100"}
        server = ServerProcess(
            directory, "--config", str(directory / "alex.toml"), "--log-level", "debug", settings=stop
        )
        try:
            server.wait_until_listening()
            task_id = run_a_task(server)
            with Client(server.url) as client:
                client.http.get(f"/api/tasks/{SECRET}")
                fails = client.submit(f"Say {SECRET}", model="absent")["task_id"]
                client.ended(fails)
            assert server.stop() == 0
        finally:
            server.kill()
    failed = {span.name: span for span in receiver.spans if span.attributes.get("alex.task_id") == fails}
    return Run(server, task_id, of_trace(receiver), failed, set(receiver.names()), b"".join(receiver.bodies))


def of_trace(receiver: Receiver) -> dict[str, Received]:
    return {span.span_id: span for span in receiver.spans if span.trace_id == TRACE}


def run_a_task(server: ServerProcess) -> str:
    with Client(server.url) as client:
        reply = client.http.post(
            "/api/tasks",
            json={"task": f"What is 2 + 2? and then echo {SECRET}"},
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
        task_id = str(reply.json()["task_id"])
        assert client.http.get(f"/api/tasks/{task_id}", params={"wait": 25}).json()["status"] == "completed"
        client.http.get("/health")
        return task_id


def test_a_task_is_a_tree_under_the_client_s_span(ran: Run) -> None:
    by_name = {span.name: span for span in ran.spans.values()}

    request, agent = by_name["POST /api/tasks"], by_name["invoke_agent default"]
    assert (request.parent_id, agent.parent_id) == (PARENT, request.span_id)
    for name in ("wait in line", "chat offline", "execute_tool calculator", "TaskStoreActor Create"):
        assert by_name[name].parent_id == agent.span_id
        assert request.start <= by_name[name].start <= by_name[name].end
    assert by_name["execute_tool calculator"].end <= agent.end
    assert not [line for line in ran.server.log() if line["event"] in ("otel.dropped", "otel.not_sending", "log")]


def test_a_model_that_is_not_there_is_seen_in_the_log_and_in_a_span(ran: Run) -> None:
    chat, agent = ran.failed["chat absent"], ran.failed["invoke_agent default"]
    (failed,) = ran.server.log("model.failed")

    assert (chat.error, chat.attributes["error.type"], chat.parent_id) == (True, "model_error", agent.span_id)
    assert agent.start <= chat.start < chat.end <= agent.end
    assert (failed["level"], failed["model"], failed["iteration"]) == ("warning", "absent", 1)
    assert "http://127.0.0.1:9 cannot be reached" in failed["error"]
    assert "cannot be reached" not in str(ran.failed)


def test_from_its_log_the_same_spans_are_sent_again(ran: Run, receiver: Receiver) -> None:
    data = ran.server.data_dir

    sent = run_alex("trace", ran.task_id[-12:], "--otlp", "--data-dir", str(data), directory=data.parent)

    assert of_trace(receiver) == ran.spans
    assert sent.stdout == f"Sent {len(ran.spans)} spans of 1 trace to {receiver.url}.\n"


def test_what_is_sent_has_no_text_of_a_task_and_no_secret(ran: Run) -> None:
    assert {"GET /api/tasks/{task_id}", "chat offline"} <= ran.names
    assert "GET /health" not in ran.names
    assert SECRET.encode() not in ran.sent
    assert b"What is" not in ran.sent
    assert b"[redacted]" in ran.sent


def test_a_server_whose_endpoint_hangs_works_and_stops_as_ever(start: Start, receiver: Receiver) -> None:
    receiver.go_on.clear()
    server = start()

    run_a_task(server)
    until(lambda: receiver.paths, "spans are on their way")
    task_id = run_a_task(server)

    assert server.stop() == 0
    (dropped,) = server.log("otel.dropped")
    assert dropped["lines"] > 0
    assert server.log("task.ended", task_id=task_id)
    assert server.log("log") == []
