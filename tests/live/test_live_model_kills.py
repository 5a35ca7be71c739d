"""A server that is killed while a model speaks, while a tool runs, and while a call waits for a person's word.

One server has all three of these tasks under way, is killed once, and started again on the same data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.live.client import Client, types
from tests.live.model_server import ModelServer, answers, calls, settings_of
from tests.live.process import Json, ServerProcess, until

SPEAKS, RUNS, WAITS = "Speak while you can.", "Run while you can.", "Wait for my word."
ENDLESS = "And so on. " * 200
SLOWLY = {"ttft": 1, "tps": 10}
ONCE = ("task_created", "task_started", "task_resumed", "task_completed")


class Restarted(NamedTuple):
    """A server that was killed and is there again."""

    client: Client
    tasks: Mapping[str, str]
    """The IDs of its tasks by what was asked."""
    ran: Path
    """Has a line for each time that the command ran."""
    before: Mapping[str, list[Json]]
    """The events that each task had told of before the kill."""


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory, model_server: ModelServer) -> Iterator[Restarted]:
    """A server with three tasks that were under way when it was killed."""
    directory = tmp_path_factory.mktemp("killed")
    ran = directory / "ran"
    _script(model_server, ran)
    settings = settings_of(model_server) | {"TOOLS__APPROVE": "file_write", "TOOLS__SANDBOX": "off"}
    server = ServerProcess(directory, settings=settings, forked=True)
    try:
        server.wait_until_listening()
        with Client(server.url) as client:
            tasks = {text: client.submit(text, tool_preset="full")["task_id"] for text in (SPEAKS, RUNS, WAITS)}
            for text, sign in (
                (SPEAKS, "assistant_delta"),
                (RUNS, "tool_call_start"),
                (WAITS, "approval_requested"),
            ):
                _wait_for(client, tasks[text], sign)
            until(lambda: ran.is_file() and ran.read_text(), "the command runs")
            before = {text: client.events(task_id) for text, task_id in tasks.items()}
        server.kill()
        server = ServerProcess(directory, settings=settings, forked=True)
        server.wait_until_listening()
        with Client(server.url) as client:
            yield Restarted(client, tasks, ran, before)
        assert server.stop() == 0
        assert server.troubles() == []
    finally:
        server.kill()


def _script(model_server: ModelServer, ran: Path) -> None:
    again = {"sequenceIndex": 1}
    model_server.script(
        answers(SPEAKS, {"content": ENDLESS}, when={"sequenceIndex": 0}, chunkSize=5, streamingProfile=SLOWLY),
        answers(SPEAKS, {"content": "I could."}, when=again),
        answers(RUNS, {"content": "I did."}, when={"hasToolResult": True}),
        answers(RUNS, calls(("shell", {"command": f"echo once >> '{ran}'; sleep 50"}))),
        answers(WAITS, {"content": "It is there."}, when={"toolResultContains": "kept.txt"}),
        answers(WAITS, calls(("file_write", {"path": "kept.txt", "content": "kept"}))),
    )


def test_a_task_whose_model_spoke_asks_it_again_and_ends(restarted: Restarted, model_server: ModelServer) -> None:
    task, events = _ended(restarted, SPEAKS)

    assert task["result"]["answer"] == "I could."
    assert types(events).count("think_complete") == 1
    assert [call.whole for call in model_server.asked(SPEAKS)] == [False, True]


def test_a_command_that_ran_is_not_run_again_and_the_model_is_told(
    restarted: Restarted, model_server: ModelServer
) -> None:
    task, events = _ended(restarted, RUNS)

    assert task["result"]["answer"] == "I did."
    assert restarted.ran.read_text() == "once\n"
    counts = Counter(types(events))
    assert (counts["tool_call_start"], counts["tool_call_complete"], counts["think_complete"]) == (1, 1, 2)
    _, told = model_server.asked(RUNS)
    assert "interrupted" in told.messages[-1]["content"]


def test_a_call_that_waits_for_a_persons_word_goes_on_waiting_and_is_made_once(
    restarted: Restarted, model_server: ModelServer
) -> None:
    task_id = restarted.tasks[WAITS]
    (requested,) = [event for event in restarted.before[WAITS] if event["event_type"] == "approval_requested"]
    _wait_for(restarted.client, task_id, "task_resumed")

    path = f"/api/tasks/{task_id}/approvals/{requested['call_id']}"
    reply = restarted.client.http.post(path, json={"approved": True})

    task, events = _ended(restarted, WAITS)
    assert reply.status_code == 200, reply.text
    assert task["result"]["answer"] == "It is there."
    names = ("approval_requested", "approval_resolved", "tool_call_start", "tool_call_complete")
    assert [types(events).count(name) for name in names] == [1, 1, 1, 1]
    assert len(model_server.asked(WAITS)) == 2
    assert restarted.client.http.post(path, json={"approved": True}).status_code == 409


def _ended(restarted: Restarted, text: str) -> tuple[Json, list[Json]]:
    """Wait for the end of a task; check that it began and ended once, and that nothing is gone. Return it."""
    task = restarted.client.ended(restarted.tasks[text])
    events = restarted.client.events(task["task_id"])
    assert task["status"] == "completed"
    assert [types(events).count(name) for name in ONCE] == [1, 1, 1, 1]
    assert events[: len(restarted.before[text])] == restarted.before[text]
    return task, events


def _wait_for(client: Client, task_id: str, event_type: str) -> None:
    client.task_when(task_id, lambda _: event_type in types(client.events(task_id)))
