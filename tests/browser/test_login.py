"""A browser that is logged in: what its pages may do, and what those of other servers of this machine may not."""

from __future__ import annotations

import http.server
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from alex_actors.values import Owner
from alex_http.tokens import TokenFile
from tests.browser.conftest import a_context
from tests.browser.event_sources import InPage, as_frames
from tests.live.client import Client
from tests.live.process import ServerProcess

FETCH = """async ([url, options]) => {
    try { const reply = await fetch(url, options); return [reply.status, await reply.text()] }
    catch (error) { return [0, String(error)] }
}"""
WRITE = "(html) => { document.body.innerHTML = html }"
FORM = """<form method="post" enctype="text/plain" action="{}/api/tasks">
<input name='{{"task":"x"}}'></form>"""
JSON = {"Content-Type": "application/json"}
TASK = '{"task": "What is 2 + 2?"}'


class OtherSite(http.server.BaseHTTPRequestHandler):
    """A server of somebody else, on another port of this machine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>other</title>")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def other_site() -> Iterator[str]:
    """Serve the other site; give its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OtherSite)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class LoggedIn:
    """A server that asks for a token, and a browser whose page has logged in."""

    def __init__(
        self, directory: Path, context: BrowserContext, ends: ExitStack, settings: dict[str, str]
    ) -> None:
        self.tokens = TokenFile(
            directory / "data" / "tokens.json", now=lambda: datetime.now(UTC), random_hex=secrets.token_hex
        )
        (directory / "data").mkdir()
        self.token = self.tokens.create(name="ann", owner=Owner("ann"), scope="write")[1]
        self.server = ServerProcess(directory, settings=settings, forked=True)
        ends.callback(self.server.kill)
        self.server.wait_until_listening()
        self.url = self.server.url
        self.context = context
        self.client = ends.enter_context(Client(self.url))
        self.client.http.headers["Authorization"] = f"Bearer {self.token}"
        self.page = self.page_of(f"{self.url}/health")

    def page_of(self, url: str) -> Page:
        """Open a page."""
        page = self.context.new_page()
        page.goto(url)
        return page

    def log_in(self) -> int:
        """Log the browser in from a page of the server; return the status."""
        body = f'{{"token": "{self.token}"}}'
        return fetch(self.page, f"{self.url}/api/login", method="POST", headers=JSON, body=body)[0]


def fetch(page: Page, url: str, **options: Any) -> tuple[int, str]:  # Any: as fetch takes them
    """Have a page fetch; return the status, 0 if it was not told, and the body."""
    status, text = page.evaluate(FETCH, [url, options])
    return status, text


@pytest.fixture
def logged_in(tmp_path: Path, chromium: Browser) -> Iterator[LoggedIn]:
    """A server, and a browser that is logged in there."""
    with ExitStack() as ends:
        context = ends.enter_context(a_context(chromium))
        site = LoggedIn(tmp_path, context, ends, {})
        assert site.log_in() == 204
        yield site


def test_a_page_that_has_logged_in_submits_and_follows_without_sending_a_token(logged_in: LoggedIn) -> None:
    status, text = fetch(logged_in.page, f"{logged_in.url}/api/tasks", method="POST", headers=JSON, body=TASK)
    assert status == 201, text
    (task,) = logged_in.client.tasks()["tasks"]

    source = InPage(logged_in.page, f"{logged_in.url}/api/tasks/{task['task_id']}/events")
    source.wait_until_closed()

    assert source.events() == as_frames(logged_in.client.events(task["task_id"]))
    assert source.statuses(2) == [200, 204]


def test_no_script_can_read_the_cookie_and_logging_out_takes_it_away(logged_in: LoggedIn) -> None:
    seen = logged_in.page.evaluate("document.cookie")
    (cookie,) = logged_in.context.cookies()

    before = fetch(logged_in.page, f"{logged_in.url}/api/tasks")[0]
    out = fetch(logged_in.page, f"{logged_in.url}/api/logout", method="POST")[0]
    after = fetch(logged_in.page, f"{logged_in.url}/api/tasks")[0]

    assert seen == ""
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert (before, out, after) == (200, 204, 401)
    assert logged_in.context.cookies() == []


def test_a_page_of_another_port_can_neither_read_nor_start_anything(logged_in: LoggedIn) -> None:
    with other_site() as url:
        page = logged_in.page_of(url)

        read = fetch(page, f"{logged_in.url}/api/tasks", credentials="include")
        posted = fetch(
            page, f"{logged_in.url}/api/tasks", method="POST", headers=JSON, body=TASK, credentials="include"
        )
        simple = {"method": "POST", "body": TASK, "credentials": "include", "mode": "no-cors"}
        fetch(page, f"{logged_in.url}/api/tasks", **simple)
        source = InPage(page, f"{logged_in.url}/api/sse?session_id=none")
        source.wait_until_closed()
        page.evaluate(
            """(url) => new Promise((done) => {
                const image = new Image(); image.onerror = image.onload = done; image.src = url })""",
            f"{logged_in.url}/api/tasks",
        )

    assert (read[0], posted[0]) == (0, 0)
    assert logged_in.client.tasks()["total"] == 0
    paths = ("/api/tasks", "/api/sse")
    denied = [line["status"] for line in logged_in.server.log("http.denied") if line["path"] in paths]
    let_in = [line for line in logged_in.server.log("http.request") if line["path"] in paths]
    assert len(denied) >= 4  # the read, the preflight, the simple post, the stream, the image
    assert set(denied) == {403}
    assert [line for line in let_in if "token_name" not in line] == []


def test_a_form_of_another_site_starts_nothing_and_a_link_to_the_server_works(logged_in: LoggedIn) -> None:
    with other_site() as url:
        page = logged_in.page_of(url)
        page.evaluate(WRITE, f'<a href="{logged_in.url}/health">there</a>')
        with page.expect_navigation() as link:
            page.click("a")
        page.goto(url)
        page.evaluate(WRITE, FORM.format(logged_in.url))
        with page.expect_navigation() as form:
            page.evaluate("document.forms[0].submit()")

    assert [followed.value.status for followed in (link, form)] == [200, 403]
    assert logged_in.client.tasks()["total"] == 0


def test_a_page_of_a_configured_origin_reads_starts_and_follows_with_its_token(
    tmp_path: Path, chromium: Browser
) -> None:
    with ExitStack() as ends:
        origin = ends.enter_context(other_site())
        context = ends.enter_context(a_context(chromium))
        site = LoggedIn(tmp_path, context, ends, {"SERVER__CORS_ORIGINS": origin})
        page = site.page_of(origin)
        token = {"Authorization": f"Bearer {site.token}"}

        posted = fetch(page, f"{site.url}/api/tasks", method="POST", headers=JSON | token, body=TASK)
        missing = fetch(page, f"{site.url}/api/tasks/none", headers=token)
        assert site.log_in() == 204
        (task,) = site.client.tasks()["tasks"]
        streamed = fetch(page, f"{site.url}/api/tasks/{task['task_id']}/events", credentials="include")

    assert (posted[0], missing[0], streamed[0]) == (201, 404, 200)
    assert "event: task_completed" in streamed[1]
