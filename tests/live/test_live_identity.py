"""A task has one session, and the same everywhere: in replies, lists, events and the log."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.live.client import Client
from tests.live.process import Json, ServerProcess

TASKS = 300
THREADS = 16


def test_300_tasks_of_16_threads_have_one_session_id_each_everywhere(
    server: ServerProcess, client: Client
) -> None:
    chosen = [f"chosen-{number}" for number in range(20)]
    asked = [chosen[number // 5 % 20] if number % 5 == 0 else None for number in range(TASKS)]

    def submit(session_id: str | None) -> Json:
        return client.submit("Simulate 2 steps of 1 ms", session_id=session_id)

    with ThreadPoolExecutor(THREADS) as pool:
        submitted = list(pool.map(submit, asked))
        task_ids = [task["task_id"] for task in submitted]
        ended = dict(zip(task_ids, pool.map(client.ended, task_ids), strict=True))
        events = dict(zip(task_ids, pool.map(client.events, task_ids), strict=True))

    session_of = {task["task_id"]: task["session_id"] for task in submitted}
    assert len(session_of) == TASKS
    assert all(session_of.values())
    for wish, task in zip(asked, submitted, strict=True):
        assert task["session_id"] == wish or wish is None
    assert len(set(session_of.values())) == asked.count(None) + len(chosen)
    pages = range(0, client.tasks(limit=1)["total"], 1000)
    listed = [task for offset in pages for task in client.tasks(limit=1000, offset=offset)["tasks"]]
    in_list = {task["task_id"]: task["session_id"] for task in listed}
    for task_id, session_id in session_of.items():
        assert ended[task_id]["session_id"] == session_id
        assert ended[task_id]["result"]["session_id"] == session_id
        assert in_list[task_id] == session_id
        assert {event["session_id"] for event in events[task_id]} == {session_id}
        assert {event["task_id"] for event in events[task_id]} == {task_id}
    logged = Counter(
        (line["task_id"], line["session_id"])
        for line in server.log()
        if line.get("task_id") in session_of and "session_id" in line
    )
    assert set(logged) == set(session_of.items())


def test_two_parallel_tasks_of_a_session_count_for_themselves(client: Client) -> None:
    five = client.submit("Simulate 5 steps of 200 ms", session_id="two-at-once", multitask_strategy="parallel")
    two = client.submit("Simulate 2 steps of 60 ms", session_id="two-at-once", multitask_strategy="parallel")

    five, two = client.ended(five["task_id"]), client.ended(two["task_id"])

    assert (five["total_iterations"], five["total_tokens"]) == (5, 300)
    assert (two["total_iterations"], two["total_tokens"]) == (2, 120)
    assert five["session_id"] == two["session_id"] == "two-at-once"
    assert two["started_at"] < five["completed_at"]
    for task, steps in ((five, 5), (two, 2)):
        events = client.events(task["task_id"])
        assert [e["iteration"] for e in events if e["event_type"] == "iteration_start"] == [*range(1, steps + 1)]
        used = [e["tokens_used"] for e in events if e["event_type"] == "iteration_complete"]
        assert used == [60 * step for step in range(1, steps + 1)]


def test_what_is_read_of_a_running_task_only_grows(client: Client) -> None:
    task_id = client.submit("Simulate 20 steps of 5 ms")["task_id"]

    seen: list[Json] = []
    client.task_when(task_id, lambda task: _keep(task, seen)["status"] == "completed")

    ranks = [("pending", "running", "completed").index(task["status"]) for task in seen]
    assert ranks == sorted(ranks)
    for counter in ("current_iteration", "tokens_used", "total_iterations", "total_tokens"):
        counts = [task[counter] for task in seen]
        assert counts == sorted(counts)
    assert {task["total_tokens"] for task in seen[:-1]} == {0}
    assert (seen[-1]["total_iterations"], seen[-1]["total_tokens"]) == (20, 1200)


def _keep(task: Json, seen: list[Json]) -> Json:
    seen.append(task)
    return task
