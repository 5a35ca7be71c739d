"""The web page lists what waits for a person's word, of all tasks, and takes the word there."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import RestartedServer
from tests.browser.tabs import Tabs
from tests.browser.task_page import TaskPage
from tests.live.process import Json, until

LIST = "**/api/approvals*"


def waits(shown: RestartedServer, name: str) -> str:
    """Have a task wait for a word before it writes a file of this name; return its ID."""
    task_id: str = shown.client.submit(f"Create a file called {name} with content: Hello")["task_id"]
    until(lambda: task_id in asked(shown), "a question")
    return task_id


def asked(shown: RestartedServer) -> list[str]:
    """Return the tasks whose calls wait, as the server lists them."""
    listed: Json = shown.client.http.get("/api/approvals?limit=1000").json()
    return [call["task_id"] for call in listed["approvals"]]


def question(at: TaskPage, task_id: str) -> Locator:
    """Return the question of a task in the list."""
    return at.questions.get_by_role("article").filter(has=at.page.get_by_role("link", name=task_id))


def test_what_waits_is_found_without_a_mouse_and_leads_to_its_task(shown: RestartedServer, tabs: Tabs) -> None:
    first, second = waits(shown, "found-1.txt"), waits(shown, "found-2.txt")
    at = TaskPage(tabs.open())

    at.asked.focus()
    at.page.keyboard.press("Enter")
    expect(question(at, first)).to_contain_text(re.compile(r"asked (now|\d+ s ago)"))
    focus = at.page.evaluate("document.activeElement.id")
    order = at.questions.get_by_role("link", name=re.compile("task-")).all_inner_texts()
    heading = at.heading.inner_text()
    question(at, second).get_by_role("link", name=second).click()
    at.wait_for_status("waits for you")

    assert focus == "main"
    assert order == asked(shown)
    assert heading == at.asked.inner_text() == f"{len(order)} questions for you"
    assert at.task_id() == second
    expect(at.tasks.get_by_role("link", name="found-1.txt").first).to_have_accessible_name(
        re.compile("waits for your word")
    )


def test_it_is_answered_in_the_list_and_gone_from_it_and_from_the_other_tab(
    shown: RestartedServer, tabs: Tabs
) -> None:
    task_id = waits(shown, "answered.txt")
    at, other = TaskPage(tabs.open("/#/approvals")), TaskPage(tabs.open("/#/approvals"))
    expect(question(other, task_id)).to_be_visible()
    at.page.bring_to_front()

    question(at, task_id).get_by_role("textbox", name="Reason").fill("Go on.")
    question(at, task_id).get_by_role("button", name="Approve").click()

    expect(question(at, task_id)).to_have_count(0)
    assert shown.client.ended(task_id)["status"] == "completed"
    (resolved,) = [e for e in shown.client.events(task_id) if e["event_type"] == "approval_resolved"]
    assert (resolved["approved"], resolved["reason"]) == (True, "Go on.")
    expect(at.page.locator("#said")).to_have_text(re.compile("question"))
    assert at.page.evaluate("document.activeElement.id") == "main", "what had the focus is gone"
    other.page.bring_to_front()
    other.look_again()
    expect(question(other, task_id)).to_have_count(0)


def test_a_list_that_comes_late_does_not_bring_back_what_was_answered(shown: RestartedServer, tabs: Tabs) -> None:
    task_id = waits(shown, "overtaken.txt")
    at = TaskPage(tabs.open("/#/approvals"))
    expect(question(at, task_id)).to_be_visible()
    before = shown.client.http.get("/api/approvals?limit=100").text
    routes: list[Route] = []

    def answer_the_second(route: Route) -> None:
        routes.append(route)
        if len(routes) == 2:
            route.continue_()

    at.page.route(LIST, answer_the_second)
    with at.page.expect_request(LIST):
        at.look_again()
    question(at, task_id).get_by_role("button", name="Approve").click()
    expect(question(at, task_id)).to_have_count(0)
    with at.page.expect_request(LIST):  # of the next look: the one before is over then
        routes[0].fulfill(content_type="application/json", body=before)

    assert question(at, task_id).count() == 0
    at.page.unroute_all(behavior="ignoreErrors")


def test_a_list_that_cannot_be_read_does_not_make_a_word_that_was_taken_look_refused(
    shown: RestartedServer, tabs: Tabs
) -> None:
    tabs.allow("Failed to load resource")
    task_id = waits(shown, "unread.txt")
    at = TaskPage(tabs.open("/#/approvals"))
    expect(question(at, task_id)).to_be_visible()

    at.page.route(LIST, lambda route: route.abort())
    with at.page.expect_event("requestfailed", lambda request: "/api/approvals" in request.url):
        question(at, task_id).get_by_role("button", name="Approve").click()
        assert shown.client.ended(task_id)["status"] == "completed"
    at.page.evaluate("0")  # what follows from the failure has been done

    expect(question(at, task_id).get_by_role("button", name="Approve")).to_be_disabled()
    expect(question(at, task_id).get_by_role("alert")).to_have_count(0)
    at.page.unroute_all(behavior="ignoreErrors")


def test_a_call_that_begins_to_wait_comes_by_itself(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open("/#/approvals"))
    expect(at.heading).to_have_text(re.compile("for you"))

    task_id = waits(shown, "later.txt")

    expect(question(at, task_id)).to_be_visible()
    shown.client.cancel(task_id)
    expect(question(at, task_id)).to_have_count(0)


def test_the_page_asks_who_waits_only_when_the_number_is_another_one(shown: RestartedServer, tabs: Tabs) -> None:
    waits(shown, "quiet.txt")
    calls: list[str] = []
    at = TaskPage(tabs.open())
    at.page.goto("about:blank")
    at.page.on("request", lambda request: calls.append(request.url))  # Playwright takes no built-in
    at.page.goto(shown.url)
    expect(at.asked).to_be_visible()

    for _ in range(4):
        with at.page.expect_response("**/metrics"):
            at.look_again()
    at.page.evaluate("fetch('health').then((reply) => reply.text())")  # what was asked for before this is told of

    assert len([url for url in calls if "/api/approvals" in url]) == 2  # the list changes after the number


def test_what_waits_for_somebody_else_is_no_question_for_you(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())
    at.page.goto("about:blank")
    at.page.route("**/api/approvals*", nothing_waits)  # as it is for another owner: figures are of all together
    waits(shown, "theirs.txt")

    with at.page.expect_response("**/api/approvals*"):
        at.page.goto(shown.url)

    expect(at.page.get_by_role("region", name="Server")).to_contain_text("running")
    expect(at.asked).to_be_hidden()
    at.page.goto(f"{shown.url}/#/approvals")
    expect(at.heading).to_have_text("0 questions for you")
    expect(at.main).to_contain_text("until somebody has decided on it")


def test_who_waits_in_place_of_another_is_found_though_as_many_wait(shown: RestartedServer, tabs: Tabs) -> None:
    waits(shown, "instead.txt")
    at = TaskPage(tabs.open())
    at.page.goto("about:blank")
    at.page.clock.install()
    at.page.route("**/api/approvals*", nothing_waits)  # at first only others do
    with at.page.expect_response("**/api/approvals*"):
        at.page.goto(shown.url)
    with at.page.expect_response("**/api/approvals*"):
        at.look_again()
    before = at.asked.is_visible()

    at.page.unroute("**/api/approvals*")
    at.page.clock.fast_forward(30_000)
    at.look_again()

    expect(at.asked).to_be_visible()
    assert not before


def nothing_waits(route: Route) -> None:
    route.fulfill(json={"approvals": [], "next_cursor": None})
