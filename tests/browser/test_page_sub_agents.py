"""A sub-agent asks for a person's word: the web page asks where the person is, at the task that it works for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.tabs import Tabs
from tests.browser.task_page import TaskPage
from tests.live.client import Client
from tests.live.model_server import ModelServer, answers, calls, settings_of
from tests.live.process import ServerProcess
from tests.peers.node import MissingPeer, skip_without

SHARE, SUM = "Share this out.", "Add one and one."


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose model has a sub-agent calculate, which waits for a person's word."""
    try:
        model = ModelServer(tmp_path)
    except MissingPeer as missing:
        skip_without(missing)
    with model:
        model.script(
            answers(SHARE, {"content": "It is two."}, when={"hasToolResult": True}),
            answers(SHARE, calls(("delegate", {"task": SUM}))),
            answers(SUM, {"content": "Two."}, when={"hasToolResult": True}),
            answers(SUM, calls(("calculator", {"expression": "1 + 1"}))),
        )
        settings = settings_of(model) | {"TOOLS__APPROVE": "calculator"}
        server = ServerProcess(tmp_path, settings=settings, forked=True)
        try:
            server.wait_until_listening()
            yield server.url
        finally:
            server.kill()


def test_what_a_sub_agent_asks_is_answered_on_the_page_of_its_task(url: str, chromium: Browser) -> None:
    with Client(url) as client, Tabs(chromium, url) as tabs:
        task = client.submit(SHARE, session_id="shared")
        at = TaskPage(tabs.open(f"/#/tasks/{task['task_id']}"))
        session = tabs.open("/#/sessions/shared")
        waits = session.get_by_role("main").get_by_role("link", name="waits for your word")
        expect(waits).to_be_visible()

        at.questions.get_by_role("button", name="Approve").click()
        at.wait_for_status("completed")

        expect(at.answer).to_contain_text("It is two.")
        expect(at.questions).to_be_hidden()
        children = at.main.get_by_role("region", name="Sub-agents").get_by_role("link")
        expect(children).to_have_count(1)
        expect(children).to_contain_text(SUM)
        expect(waits).to_be_hidden()
