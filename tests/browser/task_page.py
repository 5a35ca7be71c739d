"""What people do on the web page, and what they see there, found as they find it: by roles and names."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.tabs import NARROW
from tests.live.process import Json, until

MODIFIER = "Control"
ENDED = re.compile('"event_type":"task_(completed|failed|cancelled)"')
LABELS = """(button) => {
    labels = [];
    new MutationObserver(() => labels.push(button.textContent)).observe(button, { childList: true });
}"""
"""Has the page keep each text that a button has from now on."""


class TaskPage:
    """A tab that shows the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.main = page.get_by_role("main")
        self.form = page.get_by_role("form", name="Submit a task")
        self.task_box = self.form.get_by_role("textbox", name="Task")
        self.tasks = page.get_by_role("list", name="Tasks")
        self.sessions = page.get_by_role("list", name="Sessions")
        self.heading = self.main.get_by_role("heading", level=1)
        self.pill = self.main.locator("header [data-status]")
        self.answer = self.main.get_by_role("region", name="Answer", exact=True)
        self.steps = self.main.get_by_role("region", name="Steps")
        self.sequence = self.main.get_by_role("region", name="Sequence", exact=True)
        self.questions = self.main.get_by_role("region", name="Waits for your word")
        self.banner = page.locator("#banner")
        self.health = page.get_by_role("region", name="Server").locator(".health")
        self.asked = page.get_by_role("region", name="Server").get_by_role("link", name="for you")

    def submit(self, text: str, *, most_turns: int | None = None, session: str = "", agent: str = "") -> str:
        """Submit a task; return its ID, once it is shown."""
        if session:
            self.form.get_by_role("combobox", name="Session").fill(session)
        if agent:
            self.form.get_by_role("combobox", name="Agent").select_option(agent)
        if most_turns:
            self.more().get_by_role("spinbutton", name="Most turns").fill(str(most_turns))
        self.task_box.fill(text)
        before = self.page.url
        self.form.get_by_role("button", name="Submit").click()
        self.page.wait_for_url(lambda url: url != before and "#/tasks/" in url)
        return self.task_id()

    def more(self) -> Locator:
        """Open the fields that are seldom used, and return them."""
        more = self.form.locator("details")
        if more.get_attribute("open") is None:
            more.locator("summary").click()
        return more

    def task_id(self) -> str:
        """Return the ID of the task that the address names."""
        return self.page.url.rpartition("/")[2]

    def wait_for_status(self, status: str | re.Pattern[str]) -> None:
        """Wait until the task that is shown has this status."""
        expect(self.pill).to_have_text(status)

    def figure(self, name: str) -> Locator:
        """Return where a figure of the progress is."""
        progress = self.main.get_by_role("region", name="Progress")
        return progress.locator("div", has=self.page.get_by_text(name, exact=True)).locator("dd")

    def turns(self) -> int:
        """Return how many turns the progress tells of."""
        return int(self.figure("Turns").inner_text().split()[0].replace(",", ""))

    def wait_for_turn(self, least: int) -> None:
        """Wait until the progress tells of so many turns."""
        until(lambda: self.turns() >= least, f"turn {least} is shown")

    def events(self) -> list[Json]:
        """Return all events of a task that ends, once the last is there: in its order, as it copies them."""
        raw = self.main.locator("details.raw")
        if raw.get_attribute("open") is None:
            raw.locator("summary").click()
        expect(raw.locator("pre")).to_contain_text(ENDED)
        text = self.copied(raw.get_by_role("button", name="Copy all events"))
        return [json.loads(line) for line in text.splitlines()]

    def copied(self, button: Locator) -> str:
        """Press a button that copies; return what it has copied when it says that it has."""
        self.page.bring_to_front()  # a tab behind another one is seconds late to use the clipboard
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        button.evaluate(LABELS)  # it says so for a moment
        button.click()
        until(lambda: "Copied" in self.page.evaluate("labels"), "that it is copied is said")
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def turn_numbers(self) -> list[int]:
        """Return the numbers of the turns that the steps show, in order."""
        return [int(text.split()[1]) for text in self.steps.locator("h3").all_inner_texts() if text[:5] == "Turn "]

    def is_narrow(self) -> bool:
        """Return whether lists and tasks are two views."""
        return (self.page.viewport_size or {"width": 0})["width"] <= NARROW

    def look_again(self) -> None:
        """Have the page look at the server now, as when its tab is shown again; it may look seldom."""
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def wait_until_listed(self, text: str) -> Locator:
        """Wait for a task in the list, and return its link."""
        link = self.tasks.get_by_role("link", name=text).first
        expect(link).to_be_visible()
        return link
