"""Sub-agents in a real server, with a model: their answers, a cancel, and a kill in the middle of their work."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.client import Client, types
from tests.live.conftest import Start
from tests.live.model_server import ModelServer, answers, calls, settings_of
from tests.live.process import Json, until

SHARE, SEA, SKY = "Share this out.", "Tell me of the sea.", "Tell me of the sky."
SLOWLY = {"ttft": 1, "tps": 10}
ONE_SESSION = {"session_id": "shared"}


@pytest.fixture(autouse=True)
def _script(model_server: ModelServer) -> None:
    first, again = {"sequenceIndex": 0}, {"sequenceIndex": 1}
    model_server.script(
        answers(SHARE, {"content": "Wet below, blue above."}, when={"hasToolResult": True}),
        answers(SHARE, calls(("delegate", {"task": SEA}), ("delegate", {"task": SKY}))),
        answers(SKY, {"content": "It is blue."}),
        answers(SEA, {"content": "It is wet. " * 200}, when=first, chunkSize=5, streamingProfile=SLOWLY),
        answers(SEA, {"content": "It is wet."}, when=again),
    )


def children_of(client: Client, task_id: str) -> dict[str, Json]:
    """Return a task's sub-agents' tasks by their texts."""
    tasks = client.http.get("/api/tasks", params={"limit": 100}).json()["tasks"]
    return {task["task"]: task for task in tasks if task["parent_task_id"] == task_id}


def shared_out(client: Client) -> tuple[str, dict[str, Json]]:
    """Submit a task, and wait until one of its two sub-agents has ended while the other one is told its answer."""
    task_id = client.submit(SHARE, **ONE_SESSION)["task_id"]

    def under_way() -> dict[str, Json] | None:
        children = children_of(client, task_id)
        if set(children) != {SEA, SKY} or children[SKY]["status"] != "completed":
            return None
        return children if "assistant_delta" in types(client.events(children[SEA]["task_id"])) else None

    return task_id, until(under_way, "one sub-agent has ended, and one is at work")


def test_a_cancel_ends_the_sub_agents_and_then_the_next_task_begins(
    start: Start, model_server: ModelServer
) -> None:
    server = start(settings=settings_of(model_server))
    with Client(server.url) as client:
        task_id, children = shared_out(client)
        behind = client.submit(SKY, **ONE_SESSION)["task_id"]
        waiting = client.task(behind)["status"]

        client.cancel(task_id)
        child, after = client.ended(children[SEA]["task_id"]), client.ended(behind)
        events = client.events(children[SKY]["task_id"])

    assert waiting == "pending"
    assert (child["status"], child["session_id"], child["model"]) == ("cancelled", "shared", "mocked")
    assert after["status"] == "completed"
    assert after["started_at"] >= child["completed_at"]
    assert {(one["parent_task_id"], one["agent_level"]) for one in events} == {(task_id, "subagent")}
    assert server.troubles() == []


def test_after_a_kill_a_task_goes_on_with_the_sub_agents_that_it_had(
    start: Start, model_server: ModelServer
) -> None:
    settings = settings_of(model_server)
    first = start(settings=settings)
    with Client(first.url) as client:
        task_id, before = shared_out(client)
    first.kill()

    second = start(settings=settings)
    with Client(second.url) as client:
        ended = client.ended(task_id)
        after = children_of(client, task_id)
        events = client.events(task_id)
        of_sky = types(client.events(after[SKY]["task_id"]))
        messages = client.http.get("/api/sessions/shared").json()["messages"]

    assert ended["result"]["answer"] == "Wet below, blue above."
    assert {text: task["task_id"] for text, task in after.items()} == {
        text: task["task_id"] for text, task in before.items()
    }
    results = [event["result"] for event in events if event["event_type"] == "tool_call_complete"]
    assert sorted(results) == ["It is blue.", "It is wet."]
    assert Counter(types(events))["tool_call_start"] == 2
    assert [one["content"] for one in messages] == [SHARE, "Wet below, blue above."]
    assert of_sky.count("thinking") == 1  # who had ended has not worked again
    assert "task_resumed" not in of_sky
    assert second.troubles() == []
