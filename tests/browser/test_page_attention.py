"""The web page says who waits for whom, and where the next task goes; a tab that nobody sees asks for nothing."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import RestartedServer
from tests.browser.tabs import Tabs
from tests.browser.task_page import TaskPage

LONG = "Simulate 1000 steps of 100 ms"
HIDDEN = "Object.defineProperty(document, 'hidden', { configurable: true, get: () => window.isHidden ?? true })"
SHOW = "window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))"


def test_a_call_that_waits_is_seen_at_its_task_in_the_list_and_at_the_top(
    shown: RestartedServer, tabs: Tabs
) -> None:
    at = TaskPage(tabs.open())

    at.submit("Create a file called attention.txt with content: Hello")

    at.wait_for_status("waits for you")
    expect(at.tasks.get_by_role("link", name="attention.txt").first).to_have_accessible_name(
        re.compile("waits for your word")
    )
    expect(at.page.get_by_role("region", name="Server")).to_contain_text(re.compile("questions? for you"))
    at.questions.get_by_role("button", name="Approve").click()
    at.wait_for_status("completed")
    expect(at.tasks.get_by_role("link", name="attention.txt").first).to_have_accessible_name(
        re.compile("completed")
    )


def test_a_task_that_waits_in_line_says_for_what_and_one_that_is_cancelled_has_not_failed(
    shown: RestartedServer, tabs: Tabs
) -> None:
    first = shown.client.submit(LONG, session_id="line", max_iterations=1000)
    second = shown.client.submit("Echo second", session_id="line")
    at = TaskPage(tabs.open(f"/#/tasks/{second['task_id']}"))
    ahead = at.main.get_by_role("link", name=LONG)

    ahead.click()
    at.main.get_by_role("button", name="Cancel task").click()
    at.wait_for_status("cancelled")
    expect(at.answer).to_have_attribute("data-kind", "answer")
    at.page.go_back()

    at.wait_for_status("completed")
    expect(ahead).to_be_hidden()
    assert shown.client.task(first["task_id"])["status"] == "cancelled"


def test_beside_a_session_the_next_task_is_of_that_session(shown: RestartedServer, tabs: Tabs) -> None:
    for session in ("beside", "elsewhere"):
        shown.client.answered(f"Echo {session}", session_id=session)
    at = TaskPage(tabs.open("/#/sessions/elsewhere"))
    field = at.form.get_by_role("combobox", name="Session")
    expect(field).to_have_value("elsewhere")

    at.page.goto(f"{shown.url}/#/sessions/beside")
    expect(field).to_have_value("beside")
    task_id = at.submit("Echo next")
    expect(field).to_have_value("beside")
    at.wait_until_listed("Echo elsewhere").click()

    expect(field).to_have_value("")
    assert shown.client.task(task_id)["session_id"] == "beside"


def test_who_deletes_a_session_is_back_at_the_lists_without_it(shown: RestartedServer, tabs: Tabs) -> None:
    shown.client.answered("Echo doomed", session_id="doomed")
    at = TaskPage(tabs.open("/#/sessions/doomed"))
    at.wait_until_listed("Echo doomed")
    at.page.on("dialog", lambda dialog: dialog.accept())

    at.main.get_by_role("button", name="Delete").click()

    expect(at.heading).to_have_text("What should be done?")
    expect(at.tasks.get_by_role("link", name="Echo doomed")).to_have_count(0)
    expect(at.form.get_by_role("combobox", name="Session")).to_have_value("")


def test_a_tab_that_nobody_sees_opens_no_stream_until_somebody_does(shown: RestartedServer, tabs: Tabs) -> None:
    task = shown.client.answered("Echo unseen")
    at = TaskPage(tabs.open())
    asked: list[str] = []
    at.page.add_init_script(HIDDEN)
    at.page.goto("about:blank")  # where only the hash changes, nothing is loaded anew
    at.page.on("request", lambda request: asked.append(request.url))  # Playwright takes no built-in
    at.page.goto(f"{shown.url}/#/tasks/{task['task_id']}")
    at.wait_for_status("completed")

    at.page.evaluate("fetch('health').then((reply) => reply.text())")  # what was asked for before this is told of
    streams = [url for url in asked if url.endswith("/events")]
    at.page.evaluate(SHOW)

    expect(at.answer).to_contain_text("unseen")
    assert streams == []
