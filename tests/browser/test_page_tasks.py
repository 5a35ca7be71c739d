"""The web page in a browser: submit, follow, decide, cancel, find again."""

from __future__ import annotations

import re

from playwright.sync_api import Request, Route, expect

from tests.browser.conftest import RestartedServer
from tests.browser.tabs import NARROW, Tabs
from tests.browser.task_page import MODIFIER, TaskPage
from tests.live.process import until

LONG = "Simulate 1000 steps of 100 ms"
WRITES = "Create a file called {} with content: Hello"


def test_a_task_is_submitted_and_followed_to_its_answer(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())

    task_id = at.submit("What is 2 + 2?")

    at.wait_for_status("completed")
    expect(at.heading).to_have_text("What is 2 + 2?")
    expect(at.answer).to_contain_text("2 + 2 = 4")
    expect(at.figure("Turns")).to_have_text(re.compile("^2 of"))
    expect(at.page).to_have_title(re.compile("^completed: What is 2 \\+ 2"))
    at.steps.get_by_text("calculator").click()
    expect(at.steps).to_contain_text('"expression": "2 + 2"')
    at.sequence.get_by_text("As a list").click()
    expect(at.sequence.get_by_role("listitem").last).to_contain_text("Store to Client: answer")
    assert at.events() == shown.client.events(task_id)


def test_what_a_task_does_is_seen_while_it_does_it_and_it_is_cancelled(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())

    task_id = at.submit(LONG, most_turns=1000)
    at.wait_for_status("running")
    at.wait_for_turn(3)
    at.wait_for_turn(at.turns() + 5)
    at.main.get_by_role("button", name="Cancel task").click()

    at.wait_for_status("cancelled")
    assert shown.client.task(task_id)["status"] == "cancelled"
    expect(at.main.get_by_role("button", name="Cancel task")).to_be_hidden()
    expect(at.tasks.get_by_role("link", name=re.compile(f"{LONG}.*cancelled")).first).to_be_visible()


def test_the_id_of_a_task_is_shown_and_copied(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())

    task_id = at.submit("Echo which")
    expect(at.main.get_by_text(task_id, exact=True)).to_be_visible()
    copied = at.copied(at.main.get_by_role("button", name="Copy ID"))

    assert copied == task_id


IDLE = 'alex_tasks{status="running"} 0\nalex_tasks{status="pending"} 0\n'


def test_the_page_looks_often_only_while_something_runs(shown: RestartedServer, tabs: Tabs) -> None:
    listed = shown.client.answered("Echo listed")
    asked: list[str] = []
    at = TaskPage(tabs.open())
    under_way: set[Request] = set()
    at.page.on("request", lambda request: under_way.add(request))  # Playwright takes no built-in
    at.page.on("requestfinished", lambda request: under_way.discard(request))
    at.page.on("requestfailed", lambda request: under_way.discard(request))

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"tasks": [listed], "total": 1, "limit": 50, "offset": 0})

    def looks(seconds: int) -> int:
        del asked[:]
        for _ in range(seconds):
            at.page.clock.run_for(1000)
            at.page.evaluate("fetch('health').then((reply) => reply.text())")
            # Or the next look would be late by the page's clock, as late as the server by that of the machine.
            until(lambda: at.page.evaluate("0") == 0 and not under_way, "what was asked for is there")
        return len(asked)

    at.page.clock.install()
    at.page.route("**/metrics", lambda route: route.fulfill(body=IDLE, content_type="text/plain"))
    at.page.route("**/api/tasks?*", answer)
    at.page.reload()
    at.wait_until_listed("Echo listed")
    looks(5)

    idle = looks(30)
    listed = {**listed, "status": "running"}
    at.look_again()
    busy = looks(30)

    assert 2 <= idle <= 4
    assert busy >= 9


def test_a_double_click_submits_once(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())
    at.task_box.fill("Say once")

    at.form.get_by_role("button", name="Submit").dblclick()
    at.wait_for_status("completed")

    texts = [task["task"] for task in shown.client.tasks(limit=1000)["tasks"]]
    assert texts.count("Say once") == 1


def test_what_is_wrong_is_said_at_its_field(tabs: Tabs) -> None:
    tabs.allow("status of 400")
    at = TaskPage(tabs.open())
    session = at.form.get_by_role("combobox", name="Session")
    session.fill("a/b")
    at.task_box.fill("Say hello")

    at.task_box.press(f"{MODIFIER}+Enter")

    expect(session).to_have_attribute("aria-invalid", "true")
    expect(session).to_have_accessible_description(re.compile("a/b"))
    expect(session).to_be_focused()
    expect(at.task_box).to_have_value("Say hello")


