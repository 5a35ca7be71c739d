"""What becomes of a task whose session has others that are unfinished: each strategy alone, and all at once."""

from __future__ import annotations

import itertools

from tests.live.client import Client, types

LONG = "Simulate 1 step of 30 s"
SHORT = "Simulate 2 steps of 20 ms"


def test_enqueued_tasks_run_one_after_the_other_in_the_order_of_their_submits(client: Client) -> None:
    first = client.submit(SHORT)
    others = [client.submit(SHORT, session_id=first["session_id"]) for _ in range(3)]

    ended = [client.ended(task["task_id"]) for task in (first, *others)]

    assert {task["status"] for task in ended} == {"completed"}
    for before, after in itertools.pairwise(ended):
        assert before["completed_at"] <= after["started_at"]


def test_parallel_tasks_run_side_by_side(client: Client) -> None:
    first = client.submit(LONG)

    second = client.submit(SHORT, session_id=first["session_id"], multitask_strategy="parallel")

    assert client.ended(second["task_id"])["status"] == "completed"
    assert client.task(first["task_id"])["status"] == "running"
    client.cancel(first["task_id"])


def test_a_rejected_task_is_not_recorded_and_one_after_the_end_is_taken(client: Client) -> None:
    first = client.submit(LONG)
    reject = {"session_id": first["session_id"], "multitask_strategy": "reject"}

    refused = client.try_submit(SHORT, **reject)
    client.cancel(first["task_id"])
    client.ended(first["task_id"])
    taken = client.submit(SHORT, **reject)

    assert refused.status_code == 409
    assert first["session_id"] in refused.json()["detail"]
    assert client.tasks(session_id=first["session_id"])["total"] == 2
    assert client.ended(taken["task_id"])["status"] == "completed"


def test_an_interrupt_cancels_what_runs_and_what_waits_and_then_runs(client: Client) -> None:
    runs = client.submit(LONG)
    waits = client.submit(LONG, session_id=runs["session_id"])
    client.running(runs["task_id"])

    interrupt = client.submit(SHORT, session_id=runs["session_id"], multitask_strategy="interrupt")

    last = client.ended(interrupt["task_id"])
    assert last["status"] == "completed"
    cancelled = [client.task(task["task_id"]) for task in (runs, waits)]
    assert [task["status"] for task in cancelled] == ["cancelled", "cancelled"]
    assert all(task["completed_at"] <= last["started_at"] for task in cancelled)
    assert types(client.events(waits["task_id"])) == ["task_created", "task_cancelled"]


def test_strategies_mix_in_one_session(client: Client) -> None:
    runs = client.submit(LONG)
    session_id = runs["session_id"]

    waits = client.submit(LONG, session_id=session_id)
    beside = client.submit(LONG, session_id=session_id, multitask_strategy="parallel")
    refused = client.try_submit(SHORT, session_id=session_id, multitask_strategy="reject")
    client.running(beside["task_id"])
    interrupt = client.submit(SHORT, session_id=session_id, multitask_strategy="interrupt")
    after = client.submit(SHORT, session_id=session_id)
    beside_all = client.submit("Echo at once", session_id=session_id, multitask_strategy="parallel")

    assert refused.status_code == 409
    assert client.ended(beside_all["task_id"])["result"]["answer"] == "at once"
    interrupted = [client.ended(task["task_id"]) for task in (runs, waits, beside)]
    assert {task["status"] for task in interrupted} == {"cancelled"}
    first, second = client.ended(interrupt["task_id"]), client.ended(after["task_id"])
    assert first["status"] == second["status"] == "completed"
    assert max(task["completed_at"] for task in interrupted) <= first["started_at"]
    assert first["completed_at"] <= second["started_at"]
    in_order = [task["task_id"] for task in client.session(session_id)["tasks"]]
    submitted = (runs, waits, beside, interrupt, after, beside_all)
    assert in_order == [task["task_id"] for task in submitted]


def test_other_sessions_do_not_wait(client: Client) -> None:
    busy = client.submit(LONG)

    other = client.submit(SHORT)

    assert client.ended(other["task_id"])["status"] == "completed"
    assert client.task(busy["task_id"])["status"] in ("pending", "running")
    client.cancel(busy["task_id"])
