"""Spans for who takes them a byte at a time: a request is over at its deadline, and the next one is sent."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest

from alex_actors.redact import NO_SECRETS
from alex_actors.tracing.otlp import SpanSender
from alex_actors.tracing.otlp_deadline import Deadline, session_of
from alex_actors.tracing.otlp_live import LiveSpans
from alex_actors.tracing.otlp_settings import TIMEOUT, timeout_of
from tests.live.process import until
from tests.unit.actor_fakes import WAIT, CapturedLog
from tests.unit.otlp_receiver import Receiver
from tests.unit.test_spans import a_run, made, submit

pytestmark = pytest.mark.usefixtures("no_otel_variables")

SHORT = "0.2"
"""Seconds: ten times what lies between two bytes of what drips."""

LONGER = "1"
"""Seconds, in which what answers at once does so on a machine that does other things as well."""

BETWEEN = 0.02
STATUS = b"HTTP/1"
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
LAST_BODY = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n"
HANDSHAKE = b"\x16\x03\x03\x3f\xff"
"""The beginning of a record of TLS with 16,383 bytes, of which nothing can be read before they are there."""


@contextmanager
def dripping(begins: bytes, lasted: Event) -> Iterator[int]:
    """Yield a port where each connection gets ``begins``, and then a byte now and then, which ``lasted`` 10 s."""
    over = Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the other end has gone
            connection.sendall(begins)
            for _ in range(500):
                if over.wait(BETWEEN):
                    return
                connection.sendall(b"a")
            lasted.set()

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # it is closed
            while True:
                Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT)


@pytest.mark.parametrize(("scheme", "begins"), [
    ("http", STATUS), ("http", BODY), ("http", LAST_BODY), ("https", HANDSHAKE),
])  # fmt: skip
def test_what_drips_is_cut_at_the_deadline(monkeypatch: pytest.MonkeyPatch, scheme: str, begins: bytes) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", SHORT)
    lasted = Event()
    with dripping(begins, lasted) as port:
        url = f"{scheme}://127.0.0.1:{port}/v1/traces"
        sender = SpanSender(version="1.2.3", redactor=NO_SECRETS, endpoint=url)

        not_sent = sender.send(made(a_run()))

        sender.close()
    assert not lasted.is_set()
    assert not_sent == 6
    assert sender.reason
    assert sender._deadline._handles == {}


def test_after_it_export_goes_on_with_the_same_sender(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", LONGER)
    sender = SpanSender(version="1.2.3", redactor=NO_SECRETS, endpoint=f"{receiver.url}/v1/traces")
    sender.send(made([submit(1.0, 1.0, request_id="r-1")]))
    receiver.drip = STATUS

    dripped = sender.send(made([submit(2.0, 1.0, request_id="r-2")]))
    receiver.drip = b""
    rest = sender.send(made([submit(3.0, 1.0, request_id="r-3")]))

    sender.close()
    assert (dripped, rest) == (1, 0)
    assert receiver.spans[-1].attributes["alex.request_id"] == "r-3"


def test_a_server_goes_on_sending_spans_after_an_endpoint_that_drips(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_TIMEOUT": LONGER}
    for name, value in environ.items():  # the exporter reads it itself
        monkeypatch.setenv(name, value)
    log, live = CapturedLog(), LiveSpans(environ, pause=0.01)
    receiver.drip = BODY
    live.start(log=log.logger, level="info", version="1.2.3", models={})

    live.take(submit(1.0, 1.0, request_id="r-1"))
    until(lambda: log.named("otel.dropped"), "what drips is given up")
    receiver.drip = b""
    live.take(submit(2.0, 1.0, request_id="r-2"))
    until(lambda: len(receiver.spans) == 2, "the next comes")
    live.stop(timeout=WAIT)

    (dropped,) = log.named("otel.dropped")
    assert (dropped["spans"], dropped["lines"]) == (1, 0)
    assert receiver.spans[-1].attributes["alex.request_id"] == "r-2"


def test_a_connection_that_is_made_after_the_deadline_is_cut_as_well() -> None:
    deadline = Deadline()
    session = session_of(deadline, {})
    assert session is not None
    with dripping(BODY, Event()) as port, deadline.within(WAIT):
        deadline._cut()

        with pytest.raises(OSError, match=r"."):
            session.get(f"http://127.0.0.1:{port}/", timeout=WAIT)

    session.close()
    assert deadline._handles == {}


def test_who_brings_credentials_brings_a_session_of_their_own() -> None:
    environ = {"OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "mine"}

    assert session_of(Deadline(), environ) is None


@pytest.mark.parametrize(("environ", "seconds"), [
    ({}, TIMEOUT),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "2.5"}, 2.5),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "2", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "3"}, 3.0),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, TIMEOUT),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "-1"}, TIMEOUT),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "nan"}, TIMEOUT),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "1e300"}, TIMEOUT),
])  # fmt: skip
def test_the_deadline_is_the_timeout_of_the_exporter(environ: dict[str, str], seconds: float) -> None:
    assert timeout_of(environ) == seconds
