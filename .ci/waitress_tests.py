"""waitress' own tests, with our connections, tasks, parser, workers, listening socket and loops in place of its.

    python .ci/waitress_tests.py

Downloads the source distribution of the waitress that is installed, since its wheel has no tests, and runs its
tests of channels, tasks, the parser, the server, and the functional ones, these on both loops. Those that expect
what ours does differently are in DIFFERS: they have to fail. The file is also the plugin by which pytest does so.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
import structlog
from waitress import channel, parser, server, task, utilities  # type: ignore[import-untyped]  # it has no types
from waitress.adjustments import Adjustments  # type: ignore[import-untyped]  # it has no types

from alex_actors.clock import SystemClock
from alex_http.transport.channels import Channel
from alex_http.transport.limits import Limits, Memory
from alex_http.transport.listener import Listener
from alex_http.transport.loops import LoopName, new_loop
from alex_http.transport.parser import Parser
from alex_http.transport.proxies import Proxies
from alex_http.transport.replies import Refusal, RefusalTask, RefusedRequest, RequestTask
from alex_http.transport.sockets import listening
from alex_http.transport.streams import Streams
from alex_http.transport.workers import Pool, Workers

LOOP: LoopName = "poll" if os.environ.get("WAITRESS_TESTS_LOOP") == "poll" else "epoll"
MODULES = ("test_channel", "test_task", "test_parser", "test_server", "test_functional")
WAITS = "a worker waits for a client that does not read, but not for ever: the fake's wait has no limit"
PATH = "the application gets the path as it was sent; there is no url_prefix"
START = "it accepts from construction on, and takes the adjustments as they are"
DIFFERS = {
    "test_write_soon_attempts_flush_high_water_and_exception": WAITS,
    "test_write_soon_waits_on_backpressure": WAITS,
    "test_cancel_with_requests": "a request gives back the memory that it took: the fake is None",
    "test_lookahead_bad_request_drop_extra_data": "a client that was refused may read its reply before we close",
    "testProxyGET": "the host that the target names is the Host header: RFC 9112, section 3.2.2",
    "test_backward_compatibility": START,
    "test_ctor_start_false": START,
    "test_maintenance": "who is silent is closed at once: one that stopped reading can never be written to",
    "test_pull_trigger": "channels say what changed, and wake the loop if that matters, not after each request",
    "test_add_task_with_all_busy_threads": "a request that has to wait for a worker is no reason to warn",
    "test_get_environ_with_url_prefix_empty_path": PATH,
    "test_get_environ_with_url_prefix_hit": PATH,
    "test_get_environment_path_startswith_more_than_one_slash": PATH,
    "test_get_environment_values": "the environment has one key more, of the request's hold",
}
"""Tests that fail, by name, each with what is different and meant to be."""


class ServerUnderTest:
    """Ours, in the form in which waitress' functional tests start one."""

    family = server.socket.AF_INET

    def __init__(self, application: Any, queue: Any, **named: Any) -> None:  # as waitress' tests have it
        sock = listening("127.0.0.1", 0)
        adj = Adjustments(sockets=[sock], **named)
        workers = Workers(probes=())
        workers.start(adj.threads)
        self._listener = Listener(
            app=application, sock=sock, adj=adj, loop=new_loop(LOOP), workers=workers, streams=no_streams(),
            refuse=as_waitress, limits=Limits(header_bytes=adj.max_request_header_size),
            max_body=adj.max_request_body_size - 1, patience=30.0, clock=SystemClock(), log=structlog.get_logger(),
        )  # fmt: skip
        queue.put(sock.getsockname())

    def run(self) -> None:
        """Serve until killed."""
        while True:
            self._listener.turn(1.0)


def no_streams() -> Streams:
    """Return streams of which none is opened."""
    now, log = SystemClock().monotonic, structlog.get_logger()
    return Streams(now=now, read=lambda call: call(), log=log, most=0, most_per_address=0)


REASONS = {
    400: "Bad Request", 413: "Request Entity Too Large", 431: "Request Header Fields Too Large", 432: "Too Ugly",
    500: "Internal Server Error", 501: "Not Implemented",
}  # fmt: skip


def as_waitress(refused: RefusedRequest) -> Refusal:
    """Refuse a request in waitress' words, which its tests expect."""
    error = utilities.Error(refused.reason)
    error.code, error.reason = refused.code, REASONS[refused.code]
    return Refusal(*error.to_response("waitress"))


