"""The check of what is recorded: silent if all is sound, and exact about each thing that is not."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from alex_actors.events import IterationComplete, TaskFailed
from alex_actors.store.check import Checked, check
from alex_actors.store.database import DatabaseError
from tests.unit.recorded_data import (
    CREATED,
    WHOLE,
    WORK,
    add_session,
    add_task,
    at,
    make_database,
    run_sql,
)

SECOND_END = TaskFailed(
    error="No.", termination_reason="error", stop_reason="error", total_iterations=1, total_tokens=7, duration=6.0
)


def lying(field: str, value: object) -> str:
    """Return what has the end of the first task say something else."""
    told = f"json_set(CAST(body AS TEXT), '$.{field}', json('{json.dumps(value)}'))"
    return f"UPDATE events SET body = CAST({told} AS BLOB) WHERE event_id = 5"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a whole task in a session, and one that still runs in another owner's."""
    path = tmp_path / "alex.sqlite3"
    make_database(path)
    add_task(path, "task-a", add_session(path, "home"), *WHOLE)
    add_task(path, "task-b", add_session(path, "home", owner="ada"), CREATED, *WORK, owner="ada", start=20)
    return path


def checked(path: Path) -> Checked:
    return check(path, path.parent / "workspaces")


def findings(path: Path) -> list[str]:
    return [f"{finding.about}: {finding.text}" for finding in checked(path).findings]


# What is sound.


def test_what_a_server_recorded_is_sound(path: Path) -> None:
    found = checked(path)

    assert (found.sound, found.findings, found.notes) == (True, (), ())
    assert (found.sessions, found.tasks, found.events) == (2, 2, 9)


def test_what_has_no_end_is_told_with_its_owner_and_since_when(path: Path) -> None:
    add_task(path, "task-c", 1, CREATED, start=30)

    told = [
        (one.task_id, one.session_id, one.owner, one.started_at, one.events) for one in checked(path).unfinished
    ]

    assert told == [("task-b", "home", "ada", at(21), 4), ("task-c", "home", "local", None, 1)]


def test_an_earlier_task_of_the_session_may_be_a_parent_and_the_clock_may_be_set_back(path: Path) -> None:
    add_task(path, "task-c", 1, CREATED, start=30)
    run_sql(
        path,
        "UPDATE tasks SET parent_task_id = 'task-a' WHERE task_id = 'task-c'",
        "UPDATE tasks SET completed_at = '2026-11-22T11:00:00.000000Z' WHERE task_id = 'task-a'",
        "UPDATE events SET timestamp = '2026-11-22T11:00:00.000000Z' WHERE event_id = 5",
    )

    assert findings(path) == []


def test_what_an_agent_counted_wrongly_is_no_damage(path: Path) -> None:
    # Until agents were held to it, they could say so, and what is counted stayed within its limits.
    wrong = IterationComplete(iteration=-1, tokens_used=2**60, tools_run=-3)
    add_task(path, "task-c", 1, CREATED, WORK[0], wrong)

    assert findings(path) == []


def test_an_empty_database_is_sound(tmp_path: Path) -> None:
    make_database(tmp_path / "alex.sqlite3")

    assert checked(tmp_path / "alex.sqlite3").sound


def test_it_changes_nothing_and_waits_for_nobody(path: Path) -> None:
    before = path.read_bytes()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM events")

        assert checked(path).sound
        writer.execute("ROLLBACK")

    assert path.read_bytes() == before


