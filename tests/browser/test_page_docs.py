"""The page at /docs, in a browser: it lists every call, and has them tried on the very server."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import RestartedServer
from tests.browser.tabs import Tabs


def test_every_call_is_listed_and_one_is_tried(shown: RestartedServer, tabs: Tabs) -> None:
    document = shown.client.http.get("/openapi.json").json()
    count = sum(len(calls) for calls in document["paths"].values())

    page = tabs.open("/docs")
    expect(page.locator(".opblock")).to_have_count(count)
    page.get_by_role("button", name="GET /health").first.click()
    call = page.locator("#operations-server-health")
    call.get_by_role("button", name="Execute").click()

    reply = call.locator(".live-responses-table")
    expect(reply.locator("tbody td.response-col_status")).to_have_text(re.compile("^200"))
    expect(reply).to_contain_text('"status": "ok"')


def test_it_is_dark_where_all_is_dark(tabs: Tabs) -> None:
    colours = [
        tabs.open("/docs", scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]

    assert colours == ["rgb(255, 255, 255)", "rgb(28, 32, 34)"]


def test_what_a_page_may_not_do_is_noticed_in_these_tests(tabs: Tabs) -> None:
    page = tabs.open("/docs")
    page.evaluate(
        """() => {
            const script = document.createElement("script"); script.textContent = "document.title = 'owned'";
            document.body.append(script);
            const image = new Image(); image.src = "http://127.0.0.2:9/"; document.body.append(image);
        }"""
    )

    found = tabs.look()

    tabs.allow("Content Security Policy|127.0.0.2")
    assert len(found) >= 2, found
    assert page.title() == "Alex Runtime: the HTTP API"
