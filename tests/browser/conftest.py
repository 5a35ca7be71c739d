"""A server that can be started again where it was, and the EventSources that follow it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import NoReturn, Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.event_sources import HERE, NODE_MODULES, EventSource, InNode, InPage
from tests.browser.tabs import Tabs
from tests.live.client import Client
from tests.live.process import ServerProcess

AGENTS = """[agents]
asking = "page_agents:asking"
brief = "page_agents:brief"
hostile = "page_agents:hostile"
novel = "page_agents:novel"
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class RestartedServer:
    """A server that is started again on the same port, with the same data."""

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._settings = settings
        self._start("0")

    def _start(self, port: str) -> None:
        self.process = ServerProcess(self._directory, "--port", port, settings=self._settings, forked=True)
        self.process.wait_until_listening()
        self.url = self.process.url
        self.client = Client(self.url)

    def restart(self, number: signal.Signals) -> None:
        """End it with a signal, and start it again."""
        self.stop(number)
        self.start()

    def stop(self, number: signal.Signals) -> None:
        """End it with a signal."""
        self.client.http.close()
        self.process.stop(number)

    def start(self) -> None:
        """Start it again."""
        self._start(str(urlsplit(self.url).port))

    def end(self) -> None:
        """End it however it is, and do not leave it behind."""
        self.client.http.close()
        self.process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestartedServer]:
    """A server that the tests of a module share: each has tasks of its own there."""
    server = RestartedServer(tmp_path_factory.mktemp("server"))
    try:
        yield server
        assert server.process.stop() == 0
        assert server.process.troubles() == []
    finally:
        server.end()


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestartedServer]:
    """A server whose pages all tests open. It has agents of its own, and asks before it writes a file."""
    directory = tmp_path_factory.mktemp("shown")
    shutil.copy(HERE / "page_agents.py", directory)
    (directory / "alex.toml").write_text(AGENTS)
    server = RestartedServer(directory, settings={"TOOLS__APPROVE": "file_write"})
    try:
        yield server
        assert server.process.stop() == 0
        assert server.process.troubles() == []
    finally:
        server.end()


@pytest.fixture
def tabs(shown: RestartedServer, chromium: Browser) -> Iterator[Tabs]:
    """Opens tabs on that server. Whatever a browser complains of in one fails the test."""
    with Tabs(chromium, shown.url) as tabs:
        yield tabs


class Watch(Protocol):
    """Starts an EventSource."""

    def __call__(self, server: RestartedServer, path: str) -> EventSource:
        """Have it follow ``path`` of the server: in a browser, from a page of that server."""


# For a module, not for the session: until it ends, Playwright runs an event loop in this very thread, where no
# other test could run one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    if installed is None:
        missing(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=installed)


@pytest.fixture(params=["chromium", "node"])
def watch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watch]:
    """A function that starts EventSources, which end with the test: a browser's, then npm's."""
    with ExitStack() as ends:
        yield _in_chromium(request, ends) if request.param == "chromium" else _in_node(tmp_path, ends)


def a_context(browser: Browser) -> BrowserContext:
    """Return a fresh profile, whose pages may do what a script of the test does in them.

    Replies that are no page of the server's are shown with a policy that forbids all scripts to connect anywhere.
    """
    return browser.new_context(bypass_csp=True)


def _in_chromium(request: pytest.FixtureRequest, ends: ExitStack) -> Watch:
    browser: Browser = request.getfixturevalue("chromium")
    context = ends.enter_context(a_context(browser))

    def watch(server: RestartedServer, path: str) -> EventSource:
        page = context.new_page()
        page.goto(f"{server.url}/health")
        return InPage(page, server.url + path)

    return watch


def _in_node(directory: Path, ends: ExitStack) -> Watch:
    node = shutil.which("node")
    if node is None or not (NODE_MODULES / "eventsource").is_dir():
        missing("no Node.js, or not its packages: `npm ci` in tests/browser installs these")
    numbers = count(1)

    def watch(server: RestartedServer, path: str) -> EventSource:
        source = InNode(node, server.url + path, directory / f"seen-{next(numbers)}")
        ends.callback(source.end)
        return source

    return watch


def missing(what: str) -> NoReturn:
    """Skip a test on a developer's machine, which may lack what it needs; in CI nothing may be missing."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(what)
    pytest.skip(what)
