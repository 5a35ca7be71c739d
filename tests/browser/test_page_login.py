"""The web page of a server that asks for tokens: it shows nothing before, and says what a token may not do."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from alex_actors.values import Owner
from alex_http.tokens import Scope, TokenFile
from tests.browser.conftest import RestartedServer
from tests.browser.tabs import Tabs, barriers
from tests.browser.task_page import TaskPage

ASKED = "status of (400|401|403)"


class LockedServer:
    """A server with tokens."""

    def __init__(self, directory: Path) -> None:
        (directory / "data").mkdir()
        self.tokens = TokenFile(
            directory / "data" / "tokens.json", now=lambda: datetime.now(UTC), random_hex=secrets.token_hex
        )
        self.write = self.make("write")
        self.read = self.make("read")
        self.server = RestartedServer(directory)
        self.client = self.server.client
        self.client.http.headers["Authorization"] = f"Bearer {self.write}"

    def make(self, scope: Scope) -> str:
        """Make a token of this scope."""
        return self.tokens.create(name=f"{scope}s-{secrets.token_hex(2)}", owner=Owner("ann"), scope=scope)[1]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedServer]:
    """A server that the tests of this module share."""
    locked = LockedServer(tmp_path_factory.mktemp("locked"))
    try:
        yield locked
        assert locked.server.process.stop() == 0
        assert locked.server.process.troubles() == []
    finally:
        locked.server.end()


@pytest.fixture
def tabs(locked: LockedServer, chromium: Browser) -> Iterator[Tabs]:
    """Opens tabs on that server, whose refusals are expected."""
    with Tabs(chromium, locked.server.url) as tabs:
        tabs.allow(ASKED)
        yield tabs


def log_in(page: Page, token: str) -> None:
    """Log in by the dialog."""
    dialog = page.get_by_role("dialog", name="This server asks for a token")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Log in").click()


def test_a_shared_link_asks_for_a_token_and_then_shows_what_it_leads_to(locked: LockedServer, tabs: Tabs) -> None:
    task = locked.client.answered("What is 2 + 2?")
    at = TaskPage(tabs.open(f"/#/tasks/{task['task_id']}"))
    dialog = at.page.get_by_role("dialog", name="This server asks for a token")
    expect(dialog).to_be_visible()
    before = at.page.inner_text("body")

    log_in(at.page, "alex_wrong")
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    found = barriers(at.page)
    log_in(at.page, locked.write)

    expect(dialog).to_be_hidden()
    expect(at.answer).to_contain_text("2 + 2 = 4")
    at.wait_until_listed("What is 2 + 2?")
    assert "2 + 2 = 4" not in before
    assert found == []


def test_who_has_logged_in_submits_and_follows_and_logs_out(locked: LockedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())
    log_in(at.page, locked.write)
    expect(at.page.get_by_role("dialog")).to_be_hidden()

    at.submit("Echo mine")
    at.wait_for_status("completed")
    expect(at.answer).to_contain_text("mine")
    at.page.get_by_role("button", name="Log out").click()

    expect(at.page.get_by_role("dialog", name="This server asks for a token")).to_be_visible()
    expect(at.page.locator("body")).not_to_contain_text("Echo mine")
    assert at.page.context.cookies() == []


def test_a_token_that_only_reads_is_told_so_where_it_would_write(locked: LockedServer, tabs: Tabs) -> None:
    running = locked.client.submit("Simulate 1000 steps of 100 ms", max_iterations=1000)["task_id"]
    at = TaskPage(tabs.open(f"/#/tasks/{running}"))
    log_in(at.page, locked.read)
    at.wait_for_turn(5)

    at.main.get_by_role("button", name="Cancel task").click()
    expect(at.main.get_by_role("alert")).to_contain_text("read")
    at.task_box.fill("Echo no")
    at.form.get_by_role("button", name="Submit").click()

    expect(at.form.get_by_role("alert")).to_contain_text("read")
    expect(at.page.get_by_role("dialog")).to_be_hidden()
    assert locked.client.cancel(running).status_code == 200


def test_the_page_of_the_calls_asks_for_the_token_too_and_its_login_is_the_same(
    locked: LockedServer, tabs: Tabs
) -> None:
    page = tabs.open("/docs")
    expect(page.get_by_role("alert")).to_contain_text("token")

    page.get_by_label("Token").fill("alex_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("is not one of this server")
    found = barriers(page)
    page.get_by_label("Token").fill(locked.read)
    page.get_by_role("button", name="Log in").click()

    expect(page.locator(".opblock").first).to_be_visible()
    expect(page.get_by_label("Token")).to_be_hidden()
    at = TaskPage(tabs.open())
    expect(at.heading).to_be_visible()
    expect(at.page.get_by_role("dialog")).to_be_hidden()
    assert found == []


def test_nothing_of_the_page_counts_as_denied(locked: LockedServer, tabs: Tabs) -> None:
    for path in ("/", "/docs"):
        expect(tabs.open(path).get_by_role("textbox", name="Token")).to_be_visible()

    denied = {line["path"] for line in locked.server.process.log("http.denied")}
    loaded = {urlsplit(reply.url).path for reply in tabs.replies if reply.status == 200}

    assert {path for path in denied if not path.startswith("/api/")} <= {"/openapi.json", "/metrics"}
    assert {"/", "/page/main.js", "/docs", "/docs/swagger-ui-bundle.js", "/page/icon.svg"} <= loaded
