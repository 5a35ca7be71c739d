"""What tasks cost, where a record is held against its events: the check of a database, and imports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alex_actors.agents.turn_log import Turn, TurnLog
from alex_actors.copies import ExportedEvent
from alex_actors.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    IterationComplete,
    IterationStart,
    TaskStarted,
    ThinkComplete,
    Usage,
    stamp,
)
from alex_actors.store.check import check
from alex_actors.values import Timestamp
from tests.unit.exported_documents import Json, document, event, faults, read, task
from tests.unit.recorded_data import CREATED, add_session, add_task, at, make_database, run_sql

PRICES = (0.1, 0.2, 0.3)
"""Their sum depends on the order in which they are added."""
COST = PRICES[0] + PRICES[1] + PRICES[2]


def thought(cost: float | None) -> ThinkComplete:
    usage = Usage(input_tokens=5, output_tokens=2, cost_usd=cost, estimated=True)
    return ThinkComplete(iteration=1, content="", tool_call_count=1, usage=usage)


PAID: tuple[AnyEvent, ...] = (
    CREATED,
    TaskStarted(),
    IterationStart(iteration=1, total_iters=50),
    *map(thought, PRICES),
    ApprovalRequested(iteration=1, call_id="c", tool_name="shell", arguments={"a": 1}, expires_at=at(9)),
    ApprovalResolved(call_id="c", approved=True, reason=None, arguments={"a": 2}),
    IterationComplete(iteration=1, tokens_used=21, tools_run=1, cost_usd=COST),
)


def paid(**changes: object) -> Json:
    """Return a document with a task that cost something, and runs."""
    one = task("task-a", 0, tokens_used=21, cost_usd=COST) | changes
    events = [event(10 + number, "task-a", number, body) for number, body in enumerate(PAID)]
    return document() | {"tasks": [one], "events": events}


# Imports.


def test_an_import_keeps_what_a_task_cost_and_each_event_as_it_was() -> None:
    brought = read(paid())

    assert brought.tasks[0].progress.cost_usd == COST
    recorded: list[ExportedEvent] = list(brought.events)[:-1]  # the last is the end that it had not
    assert [one.stamped.event for one in recorded] == list(PAID)
    assert json.loads(recorded[0].stamped.body) == {"event_type": "task_created", "task": CREATED.task}
    assert json.loads(recorded[7].stamped.body)["arguments"] == {"a": 2}


@pytest.mark.parametrize("cost", [0.0, 0.5, sum(reversed(PRICES))])
def test_an_import_that_lies_about_the_cost_is_refused(cost: float) -> None:
    (reason,) = faults(paid(cost_usd=cost)).values()

    assert f"'cost_usd' is {cost}, and its events make it {COST}" in reason


@pytest.mark.parametrize("tokens", [0, 7])
def test_usage_counts_as_tokens(tokens: int) -> None:
    assert "'tokens_used'" in faults(paid(tokens_used=tokens))["tasks[0]"]


@pytest.mark.parametrize(
    ("number", "path", "value", "reason"),
    [
        (3, "usage.cost_usd", -1, "is not a number from 0 to 1000000000"),
        (3, "usage.cost_usd", 2e9, "is not a number from 0 to 1000000000"),
        (3, "usage.input_tokens", -1, "is not an integer from 0 to 9007199254740991"),
        (8, "cost_usd", -0.5, "is not a number from 0 to 1000000000"),
    ],
)
def test_a_cost_that_none_can_be_is_named(number: int, path: str, value: float, reason: str) -> None:
    made = paid()
    *parents, last = path.split(".")
    target = made["events"][number]
    for name in parents:
        target = target[name]
    target[last] = value

    assert faults(made) == {f"events[{number}].{path}": reason}


# The check.


def test_the_check_finds_a_cost_that_its_events_do_not_make(tmp_path: Path) -> None:
    path = tmp_path / "alex.sqlite3"
    make_database(path)
    add_task(path, "task-a", add_session(path, "home"), *PAID)
    before = check(path, tmp_path / "workspaces")

    run_sql(path, "UPDATE tasks SET cost_usd = 0.5")
    found = check(path, tmp_path / "workspaces")

    assert before.findings == ()
    assert [one.text for one in found.findings] == [f"'cost_usd' is 0.5, and its events make it {COST}"]


def test_a_turn_that_cost_nothing_says_nothing_of_it() -> None:
    free = TurnLog(()).complete(Turn(1), tokens=3)

    assert b"cost_usd" not in stamp(Timestamp("2026-01-01T00:00:00.000000Z"), free).body
