"""The document of a session that says of its tasks what no server would have recorded, and what one would have."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from alex_actors.events import TaskCancelled, TaskFailed, TerminalEvent
from alex_actors.store.replaying import PRESET_PATTERN
from alex_config.definitions import PRESET_NAME
from tests.unit.exported_documents import Json, changed, document, event, faults, read


def ended(end: TerminalEvent) -> Json:
    """Return a document whose first task has ended so, and says the same of itself."""
    made = document()
    made["events"][4] = event(14, "task-a", 4, end)
    said = {name: made["events"][4][name] for name in ("status", "error", "termination_reason")}
    made["tasks"][0] |= said | {"result": None}
    return made


CANCELLED = TaskCancelled(error="Enough.", total_iterations=1, total_tokens=7, duration=3.0)
FAILED = TaskFailed(
    error="No.",
    termination_reason="timeout",
    stop_reason="timeout",
    total_iterations=1,
    total_tokens=7,
    duration=0.0,
)


@pytest.mark.parametrize("end", [CANCELLED, FAILED])
def test_each_way_to_end_is_taken_as_it_was(end: TaskCancelled | TaskFailed) -> None:
    brought = read(ended(end))

    assert (brought.tasks[0].progress.status, brought.tasks[0].progress.error) == (end.status, end.error)


@pytest.mark.parametrize(
    ("end", "field"),
    [
        (replace(FAILED, termination_reason="completed"), "termination_reason"),
        (replace(FAILED, termination_reason="cancelled", stop_reason="cancelled"), "termination_reason"),
        (replace(FAILED, stop_reason="max_iterations"), "stop_reason"),
        (replace(FAILED, stop_reason="error"), "stop_reason"),
        (replace(CANCELLED, termination_reason="error", stop_reason="error"), "termination_reason"),
        (replace(CANCELLED, stop_reason="final_answer"), "stop_reason"),
    ],
)
def test_an_end_for_another_reason_than_there_can_be_is_refused(end: TerminalEvent, field: str) -> None:
    assert set(faults(ended(end))) == {f"events[4].{field}"}


def test_what_never_started_took_no_time() -> None:
    made = ended(replace(CANCELLED, total_iterations=0, total_tokens=0))
    del made["events"][1:4]
    made["tasks"][0] |= {"started_at": None}
    made["tasks"][0] |= dict.fromkeys(("current_iteration", "total_iterations", "tokens_used", "total_tokens"), 0)

    assert set(faults(made)) == {"events[1].duration"}

    made["events"][1]["duration"] = 0.0
    assert read(made).tasks[0].progress.status == "cancelled"


def test_two_tasks_are_not_each_a_part_of_the_other() -> None:
    made = document()
    parents = {"task-a": "task-b", "task-b": "task-a"}
    for part in (*made["tasks"], *made["events"]):
        part["parent_task_id"] = parents[part["task_id"]]
    made["events"] = [one | {"agent_level": "subagent"} for one in made["events"]]

    assert set(faults(made)) == {"tasks[0].parent_task_id"}


def test_a_task_may_be_a_part_of_an_earlier_one() -> None:
    made = changed("tasks.1.parent_task_id", "task-a")
    for one in made["events"][5:]:
        one |= {"parent_task_id": "task-a", "agent_level": "subagent"}

    assert read(made).tasks[1].task.parent_task_id == "task-a"


def test_times_of_a_clock_that_was_set_back_are_taken() -> None:
    made = document()
    made["events"][4]["timestamp"] = made["tasks"][0]["completed_at"] = "2026-11-22T11:00:00.000000Z"

    assert read(made).tasks[0].progress.completed_at == "2026-11-22T11:00:00.000000Z"


@pytest.mark.parametrize("model", ["offline", "gpt-4.1:2026-01", "meta/Llama-3.3_70B@v1+a"])
def test_names_that_providers_give_models_are_taken(model: str) -> None:
    assert read(changed("tasks.0.model", model)).tasks[0].task.model == model


def test_the_name_of_a_preset_is_what_the_configuration_takes_for_one() -> None:
    assert PRESET_NAME.pattern == PRESET_PATTERN
