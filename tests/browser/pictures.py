"""Pictures of the web page, to be looked at: ``python -m tests.browser.pictures FOLDER``.

Each view, light and dark, wide and narrow, from a real server whose tasks are made for it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import AGENTS, BROWSERS, RestartedServer
from tests.browser.event_sources import HERE
from tests.browser.tabs import NARROW, WIDE, Scheme, Tabs
from tests.browser.task_page import TaskPage
from tests.live.client import Client

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SETTINGS = {"TOOLS__APPROVE": "file_write"}


def make_tasks(client: Client) -> dict[str, str]:
    """Submit what is shown; return the addresses of the views, by name."""
    for number in range(30):
        client.answered(f"Echo {number}", session_id=f"talk-{number % 3}")
    client.ended(client.submit("Simulate 5 steps of 20 ms then fail")["task_id"])
    client.answered("Echo # Plan\n\n* **one** `two`\n* three\n\n```sh\nls -l\n```\n\n| a | b |\n|-|-|\n| 1 | 2 |")
    done = client.answered("What is 2 + 2? Then list files in current directory. Then calculate 3 * (4 + 5)")
    hostile = client.answered("\u202eDo harm <b>now</b> " + "w" * 300, agent_preset="hostile")
    novel = client.answered("Write a novel", agent_preset="novel")
    waits = client.submit("Create a file called a.txt with content: Hello")
    client.task_when(waits["task_id"], lambda task: task["status"] == "running")
    runs = client.submit("Simulate 1000 steps of 50 ms", max_iterations=1000, session_id="talk-1")
    views = {"done": done, "hostile": hostile, "novel": novel, "waits": waits, "runs": runs}
    addresses = {name: f"/#/tasks/{task['task_id']}" for name, task in views.items()}
    return {"start": "/", **addresses, "asked": "/#/approvals", "session": "/#/sessions/talk-1", "docs": "/docs"}


def settle(page: Page, name: str) -> None:
    """Wait until a view is what is to be seen of it."""
    at = TaskPage(page)
    match name:
        case "start":
            at.wait_until_listed("Simulate") if not at.is_narrow() else expect(at.task_box).to_be_visible()
        case "docs":
            expect(page.locator(".opblock").first).to_be_visible()
        case "asked":
            expect(at.questions.get_by_role("article").first).to_be_visible()
            expect(at.asked).to_be_visible()
        case "waits":
            expect(at.questions.get_by_role("article")).to_be_visible()
        case "runs":
            at.wait_for_turn(20)
        case "session":
            expect(at.heading).to_contain_text("talk-1")
        case _:
            at.wait_for_status("completed")
            at.steps.locator("details.call").first.click() if at.steps.locator("details.call").count() else None
            at.sequence.get_by_text("As a list").click()


@contextmanager
def served(directory: Path) -> Iterator[RestartedServer]:
    """Start a server with agents that are hard to show."""
    shutil.copy(HERE / "page_agents.py", directory)
    (directory / "alex.toml").write_text(AGENTS)
    server = RestartedServer(directory, settings=SETTINGS)
    try:
        yield server
    finally:
        server.end()


def main(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    installed = next(filter(None, map(shutil.which, BROWSERS)))
    with (
        tempfile.TemporaryDirectory() as directory,
        served(Path(directory)) as server,
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=installed)) as browser,
    ):
        views = make_tasks(server.client)
        for scheme in SCHEMES:
            for width in (WIDE, NARROW):
                with Tabs(browser, server.url) as tabs:
                    for name, address in views.items():
                        page = tabs.open(address, width=width, scheme=scheme)
                        settle(page, name)
                        page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
                        page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
