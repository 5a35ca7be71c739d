"""Cancelling a task in every phase of its life."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.live.client import TERMINAL, UNFINISHED, Client, types
from tests.live.process import until

LONG = "Simulate 1 step of 30 s"


def _cancelled(client: Client, task_id: str) -> list[str]:
    """Check that a cancel is answered and recorded, and return the types of the task's events."""
    reply = client.cancel(task_id)

    task = client.task(task_id)
    assert (reply.status_code, reply.json()) == (200, {"task_id": task_id, "status": "cancelled"})
    assert (task["status"], task["termination_reason"], task["result"]) == ("cancelled", "cancelled", None)
    assert task["error"]
    assert task["completed_at"] is not None
    recorded = types(client.events(task_id))
    assert [name for name in recorded if name in TERMINAL] == recorded[-1:] == ["task_cancelled"]
    return recorded


def test_a_task_that_waits_in_line_never_starts(client: Client) -> None:
    ahead = client.submit(LONG)
    waits = client.submit(LONG, session_id=ahead["session_id"])

    recorded = _cancelled(client, waits["task_id"])

    assert recorded == ["task_created", "task_cancelled"]
    assert client.task(waits["task_id"])["started_at"] is None
    assert client.task(ahead["task_id"])["status"] in UNFINISHED
    client.cancel(ahead["task_id"])


def test_a_task_that_was_just_submitted_is_cancelled(client: Client) -> None:
    _cancelled(client, client.submit(LONG)["task_id"])


def test_a_task_between_its_steps_is_cancelled(client: Client) -> None:
    task_id = client.submit("Simulate 1000 steps of 20 ms", max_iterations=1000)["task_id"]
    client.task_when(task_id, lambda task: task["current_iteration"] > 5)

    recorded = _cancelled(client, task_id)

    task = client.task(task_id)
    assert task["total_iterations"] == task["current_iteration"] == recorded.count("iteration_start")
    assert task["total_tokens"] == task["tokens_used"] == 60 * recorded.count("iteration_complete")


def test_a_task_in_the_middle_of_a_step_does_not_finish_it(client: Client) -> None:
    task_id = client.submit("Simulate 2 steps of 30 s")["task_id"]
    client.running(task_id)

    recorded = _cancelled(client, task_id)

    assert recorded == ["task_created", "task_started", "iteration_start", "task_cancelled"]


def test_a_model_call_is_cut_off(client: Client) -> None:
    task_id = client.submit("Count from 1 to 1000")["task_id"]
    client.task_when(task_id, lambda task: task["current_iteration"] > 1)

    recorded = _cancelled(client, task_id)

    assert "task_completed" not in recorded


def test_a_command_and_all_that_it_started_are_gone(client: Client) -> None:
    sleep = f"sleep 300.{os.getpid()}"
    task = client.submit(f"Run {sleep} & {sleep}", tool_preset="full")
    until(lambda: len(_sleeping(sleep)) == 2, "the two processes that the shell started")

    recorded = _cancelled(client, task["task_id"])

    assert recorded[-2:] == ["tool_call_start", "task_cancelled"]
    until(lambda: not _sleeping(sleep), "the command is gone")


@pytest.mark.parametrize(
    ("text", "status"), [("Echo done", "completed"), ("Simulate 1 step of 0 ms then fail", "failed")]
)
def test_a_task_that_has_ended_stays_as_it_is(client: Client, text: str, status: str) -> None:
    task = client.ended(client.submit(text)["task_id"])

    reply = client.cancel(task["task_id"])

    assert reply.status_code == 409
    assert task["task_id"] in reply.json()["detail"]
    assert status in reply.json()["detail"]
    assert client.task(task["task_id"]) == task


def test_a_task_that_was_cancelled_cannot_be_cancelled_again(client: Client) -> None:
    task_id = client.submit(LONG)["task_id"]
    client.cancel(task_id)

    reply = client.cancel(task_id)

    assert reply.status_code == 409
    assert types(client.events(task_id)).count("task_cancelled") == 1


def test_cancels_at_the_same_time_end_a_task_once(client: Client) -> None:
    task_id = client.submit(LONG)["task_id"]
    client.running(task_id)

    with ThreadPoolExecutor(8) as pool:
        replies = [reply.status_code for reply in pool.map(client.cancel, [task_id] * 8)]

    assert set(replies) <= {200, 409}
    assert 200 in replies
    assert [name for name in types(client.events(task_id)) if name in TERMINAL] == ["task_cancelled"]


def test_a_cancel_that_meets_the_end_is_answered_with_what_came_first(client: Client) -> None:
    task_ids = [client.submit("Simulate 3 steps of 1 ms")["task_id"] for _ in range(40)]

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(client.cancel, task_ids))

    for task_id, reply in zip(task_ids, replies, strict=True):
        task = client.ended(task_id)
        assert (reply.status_code, task["status"]) in {(200, "cancelled"), (409, "completed")}
        ends = [name for name in types(client.events(task_id)) if name in TERMINAL]
        assert ends == [f"task_{task['status']}"]


def test_an_unknown_task_cannot_be_cancelled(client: Client) -> None:
    reply = client.cancel("task-of-nobody")

    assert reply.status_code == 404
    assert "task-of-nobody" in reply.json()["detail"]


def test_the_next_in_line_runs_after_a_cancel(client: Client) -> None:
    ahead = client.submit(LONG)
    behind = client.submit("Echo at last", session_id=ahead["session_id"])
    client.running(ahead["task_id"])

    client.cancel(ahead["task_id"])

    assert client.ended(behind["task_id"])["result"]["answer"] == "at last"


def _sleeping(command: str) -> list[int]:
    """Return the processes of a command that is no other process's: in a sandbox they have other numbers."""
    return [one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == command.split()]
