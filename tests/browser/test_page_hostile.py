"""What strangers write is text on the web page: no markup, no script, no request, and it stays in its place."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import RestartedServer
from tests.browser.page_agents import BACKWARDS, HUGE_WORD, NASTY, NOVEL
from tests.browser.tabs import NARROW, WIDE, Tabs
from tests.browser.task_page import TaskPage

LONGEST_PAUSE = 1000
"""Milliseconds for which the page may do nothing else, on a machine that does other things as well."""

TASK = f"{NASTY} {BACKWARDS} {HUGE_WORD}"
PAUSES = """() => new Promise((done) => {
    const pauses = [0];
    new PerformanceObserver((list) => pauses.push(...list.getEntries().map((one) => one.duration)))
        .observe({ type: "longtask", buffered: true });
    setTimeout(() => done(Math.max(...pauses)), 100);
})"""


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_markup_and_scripts_are_shown_as_the_text_that_they_are(
    shown: RestartedServer, tabs: Tabs, width: int
) -> None:
    task = shown.client.answered(TASK, agent_preset="hostile", metadata={"k": NASTY}, session_id="hostile")

    at = TaskPage(tabs.open(f"/#/tasks/{task['task_id']}", width=width))
    at.wait_for_status("completed")
    at.steps.locator("details.call summary").click()
    at.sequence.get_by_text("As a list").click()
    at.main.locator("details.raw summary").click()

    expect(at.answer).to_contain_text("<script>document.title = 'owned'</script>")
    expect(at.heading).to_contain_text("<script>")
    expect(at.page).not_to_have_title("owned")
    assert at.main.locator("script, img, iframe, object, embed, svg image, [onerror], [onload]").count() == 0
    assert at.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shared = TaskPage(tabs.open("/#/sessions/hostile", width=width))
    expect(shared.main).to_contain_text("<script>document.title = 'owned'</script>")
    assert shared.main.locator("script, img").count() == 0
    assert shared.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_links_lead_only_to_the_web_and_tell_nobody_where_they_were(shown: RestartedServer, tabs: Tabs) -> None:
    task = shown.client.answered(TASK, agent_preset="hostile")

    at = TaskPage(tabs.open(f"/#/tasks/{task['task_id']}"))
    expect(at.answer.get_by_role("link", name="five").first).to_have_attribute("href", "https://evil.example/a")

    links = at.answer.locator("a").all()
    assert all(str(link.get_attribute("href")).startswith("https://") for link in links)
    assert all("noopener" in str(link.get_attribute("rel")) for link in links)


def test_reversed_text_turns_nothing_around_that_stands_beside_it(shown: RestartedServer, tabs: Tabs) -> None:
    task = shown.client.answered(TASK, agent_preset="hostile", session_id="reversed")

    at = TaskPage(tabs.open(f"/#/tasks/{task['task_id']}"))
    at.wait_for_status("completed")

    row = at.tasks.get_by_role("link", name="invoice").first
    for text in (at.heading, row.locator("bdi").first):
        assert text.evaluate("(one) => getComputedStyle(one).unicodeBidi") in ("isolate", "plaintext")


def test_who_decides_sees_what_would_be_invisible_and_numbers_as_they_are(
    shown: RestartedServer, tabs: Tabs
) -> None:
    at = TaskPage(tabs.open())

    task_id = at.submit("Create a file called a\u202egpj.exe with content: \u200bHello", session="unseen")
    arguments = at.questions.get_by_role("textbox", name="Arguments")
    expect(arguments).to_have_value(re.compile(r"a\\u202egpj\.exe(.|\n)*\\u200bHello"))
    at.questions.get_by_role("button", name="Approve").click()
    at.wait_for_status("completed")
    kept = at.page.evaluate(
        "import('/page/api.js').then(({ parsed }) => JSON.stringify(parsed('[9007199254740993]')))"
    )

    (resolved,) = [e for e in shown.client.events(task_id) if e["event_type"] == "approval_resolved"]
    assert resolved.get("arguments") is None
    assert kept == "[9007199254740993]"


def test_a_question_is_text_and_stays_in_its_place_whatever_its_call_is_named(
    shown: RestartedServer, tabs: Tabs
) -> None:
    task_id = shown.client.submit("Ask", agent_preset="asking")["task_id"]

    at = TaskPage(tabs.open("/#/approvals", width=NARROW))
    questions = at.questions.get_by_role("article").filter(has=at.page.get_by_role("link", name=task_id))
    expect(questions).to_have_count(3)
    fits = at.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    markup = at.main.locator("script, img, svg image, [onerror], [onload]").count()
    shown.client.cancel(task_id)

    assert fits
    assert markup == 0
    expect(at.page).not_to_have_title("owned")


def test_a_megabyte_of_answer_is_shown_without_a_pause(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())

    at.submit("Write", agent="novel")
    at.wait_for_status("completed")
    expect(at.answer).to_contain_text("It was the best of <b>times</b>")
    short = len(at.answer.inner_text())
    pause = at.page.evaluate(PAUSES)
    at.answer.get_by_role("button", name="Show all").click()

    assert short < 100_000
    assert pause < LONGEST_PAUSE
    shown_text = at.answer.evaluate(
        "(one) => [...one.querySelectorAll('pre')].map((pre) => pre.textContent).join('')"
    )
    assert shown_text == NOVEL