class ListenerUnderTest(Listener):
    """Ours, made as waitress makes its own."""

    def __init__(
        self,
        application: Any,  # a WSGI application
        _map: object = None,
        _start: object = None,
        _sock: Any = None,  # it and the rest are waitress', which has no types, or fakes of its tests
        *,
        dispatcher: Any = None,  # as above
        adj: Any = None,  # as above
        sockinfo: Any = None,  # as above
        bind_socket: bool = True,
    ) -> None:
        if _sock is not None and bind_socket:
            _sock.bind(sockinfo[3])
        super().__init__(
            app=application, sock=_sock or listening("127.0.0.1", 0), adj=adj, loop=new_loop("poll"),
            workers=dispatcher, streams=no_streams(), refuse=as_waitress, limits=Limits(), max_body=2**30,
            patience=30.0, clock=SystemClock(), log=structlog.get_logger(),
        )  # fmt: skip


class NoHold:
    """Of a request that is answered at once."""

    waits, feed = False, None

    def called(self) -> None:
        """Do nothing."""


def pytest_configure() -> None:
    """Put ours in the place of waitress'."""
    channel.HTTPChannel = Channel
    parser.HTTPRequestParser = Parser
    task.WSGITask, task.ErrorTask = RequestTask, RefusalTask
    task.ThreadedTaskDispatcher = Pool
    server.TcpWSGIServer = server.WSGIServer = ListenerUnderTest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests' fakes what ours ask of them; leave out what is not ours; expect what differs."""
    modules = {
        item.module.__name__.rpartition(".")[2]: item.module for item in items if isinstance(item, pytest.Function)
    }
    for module in modules.values():
        adapt(module)
    unix = [item for item in items if "Unix" in item.nodeid]  # ours listens on TCP only
    config.hook.pytest_deselected(items=unix)
    items[:] = [item for item in items if item not in unix]
    for item in items:
        if item.name in DIFFERS:
            item.add_marker(pytest.mark.xfail(reason=DIFFERS[item.name], strict=True))


def adapt(module: Any) -> None:  # a module of tests
    """Give a module's fakes what ours ask of them."""
    match module.__name__.rpartition(".")[2]:
        case "test_channel":
            adapt_server(module.DummyServer)
            for fake in (module.DummyParser, module.DummyRequest):
                adapt_request(fake)
            module.DummyParser.body_rcv = "to come"
            module.DummyParser.close = lambda _self: None
            module.DummySock.shutdown = lambda _self, _how: None
        case "test_task":
            adapt_server(module.DummyServer)
            dummy = module.DummyChannel
            dummy.hold, dummy.requests, dummy.last_reply = NoHold(), (), False
            dummy.client = property(lambda channel: channel.addr[0])
            dummy.scheme = "http"
        case "test_functional":
            module.TcpTests.server = ServerUnderTest


def adapt_server(fake: Any) -> None:  # a class of the tests
    """Give a fake server what ours has."""
    fake.draining, fake.patience, fake.refuse = False, 0.01, staticmethod(as_waitress)
    fake.changed = lambda self, _channel: self.pull_trigger()
    fake.clock, fake.limits, fake.max_body, fake.memory = SystemClock(), Limits(), 2**30, Memory(2**30)
    fake.large_memory, fake.proxies = Memory(2**30), Proxies(())
    fake.arrived = fake.departed = fake.expect = lambda _self, _channel: None


def adapt_request(fake: Any) -> None:  # as above
    """Give a fake parser or request what ours has."""
    fake.command, fake.body_bytes_received = "GET", 0
    fake.release = lambda _self: None


def main() -> int:
    """Run them; return the exit code."""
    here = Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as directory:
        root = unpack(Path(directory))
        for loop, modules in (("epoll", MODULES), ("poll", MODULES[-1:])):
            command = [
                sys.executable, "-m", "pytest", "-q", "-rx", "-p", "waitress_tests", "-p", "no:cacheprovider",
                "-c", os.devnull, "--rootdir", str(root), *(f"tests/{module}.py" for module in modules),
            ]  # fmt: skip
            print(f"waitress' tests on the {loop} loop: {', '.join(modules)}", flush=True)
            environ = os.environ | {"WAITRESS_TESTS_LOOP": loop, "PYTHONPATH": f"{here}{os.pathsep}{root}"}
            code = subprocess.run(command, cwd=root, env=environ, check=False).returncode
            if code:
                return code
    return 0


def unpack(directory: Path) -> Path:
    """Return where the source distribution is unpacked."""
    version = importlib.metadata.version("waitress")
    print(f"downloads the source distribution of waitress {version}", flush=True)
    what = [f"waitress=={version}", "--no-binary", "waitress", "--no-deps", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "download", *what, "--dest", str(directory)], check=True)
    (archive,) = directory.glob("waitress-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(directory, filter="data")
    return directory / f"waitress-{version}"


if __name__ == "__main__":
    sys.exit(main())
