"""The web page when it is reloaded, and when its server ends and is started again: nothing on screen is lost."""

from __future__ import annotations

import re
import signal

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import RestartedServer
from tests.browser.tabs import Tabs
from tests.browser.task_page import TaskPage

LONG = "Simulate 1000 steps of 50 ms"
WHILE_IT_IS_AWAY = "net::ERR_|status of 503"


def test_a_reload_in_the_middle_loses_nothing(shown: RestartedServer, tabs: Tabs) -> None:
    at = TaskPage(tabs.open())
    task_id = at.submit(LONG, most_turns=1000)
    at.wait_for_turn(10)

    at.page.reload()
    at.wait_for_turn(20)
    shown.client.cancel(task_id)

    at.wait_for_status("cancelled")
    assert at.events() == shown.client.events(task_id)
    assert at.task_id() == task_id


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_is_started_again_goes_on_where_the_page_is(
    shown: RestartedServer, tabs: Tabs, number: signal.Signals
) -> None:
    tabs.allow(WHILE_IT_IS_AWAY)
    at = TaskPage(tabs.open())
    task_id = at.submit(LONG, most_turns=1000, session=f"restarted-{number}")
    at.wait_for_turn(10)
    at.task_box.fill("What I am about to submit")

    shown.stop(number)
    expect(at.banner).to_contain_text(re.compile("Reconnecting|does not answer"))
    expect(at.health).to_have_text("no answer")
    seen = at.turns()
    shown.start()
    at.wait_for_turn(seen + 1)
    expect(at.banner).to_be_empty()
    at.wait_for_turn(seen + 5)
    expect(at.health).to_have_text("healthy")
    shown.client.cancel(task_id)

    at.wait_for_status("cancelled")
    expect(at.banner).to_be_empty()
    expect(at.task_box).to_have_value("What I am about to submit")
    events = at.events()
    assert events == shown.client.events(task_id)
    assert [event["event_type"] for event in events].count("task_resumed") == 1
    numbers = at.turn_numbers()
    assert numbers == sorted(set(numbers)) != []
    expect(at.tasks.get_by_role("link", name=LONG).first).to_have_accessible_name(re.compile("cancelled"))


def test_a_submit_whose_reply_is_lost_is_sent_again_as_the_same_task(shown: RestartedServer, tabs: Tabs) -> None:
    tabs.allow("net::ERR_FAILED")
    at = TaskPage(tabs.open())

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    at.page.route("**/api/tasks", lose, times=1)
    at.task_box.fill("Echo lost")
    at.form.get_by_role("button", name="Submit").click()
    expect(at.form.get_by_role("alert")).to_contain_text("Submit again")

    at.form.get_by_role("button", name="Submit").click()

    at.wait_for_status("completed")
    assert [task["task"] for task in shown.client.tasks(limit=1000)["tasks"]].count("Echo lost") == 1


def test_a_session_that_is_deleted_is_said_to_be_gone_and_so_are_its_tasks(
    shown: RestartedServer, tabs: Tabs
) -> None:
    tabs.allow("status of 404")
    task = shown.client.answered("Echo this", session_id="gone")
    at = TaskPage(tabs.open("/#/sessions/gone"))
    expect(at.main).to_contain_text("Echo this")

    shown.client.http.delete("/api/sessions/gone").raise_for_status()

    expect(at.heading).to_have_text("This session is not there")
    at.page.goto(f"{shown.url}/#/tasks/{task['task_id']}")
    expect(at.heading).to_have_text("This task is not there")
    expect(at.banner).to_be_empty()
