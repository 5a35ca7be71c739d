"""Every kind of task that the offline model understands, from the request to the answer."""

from __future__ import annotations

import pytest

from tests.live.client import Client, types

ALONE = [
    # The task, its answer, the tools that it calls, its iterations.
    ("What is 2 + 2?", "2 + 2 = 4", ["calculator"], 2),
    ("Calculate 3 * (4 + 5)", "3 * (4 + 5) = 27", ["calculator"], 2),
    ("List files in current directory", "The workspace is empty.", ["list_files"], 2),
    ("Echo hello world", "hello world", [], 1),
    ("Say hello", "hello", [], 1),
    ("Count from 1 to 3", "1, 2, 3", ["think", "think"], 3),
    ("Simulate 5 steps of 20 ms", "Simulated 5 steps of 20 ms.", [], 5),
    ("What is 2 + 2? Then echo done", "2 + 2 = 4\ndone", ["calculator"], 2),
    ("Calculate 1 + 1 and then calculate 2 * 3", "1 + 1 = 2\n2 * 3 = 6", ["calculator", "calculator"], 3),
]


@pytest.mark.parametrize(("text", "answer", "tools", "iterations"), ALONE, ids=[row[0] for row in ALONE])
def test_a_task_is_completed_with_its_answer(
    client: Client, text: str, answer: str, tools: list[str], iterations: int
) -> None:
    submitted = client.submit(text)

    task = client.ended(submitted["task_id"])
    events = client.events(task["task_id"])

    assert task["status"] == task["termination_reason"] == "completed"
    assert task["error"] is None
    assert task["result"] == {
        "answer": answer,
        "iterations": iterations,
        "tokens_used": task["total_tokens"],
        "stop_reason": "final_answer",
        "session_id": submitted["session_id"],
    }
    assert task["current_iteration"] == task["total_iterations"] == iterations
    assert [event["tool_name"] for event in events if event["event_type"] == "tool_call_start"] == tools
    assert types(events)[:2] == ["task_created", "task_started"]
    assert types(events)[-1] == "task_completed"
    assert events[-1]["final_answer"] == answer


def test_files_stay_in_their_session(client: Client) -> None:
    first = client.ended(client.submit("Create a file called a.txt with content: Hello TODO")["task_id"])
    session_id = first["session_id"]

    def answer(text: str, session: str | None) -> str:
        task = client.ended(client.submit(text, session_id=session)["task_id"])
        result: str = task["result"]["answer"]
        return result

    assert answer("Read a.txt", session_id) == "Hello TODO"
    assert answer("Read the content of a.txt", session_id) == "Hello TODO"
    assert "a.txt" in answer("List files in current directory", session_id)
    assert "a.txt" in answer("Search for TODO", session_id)
    made_and_listed = answer("Create src/b.py containing print(1). Then list files in src", session_id)
    assert made_and_listed.endswith("b.py (8 bytes)")
    assert "a.txt" not in answer("List files", None)
    assert answer("Read a.txt", None).startswith("I could not read a.txt")


def test_a_command_runs_only_if_the_preset_allows_it(client: Client) -> None:
    allowed = client.submit("Run echo $((6 * 7))", tool_preset="full")
    refused = client.submit("Execute command ls")

    assert client.ended(allowed["task_id"])["result"]["answer"] == "42"
    assert "'full'" in client.ended(refused["task_id"])["result"]["answer"]


def test_a_text_that_no_rule_covers_is_answered_with_what_is_understood(client: Client) -> None:
    task = client.ended(client.submit("Write me a sonnet about the sea")["task_id"])

    assert task["status"] == "completed"
    assert "offline model" in task["result"]["answer"]
    assert "What is 2 + 2?" in task["result"]["answer"]


def test_a_simulation_has_no_events_but_its_steps(client: Client) -> None:
    task = client.ended(client.submit("Simulate 3 steps of 5 ms")["task_id"])

    events = client.events(task["task_id"])

    steps = ["iteration_start", "iteration_complete"] * 3
    assert types(events) == ["task_created", "task_started", *steps, "task_completed"]
    assert task["total_tokens"] == 180


def test_a_task_that_fails_says_why_and_keeps_its_counters(client: Client) -> None:
    task = client.ended(client.submit("Simulate 2 steps of 5 ms then fail")["task_id"])

    events = client.events(task["task_id"])

    assert (task["status"], task["termination_reason"], task["result"]) == ("failed", "error", None)
    assert "asked to fail" in task["error"]
    assert (task["total_iterations"], task["total_tokens"]) == (2, 120)
    assert types(events).count("iteration_start") == 2
    assert (events[-1]["event_type"], events[-1]["error"]) == ("task_failed", task["error"])


def test_a_task_that_takes_longer_than_its_timeout_fails(client: Client) -> None:
    task = client.ended(client.submit("Simulate 2 steps of 20 s", timeout_seconds=1.5)["task_id"])

    events = client.events(task["task_id"])

    assert (task["status"], task["termination_reason"]) == ("failed", "timeout")
    assert "1.5 seconds" in task["error"]
    assert (task["total_iterations"], task["total_tokens"]) == (1, 0)
    assert types(events) == ["task_created", "task_started", "iteration_start", "task_failed"]
    assert 1_500 <= events[-1]["duration"] < 20_000


def test_waiting_in_line_is_no_part_of_the_timeout(client: Client) -> None:
    ahead = client.submit("Simulate 1 step of 2 s")
    behind = client.submit("Simulate 2 steps of 5 ms", session_id=ahead["session_id"], timeout_seconds=1.5)

    task = client.ended(behind["task_id"])

    assert task["status"] == "completed"
    assert task["started_at"] >= client.ended(ahead["task_id"])["completed_at"]


def test_a_task_ends_at_its_limit_of_iterations(client: Client) -> None:
    task = client.ended(client.submit("Simulate 10 steps of 1 ms", max_iterations=4)["task_id"])

    assert (task["status"], task["total_iterations"], task["max_iterations"]) == ("completed", 4, 4)
    assert task["result"]["stop_reason"] == "max_iterations"