# What is not.


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM events WHERE event_id = 5", "task-a: 'status' is 'completed', and its"),
        ("DELETE FROM events WHERE event_id = 1", "task-a: event 2 is task_started: task_created"),
        ("DELETE FROM events WHERE place = 1", "task-a: it has no events"),
        ("UPDATE tasks SET status = 'failed' WHERE place = 1", "task-a: 'status' is 'failed', and its"),
        ("UPDATE tasks SET tokens_used = 9 WHERE place = 1", "task-a: 'tokens_used' is 9, and its events"),
        ("UPDATE tasks SET total_iterations = 0 WHERE place = 1", "task-a: 'total_iterations' is 0"),
        ("UPDATE tasks SET answer = '5' WHERE place = 1", "task-a: 'answer' is '5', and its events make it '4'"),
        ("UPDATE tasks SET task = 'Else' WHERE place = 1", "task-a: event 1 has another task"),
        ("UPDATE tasks SET completed_at = NULL WHERE place = 1", "task-a: 'completed_at' is None"),
        ("UPDATE tasks SET status = 'completed' WHERE place = 2", "task-b: 'status' is 'completed'"),
        ("UPDATE tasks SET owner = 'eve' WHERE place = 2", "task-b: is of 'eve', and its session of 'ada'"),
        ("UPDATE events SET session_key = 2 WHERE event_id = 3", "task-a: event 3 is of another session"),
        (lying("total_iterations", 9), "task-a: event 5: 'total_iterations' is 9, and the events"),
        (lying("total_tokens", 0), "task-a: event 5: 'total_tokens' is 0, and"),
        (lying("duration", -5), "task-a: event 5: 'duration' is negative"),
        (lying("termination_reason", "error"), "task-a: event 5: 'termination_reason' is 'error', and it is"),
        ("UPDATE tasks SET parent_task_id = 'task-a' WHERE place = 1", "task-a: is a part of 'task-a', which"),
        ("UPDATE tasks SET parent_task_id = 'task-a' WHERE place = 2", "task-b: is a part of 'task-a', which"),
        ("UPDATE tasks SET model = char(27) WHERE place = 1", "task-a: 'model' is '\\x1b', which is no name"),
        ("UPDATE tasks SET tool_preset = '../..' WHERE place = 1", "task-a: 'tool_preset' is '../..', which"),
        ("UPDATE events SET event_type = 'thinking' WHERE event_id = 3", "task-a: event 3 is called"),
        ("UPDATE events SET body = x'7b' WHERE event_id = 3", "task-a: event 3 cannot be read"),
        ("UPDATE events SET body = x'ff' WHERE event_id = 3", "task-a: event 3 cannot be read"),
        ("DELETE FROM sessions WHERE session_key = 1", "task-a: has no session"),
        ("DELETE FROM sessions WHERE session_key = 1", "row 1 of tasks: belongs to a row"),
        ("DELETE FROM tasks WHERE place = 1", "row 1 of events: belongs to a row of tasks"),
        ("UPDATE sqlite_sequence SET seq = 3 WHERE name = 'events'", "events: have the key 9, and 3"),
        ("INSERT INTO messages VALUES (1, 1, 'user', 'Hi')", "session with key 1: has inherited messages"),
        ("INSERT INTO messages VALUES (1, 0, 'eve', 'Hi')", "session with key 1: has inherited messages"),
        ("INSERT INTO messages VALUES (99, 0, 'user', 'Hi')", "row None of messages: belongs to a row"),
    ],
)  # fmt: skip
def test_each_thing_that_is_not_as_it_must_be_is_named(path: Path, damage: str, found: str) -> None:
    run_sql(path, damage)

    assert any(found in finding for finding in findings(path)), findings(path)


def test_a_second_end_is_found_and_the_first_counts(path: Path) -> None:
    key = add_session(path, "other")
    add_task(path, "task-c", key, *WHOLE, SECOND_END, start=30)

    assert findings(path) == ["task task-c: event 15 comes after its end"]


def test_an_event_after_the_end_is_found(path: Path) -> None:
    add_task(path, "task-c", 1, *WHOLE, WORK[1])

    assert findings(path) == ["task task-c: event 15 comes after its end"]


def test_of_a_damaged_file_is_told_what_sqlite_says(path: Path) -> None:
    key = 1
    for number in range(50):
        add_task(path, f"task-{number}", key, *WHOLE)
    with path.open("rb+") as file:
        for page in range(2, 40):
            file.seek(4096 * page)
            file.write(b"\xde\xad" * 100)

    found = checked(path)

    assert not found.sound
    assert found.findings[0].about in ("database", "tasks")


def test_no_more_of_one_kind_is_told_than_a_person_reads(path: Path) -> None:
    place = add_task(path, "task-c", 1)
    columns = "owner, session_key, status, task, agent_preset, tool_preset, model, created_at, current_iteration,"
    columns += (
        "total_iterations, tokens_used, total_tokens, cost_usd, strategy, max_iterations, metadata, trace_id"
    )
    numbers = "WITH RECURSIVE numbers(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM numbers LIMIT 1001)"
    copies = f"SELECT 'copy ' || n, {columns} FROM numbers, tasks WHERE place = {place}"
    run_sql(path, f"{numbers} INSERT INTO tasks (task_id, {columns}) {copies}")

    found = findings(path)

    assert len(found) == 1001
    assert found[-1] == "tasks: has more findings: only 1000 are told"


# What is worth knowing.


def test_workspaces_that_are_no_sessions_are_told(path: Path) -> None:
    run_sql(path, "UPDATE sqlite_sequence SET seq = 5 WHERE name = 'sessions'")
    for name in ("1", "3", "9", "notes"):
        (path.parent / "workspaces" / name).mkdir(parents=True)

    notes = checked(path).notes

    assert [note.split(":")[0] for note in notes] == [
        "workspaces/3 is of a session that is gone",
        "workspaces/9 is of a session that is yet to be made, or of another database.",
        "workspaces/notes is no workspace",
    ]


@pytest.mark.parametrize(("version", "told"), [(1, "brings it to"), (99, "only the newer version")])
def test_of_another_schema_only_the_file_is_checked(path: Path, version: int, told: str) -> None:
    run_sql(path, f"PRAGMA user_version={version}", "UPDATE tasks SET status = 'failed'")

    found = checked(path)

    assert found.sound
    assert told in found.notes[0]


# Nothing to check.


def test_where_there_is_no_database_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no database"):
        checked(tmp_path / "alex.sqlite3")


def test_the_database_of_another_program_is_not_checked(tmp_path: Path) -> None:
    run_sql(tmp_path / "alex.sqlite3", "CREATE TABLE theirs (column)")

    with pytest.raises(DatabaseError, match="another program"):
        checked(tmp_path / "alex.sqlite3")


def test_what_is_no_database_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "alex.sqlite3").write_text("This is no database, and long enough for its header." * 100)

    with pytest.raises(DatabaseError, match="no intact"):
        checked(tmp_path / "alex.sqlite3")
