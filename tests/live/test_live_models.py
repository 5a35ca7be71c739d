"""Tasks with a model on a server that somebody else wrote: what it says, what it calls, and how it is cut off."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from tests.live.client import Client, types
from tests.live.model_server import ModelServer, answers, calls
from tests.live.process import Json

SLOW = {"ttft": 60_000}
"""A model whose first word takes a minute."""
AT_ONCE = 4.0
"""Seconds: less than the five after which an agent that does not stop is given up. bench.models says what it takes
where nothing else runs."""
LINES = "One for the money, two for the show, three to get ready, and four to go. "


def of_type(events: list[Json], *names: str) -> list[Json]:
    return [event for event in events if event["event_type"] in names]


def test_what_a_model_says_is_streamed_as_it_comes(model_client: Client, model_server: ModelServer) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 234}
    reply = {"content": LINES, "usage": usage}
    model_server.script(answers("Sing", reply, chunkSize=3, streamingProfile={"ttft": 100, "tps": 50}))

    task = model_client.answered("Sing it.")

    events = model_client.events(task["task_id"])
    thought, *more = of_type(events, "think_complete")
    deltas = of_type(events, "assistant_delta")
    assert (task["result"]["answer"], more) == (LINES, [])
    assert "".join(delta["delta"] for delta in deltas) == thought["content"] == LINES
    at = [datetime.fromisoformat(event["timestamp"]) for event in (*deltas, thought)]
    assert 2 <= len(deltas) <= 2 + 20 * (at[-1] - at[0]).total_seconds()
    assert thought["usage"] == {"input_tokens": 1000, "output_tokens": 234, "estimated": False} | {
        key: value for key, value in thought["usage"].items() if key == "cost_usd"
    }
    assert task["tokens_used"] == task["total_tokens"] == 1234


def test_a_tool_is_called_and_the_model_told_what_came_of_it(
    model_client: Client, model_server: ModelServer
) -> None:
    model_server.script(
        answers("How much is it", {"content": "It is 42."}, when={"toolResultContains": "42"}),
        answers("How much is it", calls(("calculator", {"expression": "6 * 7"}), content="Let me see.")),
    )

    task = model_client.answered("How much is it?")

    assert task["result"]["answer"] == "It is 42."
    asked, told = model_server.asked("How much is it?")
    names = {tool["function"]["name"] for tool in asked.body["tools"]}
    assert {"calculator", "file_write"} <= names
    assert "shell" not in names
    assert [message["role"] for message in told.messages] == ["system", "user", "assistant", "tool"]
    said, result = told.messages[-2:]
    assert said["content"] == "Let me see."
    assert said["tool_calls"][0]["id"] == result["tool_call_id"]


def test_calls_of_one_turn_run_in_parallel_and_are_told_in_order(
    model_client: Client, model_server: ModelServer
) -> None:
    sums = [("calculator", {"expression": f"{number} * 100"}) for number in (3, 2, 1)]
    model_server.script(
        answers("Three sums", {"content": "Done."}, when={"hasToolResult": True}),
        answers("Three sums", calls(*sums)),
    )

    task = model_client.answered("Three sums, please.")

    events = model_client.events(task["task_id"])
    assert task["result"]["answer"] == "Done."
    assert types(of_type(events, "tool_call_start", "tool_call_complete"))[:3] == ["tool_call_start"] * 3
    _, told = model_server.asked("Three sums")
    assert [message["content"] for message in told.messages[-3:]] == ["300", "200", "100"]


def test_a_file_is_written_and_read_in_the_next_turn(model_client: Client, model_server: ModelServer) -> None:
    model_server.script(
        answers("Keep a poem", {"content": "Kept."}, when={"toolResultContains": "roses"}),
        answers("Keep a poem", calls(("file_read", {"path": "poem.txt"})), when={"hasToolResult": True}),
        answers("Keep a poem", calls(("file_write", {"path": "poem.txt", "content": "roses are red"}))),
    )

    task = model_client.answered("Keep a poem.")

    assert task["result"]["answer"] == "Kept."
    assert task["total_iterations"] == 3


def test_a_task_sees_what_was_said_in_its_session(model_client: Client, model_server: ModelServer) -> None:
    model_server.script(
        answers("My name is Ada", {"content": "Hello Ada."}), answers("Who am I", {"content": "You are Ada."})
    )
    first = model_client.answered("My name is Ada.")

    model_client.answered("Who am I?", session_id=first["session_id"])

    (asked,) = model_server.asked("Who am I?")
    assert [(message["role"], message["content"]) for message in asked.messages[1:]] == [
        ("user", "My name is Ada."),
        ("assistant", "Hello Ada."),
        ("user", "Who am I?"),
    ]


@pytest.mark.parametrize("protocol", ["claude", "gemini"])
def test_the_same_agent_speaks_other_protocols(
    model_client: Client, model_server: ModelServer, protocol: str
) -> None:
    said = f"Ask {protocol}"
    model_server.script(
        answers(said, {"content": "It is 42."}, when={"hasToolResult": True}, chunkSize=2),
        answers(said, calls(("calculator", {"expression": "6 * 7"}), content="Let me see.")),
    )

    task = model_client.answered(f"{said}.", model=protocol)

    events = model_client.events(task["task_id"])
    assert task["result"]["answer"] == "It is 42."
    assert [event["result"] for event in of_type(events, "tool_call_complete")] == ["42"]
    assert [event["content"] for event in of_type(events, "think_complete")] == ["Let me see.", "It is 42."]
    paths = {call.path.partition("?")[0] for call in model_server.asked(said)}
    assert paths <= {"/v1/messages", "/v1beta/models/gemini:streamGenerateContent"}
    assert task["tokens_used"] > 0


def test_a_cancel_before_the_first_word_closes_the_connection_to_the_model(
    model_client: Client, model_server: ModelServer
) -> None:
    model_server.script(answers("Take your time", {"content": "Well."}, streamingProfile=SLOW))
    task = model_client.submit("Take your time.")
    model_server.asked_at_least(1, "Take your time.")

    cancelled = time.time()
    reply = model_client.cancel(task["task_id"])

    call = model_server.closed("Take your time.")
    assert reply.status_code == 200
    assert not call.whole
    assert call.closed is not None
    assert 0 < call.closed - cancelled < AT_ONCE
    assert model_client.task(task["task_id"])["status"] == "cancelled"


def test_a_cancel_in_the_middle_of_a_reply_closes_the_connection_to_the_model(
    model_client: Client, model_server: ModelServer
) -> None:
    slowly = {"ttft": 1, "tps": 5}
    model_server.script(answers("Tell it all", {"content": LINES * 20}, chunkSize=4, streamingProfile=slowly))
    task_id = model_client.submit("Tell it all.")["task_id"]
    _wait_for(model_client, task_id, "assistant_delta")

    cancelled = time.time()
    model_client.cancel(task_id)

    call = model_server.closed("Tell it all.")
    assert not call.whole
    assert call.closed is not None
    assert 0 < call.closed - cancelled < AT_ONCE


def test_sub_agents_of_one_turn_ask_side_by_side_and_are_cut_off_with_their_parent(
    model_client: Client, model_server: ModelServer
) -> None:
    hands = ("Be the left hand.", "Be the right hand.")
    model_server.script(
        answers("Ask both", calls(*(("delegate", {"task": hand}) for hand in hands))),
        *(answers(hand, {"content": "Well."}, streamingProfile=SLOW) for hand in hands),
    )
    task = model_client.submit("Ask both.")
    both = [model_server.asked_at_least(1, hand)[-1] for hand in hands]

    model_client.cancel(task["task_id"])

    assert [call.messages[-1]["content"] for call in both] == list(hands)
    assert [call.closed for call in both] == [None, None]
    assert [model_server.closed(hand).whole for hand in hands] == [False, False]
    tasks = model_client.tasks(session_id=task["session_id"])["tasks"]
    assert [model_client.ended(one["task_id"])["status"] for one in tasks] == ["cancelled"] * 3
    assert sorted(one["parent_task_id"] or "" for one in tasks) == ["", task["task_id"], task["task_id"]]


def _wait_for(client: Client, task_id: str, event_type: str) -> None:
    client.task_when(task_id, lambda _: event_type in types(client.events(task_id)))
