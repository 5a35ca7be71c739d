"""The transport with other people's applications: Flask's, lifted out as docs/transport.md says, and Falcon's."""

from __future__ import annotations

import http.client
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import falcon
import pytest

from alex_http.transport import HOLD, Hold, Reason, Refusal, Server
from tests.unit.fake_runtime import Log
from tests.unit.running_server import close_wholly

ROOT = Path(__file__).parents[2]
TRANSPORT = ROOT / "http" / "alex_http" / "transport"
DOCUMENT = (ROOT / "docs" / "transport.md").read_text()
PATIENCE = 20.0

RUN = """
import runpy, sys
sys.modules.update(dict.fromkeys(["alex_actors", "alex_config", "alex_http", "alex_runtime", "structlog"]))
sys.path.insert(0, ".")
sys.argv[:] = ["guest_book.py", "0"]
runpy.run_path("guest_book.py", run_name="__main__")
"""
"""Runs the program of the document where nothing of this server, nor its logger, can be imported."""


def programs() -> list[str]:
    """Return the blocks of Python in the document."""
    return re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


class GuestBook:
    """A client of the document's guest book, and of anything like it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Make a request; return the reply's status and body."""
        connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE)
        try:
            connection.request(method, path, body or None)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    @contextmanager
    def watching(self) -> Iterator[Callable[[], bytes]]:
        """Open the stream; give what reads its next line."""
        connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE)
        connection.request("GET", "/lines")
        reply = connection.getresponse()
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        assert "Content-Length" not in reply.headers
        try:
            yield reply.readline
        finally:
            reply.close()
            connection.close()


def sign(book: GuestBook) -> None:
    """Stream, wait, and do neither, as a guest book does."""
    later: list[tuple[int, bytes]] = []
    waiting = threading.Thread(target=lambda: later.append(book.request("GET", "/lines/1")))

    with book.watching() as read, book.watching() as read_too:
        waiting.start()
        assert book.request("POST", "/lines", b"first")[0] == 204
        assert [read(), read(), read_too(), read_too()] == [b"data: first\n", b"\n"] * 2
        assert book.request("GET", "/lines/0") == (200, b"first")
        assert book.request("HEAD", "/lines/0") == (200, b"")
        assert book.request("POST", "/lines", b"second")[0] == 204
        waiting.join(PATIENCE)
        assert later == [(200, b"second")]
        assert [read(), read()] == [b"data: second\n", b"\n"]


@pytest.fixture
def lifted(tmp_path: Path) -> Path:
    """A project into which the transport was lifted, and the document's program."""
    ours = next(program for program in programs() if "Server(" in program)
    shutil.copytree(TRANSPORT, tmp_path / "transport", ignore=shutil.ignore_patterns("__pycache__"))
    for module in (tmp_path / "transport").glob("*.py"):
        module.write_text(re.sub(r"alex_http\.transport", "transport", module.read_text()))
    (tmp_path / "guest_book.py").write_text(ours)
    return tmp_path


def test_the_program_of_the_document_streams_and_waits_without_anything_else_of_this_server(lifted: Path) -> None:
    pytest.importorskip("flask")
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUN],
        cwd=lifted,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = urlsplit(process.stdout.readline())
        book = GuestBook(str(url.hostname), url.port or 0)
        sign(book)
        with book.watching() as read:
            process.send_signal(signal.SIGTERM)
            read_at_the_end = [read() for _ in range(5)]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)

    assert read_at_the_end[4] == b""
    assert (process.returncode, errors) == (0, "")


def test_the_transport_imports_the_standard_library_and_waitress_alone() -> None:
    imported = {
        name.split(".")[0]
        for module in TRANSPORT.glob("*.py")
        for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", module.read_text(), re.MULTILINE)
    }

    others = imported - sys.stdlib_module_names
    assert others == {"alex_http", "waitress"}
    assert all(
        name.startswith("alex_http.transport")
        for module in TRANSPORT.glob("*.py")
        for name in re.findall(r"^\s*(?:from|import) (alex_http[\w.]*)", module.read_text(), re.MULTILINE)
    )


# A bare Falcon application.


class Book:
    """The lines, and who is to be woken by the next one."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.wakes: set[Callable[[], None]] = set()


class Lines:
    """Streams all lines, then each that comes."""

    blocking = ended = False

    def __init__(self, book: Book) -> None:
        self._book = book
        self._sent = 0
        self._wake: Callable[[], None] = lambda: None

    def begin(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._book.wakes.add(wake)

    def take(self) -> bytes:
        new = self._book.lines[self._sent :]
        self._sent += len(new)
        return b"".join(b"data: %b\n\n" % line for line in new)

    def heartbeat(self) -> bytes:
        return b": still here\n\n"

    def closed(self, reason: Reason) -> None:
        self._book.wakes.discard(self._wake)


class AllLines:
    """``/lines``."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = "text/event-stream"
        if not req.env[HOLD].stream(Lines(self._book)):
            resp.status = 503

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._book.lines.append(req.bounded_stream.read())
        for wake in tuple(self._book.wakes):
            wake()
        resp.status = 204


class Line:
    """``/lines/{number}``."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def on_get(self, req: falcon.Request, resp: falcon.Response, number: int) -> None:
        hold: Hold = req.env[HOLD]
        self._book.wakes.add(hold.wake)
        hold.at_the_end = lambda: self._book.wakes.discard(hold.wake)
        if number < len(self._book.lines):
            resp.data = self._book.lines[number]
        elif hold.overdue or hold.ending:
            resp.status = 404
        else:
            hold.wait(PATIENCE)

    on_head = on_get


def test_a_bare_falcon_application_streams_and_waits() -> None:
    book = Book()
    app = falcon.App()
    app.add_route("/lines", AllLines(book))
    app.add_route("/lines/{number:int}", Line(book))
    server = Server(
        app=app,
        refuse=lambda refused: Refusal("400 Bad Request", [], refused.reason.encode()),
        host="127.0.0.1",
        port=0,
        clock=time,
        log=Log().logger,
        workers=2,
        connections=100,
        streams=10,
        streams_per_address=10,
        max_body=1000,
        grace=PATIENCE,
    )
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        sign(GuestBook(server.host, server.port))
    finally:
        server.stop()
        thread.join(PATIENCE)
        close_wholly(server)

    assert not thread.is_alive()
    assert book.wakes == set()