def test_a_call_that_waits_is_approved_with_other_arguments(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())

    task_id = at.submit(WRITES.format("approved.txt"), session="words")
    question = at.questions.get_by_role("article")
    arguments = question.get_by_role("textbox", name="Arguments")
    expect(arguments).to_have_value(re.compile("Hello"))
    arguments.fill(arguments.input_value().replace("Hello", "Goodbye"))
    question.get_by_role("textbox", name="Reason").fill("Be polite.")
    question.get_by_role("button", name="Approve").click()

    at.wait_for_status("completed")
    expect(at.questions).to_be_hidden()
    (resolved,) = [e for e in shown.client.events(task_id) if e["event_type"] == "approval_resolved"]
    assert (resolved["approved"], resolved["reason"]) == (True, "Be polite.")
    assert "Goodbye" in shown.client.answered("Read approved.txt", session_id="words")["result"]["answer"]


def test_a_call_that_is_denied_does_not_run(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())

    task_id = at.submit(WRITES.format("denied.txt"))
    question = at.questions.get_by_role("article")
    question.get_by_role("textbox", name="Reason").fill("Not today.")
    question.get_by_role("button", name="Deny").click()

    at.wait_for_status(re.compile("completed|failed"))
    at.steps.get_by_text("file_write").click()
    expect(at.steps).to_contain_text("Not today.")
    assert [e["approved"] for e in shown.client.events(task_id) if "approved" in e] == [False]


def test_two_tabs_show_one_task_and_what_is_decided_in_the_one_is_seen_in_the_other(
    shown: RestartedServer, tabs: Tabs
) -> None:
    one = TaskPage(tabs.open())
    task_id = one.submit(WRITES.format("tabs.txt"))
    other = TaskPage(tabs.open(f"/#/tasks/{task_id}"))
    for at in (one, other):
        expect(at.questions.get_by_role("article")).to_be_visible()

    other.questions.get_by_role("button", name="Approve").click()

    for at in (one, other):
        at.wait_for_status("completed")
        expect(at.questions).to_be_hidden()
    assert one.events() == other.events() == shown.client.events(task_id)


def test_a_shared_link_opens_the_same_view_and_going_back_works(shown: RestartedServer, tabs: Tabs) -> None:
    first = shown.client.answered("Echo the first", session_id="shared")
    second = shown.client.answered("Echo the second", session_id="shared")
    at = TaskPage(tabs.open(f"/#/tasks/{first['task_id']}"))
    expect(at.heading).to_have_text("Echo the first")

    at.main.get_by_role("link", name="shared").click()
    expect(at.heading).to_contain_text("shared")
    at.main.get_by_role("link", name="Echo the second").click()
    expect(at.heading).to_have_text("Echo the second")
    assert at.task_id() == second["task_id"]
    at.page.go_back()
    at.page.go_back()

    expect(at.heading).to_have_text("Echo the first")
    expect(at.answer).to_contain_text("the first")


def test_where_it_is_narrow_the_list_and_the_task_are_two_views(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open(width=NARROW))
    expect(at.form).to_be_visible()

    at.submit("Echo narrow")
    at.wait_for_status("completed")
    expect(at.form).to_be_hidden()
    at.main.get_by_role("link", name="Tasks").click()

    expect(at.form).to_be_visible()
    at.wait_until_listed("Echo narrow").click()
    expect(at.answer).to_contain_text("narrow")


def test_a_task_that_is_not_there_is_said_not_to_be(tabs: Tabs) -> None:
    tabs.allow("status of 404")

    at = TaskPage(tabs.open("/#/tasks/task-none"))

    expect(at.heading).to_have_text("This task is not there")


def test_sessions_are_listed_and_gone_on_with(shown: RestartedServer, tabs: Tabs) -> None:
    shown.client.answered("Echo one", session_id="talk")
    at = TaskPage(tabs.open())

    at.page.get_by_role("button", name="Sessions").click()
    at.sessions.get_by_role("link", name="talk").click()
    at.main.get_by_role("button", name="New task in this session").click()
    at.submit("Echo two")

    at.wait_for_status("completed")
    assert [task["task"] for task in shown.client.session("talk")["tasks"]] == ["Echo one", "Echo two"]


def test_five_hundred_tasks_are_listed_and_a_new_one_changes_no_row_but_its_own(
    shown: RestartedServer, tabs: Tabs
) -> None:
    for number in range(500):
        shown.client.submit(f"Say {number}", agent_preset="brief", session_id="many")
    at = TaskPage(tabs.open())
    at.page.get_by_label("Session of the tasks").fill("many")
    at.page.get_by_label("Session of the tasks").press("Enter")
    rows = at.tasks.get_by_role("link")
    more = at.page.get_by_role("button", name="Load more")
    for count in range(50, 500, 50):
        expect(rows).to_have_count(count)
        expect(more).to_have_text(f"Load more ({count} of 500)")  # what was asked for is drawn
        more.click()
    expect(rows).to_have_count(500)
    expect(more).to_be_hidden()
    at.page.evaluate("document.querySelectorAll('#tasks li').forEach((row, n) => { row.mark = n })")

    shown.client.submit("Say 500", agent_preset="brief", session_id="many")
    at.look_again()

    at.wait_until_listed("Say 500")
    expect(rows).to_have_count(501)
    marks = at.page.evaluate("[...document.querySelectorAll('#tasks li')].map((row) => row.mark ?? -1)")
    assert marks == [-1, *range(500)]
