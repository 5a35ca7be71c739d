"""A server that is killed under load, ten times: a hundred are ``python -m bench.crash``."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from bench.crash import Crashes, report
from bench.crash_checks import Told, faults_of

KILLS = 10
TASK = "task-1"


@pytest.mark.long
@pytest.mark.timeout(300)  # a start takes a second of CPU, and there may be little of it
def test_what_a_killed_server_had_acknowledged_is_there_and_goes_on(tmp_path: Path) -> None:
    seed = secrets.randbelow(1_000_000)
    crashes = Crashes(tmp_path, kills=KILLS, seed=seed)

    asyncio.run(crashes.run())

    assert crashes.told.wrong == [], report(crashes, kills=KILLS, seed=seed)
    assert min(crashes.told.counts[name] for name in ("tasks", "tasks compared", "events followed")) > 0


# The comparison finds what it is there for.


def _task(**fields: object) -> dict[str, object]:
    task: dict[str, object] = dict.fromkeys(("created_at", "task", "multitask_strategy", "error"), "")
    task |= dict.fromkeys(("current_iteration", "tokens_used", "total_iterations", "total_tokens", "cost_usd"), 0)
    return task | {"task_id": TASK, "session_id": "session", "status": "running", **fields}


def _told(*types: str) -> Told:
    """Return what was told of a task with these events."""
    told = Told()
    told.submitted[TASK], told.sessions[TASK], told.ids_before[TASK] = {"task": "x"}, "session", 0
    for event_id, name in enumerate(types, 1):
        told.event({"event_id": event_id, "event_type": name, "task_id": TASK, "session_id": "session"})
    told.task(_task(status="completed"))
    return told


def test_a_task_that_ended_once_is_as_it_should_be() -> None:
    told = _told("task_created", "task_started", "task_completed")

    assert faults_of(told) == []


@pytest.mark.parametrize(
    "types",
    [
        ("task_started", "task_completed"),
        ("task_created", "task_started"),
        ("task_created", "task_completed", "task_failed"),
        ("task_created", "task_completed", "task_resumed"),
    ],
)
def test_a_task_without_one_beginning_and_one_end_is_found(types: tuple[str, ...]) -> None:
    assert "has not one beginning and one end" in faults_of(_told(*types))[0]


def test_a_cancel_that_was_lost_is_found() -> None:
    told = _told("task_created", "task_completed")
    told.cancelled.add(TASK)

    assert "it is completed () and not cancelled" in faults_of(told)[0].replace(",", "")


def test_an_event_that_is_another_one_now_is_found() -> None:
    told = _told("task_created")

    told.event({"event_id": 1, "event_type": "task_failed", "task_id": TASK, "session_id": "session"})

    assert "event 1 was" in told.wrong[0]


@pytest.mark.parametrize(
    "after",
    [_task(status="pending"), _task(tokens_used=59), _task(session_id="another"), _task(created_at="later")],
    ids=["status", "counter", "session", "beginning"],
)
def test_a_task_that_went_back_is_found(after: dict[str, object]) -> None:
    told = Told()
    told.task(_task(tokens_used=60))

    told.task(_task(tokens_used=60) | after)

    assert len(told.wrong) >= 1


def test_a_task_that_began_before_one_ahead_of_it_had_ended_is_found() -> None:
    told = _told("task_created", "task_started")
    told.submitted["task-2"], told.sessions["task-2"], told.ids_before["task-2"] = {"task": "y"}, "session", 0
    told.task(_task(status="completed", task_id="task-2"))
    told.lines["session"] = [TASK, "task-2"]
    order = [("task-2", "task_created"), ("task-2", "task_started"), ("task-2", "task_completed")]
    for event_id, (task_id, name) in enumerate([*order, (TASK, "task_completed")], 3):
        told.event({"event_id": event_id, "event_type": name, "task_id": task_id, "session_id": "session"})

    assert "task-2 (enqueue) began at 4, and one before it ended at 6" in faults_of(told)
