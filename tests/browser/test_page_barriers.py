"""The web page for everybody: without a mouse, with a screen reader, light, dark, wide, narrow, on a thin line."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RestartedServer, missing
from tests.browser.event_sources import NODE_MODULES
from tests.browser.tabs import NARROW, WIDE, Scheme, Tabs, barriers
from tests.browser.task_page import MODIFIER, TaskPage
from tests.live.process import until

MOST_BYTES = 100_000
MOST_STOPS = 60
"""Presses of the Tab key that anything is away, at most."""


@pytest.fixture(scope="module")
def views(shown: RestartedServer) -> dict[str, str]:
    """The addresses of what is looked at, by name."""
    client = shown.client
    done = client.answered("What is 2 + 2?", session_id="views")
    failed = client.ended(client.submit("Simulate 2 steps of 1 ms then fail", session_id="views")["task_id"])
    waits = client.submit("Create a file called a.txt with content: Hello")
    tasks = {"done": done, "failed": failed, "waits": waits}
    addresses = {name: f"/#/tasks/{task['task_id']}" for name, task in tasks.items()}
    return {"start": "/", "session": "/#/sessions/views", "asked": "/#/approvals", **addresses}


def settle(at: TaskPage, name: str) -> None:
    """Wait until a view is there, and open what opens."""
    match name:
        case "start":
            at.wait_until_listed("Create a file")
            at.more()
        case "session":
            expect(at.main).to_contain_text("2 + 2 = 4")
        case "asked":
            expect(at.questions.get_by_role("article").first).to_be_visible()
            expect(at.asked).to_be_visible()
        case "waits":
            expect(at.questions.get_by_role("article")).to_be_visible()
        case _:
            at.wait_for_status(re.compile("completed|failed"))
            at.page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true })")


@pytest.mark.parametrize(("scheme", "width"), [("light", WIDE), ("dark", NARROW)])
def test_nothing_keeps_anybody_out(tabs: Tabs, views: dict[str, str], scheme: Scheme, width: int) -> None:
    if not (NODE_MODULES / "axe-core").is_dir():
        missing("axe-core is not there: `npm ci` in tests/browser installs it")
    found = {}

    for name, address in views.items():
        page = tabs.open(address, scheme=scheme, width=width)
        settle(TaskPage(page), name)
        found[name] = barriers(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        page.close()

    assert found == {name: [] for name in views}


def test_a_barrier_is_found(tabs: Tabs) -> None:
    page = tabs.open()
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")

    assert any(found.startswith("button-name (critical)") for found in barriers(page))


def press_until(page: Page, focused: str) -> None:
    """Press Tab until something that has this name has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        text = page.evaluate("(document.activeElement.ariaLabel ?? document.activeElement.innerText ?? '').trim()")
        if text.startswith(focused):
            return
    raise AssertionError(f"Tab never comes to {focused!r}")


def test_a_task_is_submitted_and_opened_without_a_mouse(shown: RestartedServer, tabs: Tabs) -> None:
    shown.client.answered("Echo before")
    at = TaskPage(tabs.open())
    at.wait_until_listed("Echo before")

    at.page.keyboard.press("Tab")
    skips = at.page.evaluate("document.activeElement.innerText")
    while at.page.evaluate("document.activeElement.id") != "task":
        at.page.keyboard.press("Tab")
    at.page.keyboard.type("Echo keyboard")
    at.page.keyboard.press(f"{MODIFIER}+Enter")
    at.wait_for_status("completed")
    focus = at.page.evaluate("document.activeElement.id")
    at.page.keyboard.press("Shift+Tab")
    press_until(at.page, "Events")
    at.page.keyboard.press("Enter")
    expect(at.main.get_by_role("button", name="Copy all events")).to_be_visible()

    at.page.goto(f"{shown.url}/")
    at.wait_until_listed("Echo before")
    press_until(at.page, "Echo before")
    at.page.keyboard.press("Enter")

    expect(at.heading).to_have_text("Echo before")
    assert skips == "Skip to the task"
    assert focus == "main"


def test_what_has_the_focus_is_seen_to_have_it(tabs: Tabs) -> None:
    page = tabs.open()

    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => { const style = getComputedStyle(document.activeElement);
                return [style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
                    style.boxShadow !== "none", document.activeElement.outerHTML.slice(0, 200)] }"""
        )
        assert outline[0] or outline[1], outline[2]


def test_the_colours_that_somebody_chose_are_kept(tabs: Tabs) -> None:
    page = tabs.open()
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)

    def is_dark() -> bool:
        page.get_by_role("button", name="Change colours").click()
        return bool(page.evaluate(colour) != light)

    until(is_dark, "other colours")
    chosen = page.evaluate(colour)
    page.reload()

    assert page.evaluate(colour) == chosen


def test_a_change_of_status_is_told_and_each_piece_of_an_answer_is_not(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())
    said = at.page.locator("#said")

    at.submit("Count from 1 to 10")
    at.wait_for_status("completed")

    expect(said).to_have_text("The task is completed.")
    expect(said).to_have_attribute("role", "status")
    assert at.main.locator("[aria-live]").count() == 0


def test_the_page_weighs_less_than_100_kilobytes_with_all_that_it_loads(tabs: Tabs) -> None:
    at = TaskPage(tabs.open())
    expect(at.heading).to_be_visible()

    files = [
        reply for reply in tabs.replies if "/api/" not in reply.url and reply.request.resource_type != "fetch"
    ]
    sizes = {
        reply.url: sum(reply.request.sizes()[size] for size in ("responseBodySize", "responseHeadersSize"))
        for reply in files
    }

    assert len(sizes) > 10
    assert sum(sizes.values()) < MOST_BYTES, sizes
