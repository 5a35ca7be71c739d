"""The server on a real socket: what the HTTP parser refuses, what is left of a request, and how it stops."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from alex_actors.values import Context
from alex_http.transport import CannotListen
from alex_http.transport.channels import Channel
from alex_http.transport.loops import LoopName
from alex_http.transport.parser import Parser
from alex_http.wire import SubmitIn
from tests.unit.fake_runtime import CATALOG
from tests.unit.running_server import (
    LIMIT,
    LOOPS,
    POST,
    TASK,
    Reply,
    Running,
    bind,
    close_wholly,
    exchange,
    rest,
    running,
)


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> LoopName:
    name: LoopName = request.param
    return name


@pytest.fixture
def server(loop: LoopName) -> Iterator[Running]:
    with running(loop=loop) as it:
        yield it


def test_a_task_is_submitted_and_read_on_one_connection(server: Running) -> None:
    client = server.client()

    client.request("POST", "/api/tasks", TASK, {"Content-Type": "application/json"})
    submitted = client.getresponse()
    location = submitted.headers["Location"]
    task = json.loads(submitted.read())
    client.request("GET", location)
    read = json.loads(client.getresponse().read())
    client.close()

    assert submitted.status == 201
    assert read == task


def test_nothing_tells_what_serves(server: Running) -> None:
    reply = exchange(server, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert "Server" not in reply.headers
    assert "Via" not in reply.headers
    assert reply.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: localhost\n\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (POST + b"Content-Length: -5\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (POST + b"Content-Length: 65537\r\n\r\n", 413),
        (POST + b"Content-Length: 99999999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /" + b"x" * 9000, 414),  # and no end
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /ready\r\n\r\n", 400),  # HTTP/0.9
        (b"GET /ready HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /ready HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding:\r\nContent-Length: 2\r\n\r\n{}", 400),
        (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 5000, 400),  # and no end
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 66_000, 413),  # and no end
    ],
)
def test_what_the_parser_refuses_is_answered_as_a_problem(server: Running, sent: bytes, status: int) -> None:
    reply = exchange(server, sent)

    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Connection"] == "close"
    assert reply.headers["Cache-Control"] == "no-store"
    assert list(reply.json) == ["type", "title", "status", "detail"]
    line = server.log.only("http.refused")
    assert line["status"] == reply.json["status"] == status
    assert line["request_id"] == reply.headers["X-Request-ID"]
    assert line["trace_id"] == reply.headers["X-Trace-ID"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"Host localhost\r\n\r\n", b"400"),
        (b"Host: localhost\r\nContent-Length: 65537\r\n\r\n", b"413"),
        (b"Host: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"Host: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
    ],
)
def test_a_head_that_the_parser_refuses_is_answered_without_a_body(
    server: Running, sent: bytes, status: bytes
) -> None:
    with server.socket() as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\n" + sent)
        sock.shutdown(socket.SHUT_WR)
        head, body = rest(sock).split(b"\r\n\r\n", 1)

    assert head.split()[1] == status
    assert b"Content-Type: application/problem+json" in head
    assert re.search(rb"Content-Length: [1-9]", head)
    assert body == b""


def test_a_refused_request_keeps_the_name_that_its_client_gave_it(server: Running) -> None:
    reply = exchange(server, POST + b"X-Request-ID: mine\r\nContent-Length: 70000\r\n\r\n")

    assert reply.headers["X-Request-ID"] == "mine"


def test_a_request_without_host_is_bad(server: Running) -> None:
    for version in (b"1.0", b"1.1"):
        reply = exchange(server, b"GET /ready HTTP/" + version + b"\r\n\r\n")

        assert reply.status == 400
        assert "Host" in str(reply.json["detail"])


@pytest.mark.parametrize("size", [LIMIT + 1, 8 * 1024 * 1024])
def test_a_client_that_sends_too_much_gets_to_read_why(server: Running, size: int) -> None:
    client = server.client()

    client.request("POST", "/api/tasks", b"x" * size, {"Content-Type": "application/json"})
    reply = client.getresponse()

    assert reply.status == 413
    assert "65,536 bytes" in json.loads(reply.read())["detail"]
    client.close()


def test_a_client_that_sends_too_much_in_chunks_gets_to_read_why(server: Running) -> None:
    client = server.client()

    client.request(
        "POST",
        "/api/tasks",
        (b"x" * 16384 for _ in range(200)),
        {"Content-Type": "application/json"},
        encode_chunked=True,
    )

    assert client.getresponse().status == 413
    client.close()


def test_a_body_of_the_limit_is_taken(server: Running) -> None:
    body = TASK + b" " * (LIMIT - len(TASK))

    reply = exchange(server, POST + b"Content-Length: %d\r\n\r\n" % LIMIT + body)

    assert reply.status == 201


def test_a_body_in_chunks_is_taken(server: Running) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in TASK) + b"0\r\n\r\n"

    reply = exchange(server, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)

    assert reply.status == 201


def test_a_body_that_comes_byte_by_byte_is_taken(server: Running) -> None:
    with server.socket() as sock:
        for byte in POST + b"Content-Length: %d\r\n\r\n" % len(TASK) + TASK:
            sock.sendall(bytes([byte]))
        reply = Reply(sock)

    assert reply.status == 201


def test_a_client_that_asks_first_is_told_to_go_on(server: Running) -> None:
    with server.socket() as sock:
        sock.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(TASK))
        interim = sock.recv(65536)
        sock.sendall(TASK)
        reply = Reply(sock)

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert reply.status == 201


def test_a_client_that_asks_first_is_spared_a_body_that_is_too_large(server: Running) -> None:
    reply = exchange(server, POST + b"Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n")

    assert reply.status == 413


def test_a_client_that_asks_first_for_nothing_is_answered(server: Running) -> None:
    reply = exchange(server, b"GET /ready HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n")

    assert reply.status == 200


def test_requests_in_a_row_are_answered_in_order(server: Running) -> None:
    paths = [b"/ready", b"/nowhere", b"/health", b"/api/tasks"]

    with server.socket() as sock:
        sock.sendall(b"".join(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path for path in paths[:-1]))
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % paths[-1])
        received = rest(sock)

    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"404", b"200", b"200"]


def test_a_reply_that_is_larger_than_the_socket_takes_arrives_whole(server: Running) -> None:
    text = "x" * 100_000
    new = CATALOG.new_task(SubmitIn(task=text, session_id="s"))
    for _ in range(200):
        server.runtime.submit(new, Context("trace"))

    get = b"GET /api/tasks?limit=1000 HTTP/1.1\r\nHost: localhost\r\n"
    with server.socket() as sock:
        sock.sendall(get + b"\r\n" + get + b"Connection: close\r\n\r\n")
        received = rest(sock)

    lengths = [int(length) for length in re.findall(rb"Content-Length: (\d+)", received)]
    assert len(lengths) == 2
    assert len(received) == sum(lengths) + sum(
        len(head) for head in re.findall(rb"HTTP/1\.1 .*?\r\n\r\n", received, re.DOTALL)
    )
    assert received.count(text.encode()) == 400


def test_the_loop_leaves_a_connection_alone_until_its_worker_falls_behind() -> None:
    server = bind(0)
    near, far = socket.socketpair()
    channel = Channel(server._listener, near, ("127.0.0.1", 1), server._listener.adj, map={})

    channel.requests = [Parser(server._listener.adj)]
    channel.total_outbufs_len = 1
    sending = channel.writable()
    channel.behind = True
    behind = channel.writable()

    assert (sending, behind) == (False, True)
    channel.handle_close()
    far.close()
    server.close()


def test_a_reply_to_http_1_0_closes(server: Running) -> None:
    with server.socket() as sock:
        sock.sendall(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
        received = rest(sock)

    assert received.startswith(b"HTTP/1.0 200 OK\r\n")
    assert received.endswith(b'{"status":"ready"}')


def test_head_has_the_headers_of_get_and_no_body(server: Running) -> None:
    with server.socket() as sock:
        sock.sendall(b"HEAD /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = rest(sock)

    head, body = received.split(b"\r\n\r\n", 1)
    assert b"Content-Length: 18" in head
    assert body == b""


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"//ready", 404), (b"http://localhost/ready", 200), (b"/re%61dy", 200), (b"/ready?", 200), (b"*", 404)],
)
def test_a_target_is_taken_as_it_was_sent(server: Running, target: bytes, status: int) -> None:
    reply = exchange(server, b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target)

    assert reply.status == status


def test_an_application_that_breaks_is_answered_as_a_problem(server: Running) -> None:
    server.runtime.failure = RuntimeError("boom")

    reply = exchange(server, b"GET /api/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert reply.status == 500
    assert b"boom" not in reply.body


def test_a_port_in_use_is_told_before_anything_is_served(server: Running) -> None:
    with pytest.raises(CannotListen, match="another program does"):
        bind(server.server.port)


@pytest.mark.parametrize(
    ("host", "port", "word"),
    [
        ("127.0.0.1", 65_536, "a port is a number from 0 to 65535"),
        ("192.0.2.1", 0, "not one of this machine"),
        ("127.0.0.1", -1, "a port is a number from 0 to 65535"),
        ("no such host", 0, "not the name or address of a network interface"),
    ],
)
def test_an_address_that_cannot_be_is_told_with_what_would_be_right(host: str, port: int, word: str) -> None:
    with pytest.raises(CannotListen, match=word):
        bind(port, host)


def test_the_url_has_the_real_port_and_the_address_in_brackets_if_it_needs_them() -> None:
    four, six = bind(0, "localhost"), bind(0, "::1")
    four.close()
    six.close()

    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]*", four.url)
    assert re.fullmatch(r"http://\[::1\]:[1-9][0-9]*", six.url)


def test_a_server_that_was_stopped_before_it_serves_returns_at_once(loop: LoopName) -> None:
    server = bind(0, loop=loop)

    server.stop()
    server.serve()
    server.stop()
    close_wholly(server)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=10)


def test_a_request_in_flight_is_finished_when_the_server_stops(loop: LoopName) -> None:
    with running(loop=loop) as it:
        begun, go_on = threading.Event(), threading.Event()
        it.runtime.before_submit = held(begun, go_on)

        with it.socket() as sock, it.socket() as idle:
            sock.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(TASK) + TASK)
            assert begun.wait(10)
            it.server.stop()
            closed = rest(idle)
            refused = it.refuses()
            go_on.set()
            reply = Reply(sock)

        assert closed == b""
        assert refused
        assert reply.status == 201
        assert reply.headers["Connection"] == "close"


def test_a_request_that_outlives_the_grace_is_broken_off_and_logged(loop: LoopName) -> None:
    begun, go_on = threading.Event(), threading.Event()
    it = Running(grace=0.0, loop=loop)
    it.runtime.before_submit = held(begun, go_on)

    with it.socket() as sock:
        sock.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(TASK) + TASK)
        assert begun.wait(10)
        it.stop()
        received = rest(sock)
    abandoned = it.log.only("http.abandoned")
    go_on.set()
    close_wholly(it.server)

    assert received == b""
    assert abandoned["requests"] >= 1  # a worker that has nothing to do, and has not ended yet, counts as well


def held(begun: threading.Event, go_on: threading.Event) -> Callable[[], object]:
    """Return what holds a submit, once it has begun, until it may go on."""

    def hold() -> None:
        begun.set()
        go_on.wait(10)

    return hold


def test_the_host_of_a_targets_own_is_the_host(server: Running) -> None:
    foreign = exchange(server, b"GET http://evil.example/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ours = exchange(server, b"GET http://localhost/ready HTTP/1.1\r\nHost: evil.example\r\n\r\n")

    assert (foreign.status, ours.status) == (403, 200)
