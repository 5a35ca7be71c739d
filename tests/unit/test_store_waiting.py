"""Which tool calls wait for a person's word, as the store has it, and what it costs to find them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Select, TextClause, text
from sqlalchemy.dialects import sqlite

from alex_actors.events import (
    AnyEvent,
    ApprovalRequested,
    ApprovalResolved,
    TaskCancelled,
    TaskResumed,
    TaskStarted,
)
from alex_actors.replies import WaitingCalls
from alex_actors.store.waiting import HEADS, REQUESTS
from alex_actors.values import LOCAL_OWNER, Owner, SessionId, TaskId, Timestamp
from tests.unit.store_under_test import COMPLETED, StoreUnderTest

EXPIRY = Timestamp("2030-01-31T12:00:00.000000Z")
CANCELLED = TaskCancelled(error="The task was cancelled.", total_iterations=0, total_tokens=0, duration=0.0)
MOST_BYTES = 1_000_000


def asks(call_id: str, arguments: dict[str, Any] | None = None, *, until: Timestamp | None = None) -> AnyEvent:
    return ApprovalRequested(
        iteration=1, call_id=call_id, tool_name="shell", arguments=arguments or {}, expires_at=until
    )


def answers(call_id: str) -> AnyEvent:
    return ApprovalResolved(call_id=call_id, approved=False, reason=None)


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A store with the tasks t1 and t3 of the session ``odd``, and t2 of ``even``. They run."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    for number in (1, 2, 3):
        under.create(f"t{number}", session_id="odd" if number % 2 else "even")
    for number in (1, 2, 3):
        under.record(f"t{number}", 1, TaskStarted())
    under.run()
    yield under
    under.close()


def record(under: StoreUnderTest, task_id: str, *events: AnyEvent) -> None:
    """Record events behind those that a task has."""
    under.record(task_id, len(under.store.events(TaskId(task_id))), *events)
    under.run()


def waiting(
    under: StoreUnderTest,
    *,
    limit: int = 10,
    after: int = 0,
    session_id: str | None = None,
    most_bytes: int = MOST_BYTES,
    owner: str = LOCAL_OWNER,
) -> WaitingCalls:
    return under.store.reader.waiting_calls(
        limit=limit,
        after=after,
        session_id=None if session_id is None else SessionId(session_id),
        most_bytes=most_bytes,
        owner=Owner(owner),
    )


def names(page: WaitingCalls) -> list[tuple[str, str]]:
    return [(call.task_id, call.call_id) for call in page.calls]


def test_a_call_waits_until_it_is_answered_and_those_asked_about_first_come_first(under: StoreUnderTest) -> None:
    record(under, "t3", asks("a"), asks("b"))
    record(under, "t1", asks("a"))
    before = names(waiting(under))
    record(under, "t3", answers("a"))
    after = names(waiting(under))
    record(under, "t3", answers("b"), asks("c"))

    assert before == [("t3", "a"), ("t3", "b"), ("t1", "a")]
    assert after == [("t3", "b"), ("t1", "a")]
    assert names(waiting(under)) == [("t1", "a"), ("t3", "c")]


@pytest.mark.parametrize("end", [COMPLETED, CANCELLED])
def test_a_task_that_has_ended_waits_for_nobody(under: StoreUnderTest, end: AnyEvent) -> None:
    record(under, "t1", asks("a"), end)

    assert waiting(under) == WaitingCalls((), goes_on=False)


def test_a_call_waits_on_when_the_task_is_resumed(under: StoreUnderTest) -> None:
    record(under, "t1", asks("a"), TaskResumed())

    assert names(waiting(under)) == [("t1", "a")]


def test_all_that_was_asked_is_told_of_a_call(under: StoreUnderTest) -> None:
    record(under, "t2", asks("a" * 128, {"command": "ls", "n": 2**63}, until=EXPIRY))
    event = under.store.events(TaskId("t2"))[-1]

    (call,) = waiting(under).calls

    assert (call.event_id, call.task_id, call.session_id) == (event.event_id, "t2", "even")
    assert (call.call_id, call.iteration, call.tool_name) == ("a" * 128, 1, "shell")
    assert msgspec.json.decode(call.arguments) == {"command": "ls", "n": 2**63}
    assert (call.requested_at, call.expires_at) == (event.timestamp, EXPIRY)


@pytest.mark.parametrize("until", ["20300131T120000Z", "2030-W05-4T12:00:00Z", "2030-01-31T13:00:00+01:00"])
def test_a_time_that_an_agent_wrote_in_another_way_is_told_as_all_times_are(
    under: StoreUnderTest, until: Timestamp
) -> None:
    record(under, "t1", asks("a", until=until))

    (call,) = waiting(under).calls

    assert call.expires_at == "2030-01-31T12:00:00.000000Z"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"expires_at": "never"},
        {"a": 1, "expires_at": "never"},
        {"a": '","arguments":{},"expires_at":"never"}'},
        {"call_id": "b", "arguments": {"arguments": [{}]}, 'x","expires_at":"y': '"}'},
        {"text": "naïve 🙂\n\x00\\"},
    ],
)
@pytest.mark.parametrize("until", [None, EXPIRY])
def test_arguments_are_those_that_were_recorded_whatever_they_look_like(
    under: StoreUnderTest, arguments: dict[str, Any], until: Timestamp | None
) -> None:
    record(under, "t1", asks("a", arguments, until=until))

    (call,) = waiting(under).calls

    assert (json.loads(bytes(call.arguments)), call.expires_at, call.call_id) == (arguments, until, "a")


def test_arguments_that_are_nested_too_deeply_to_be_read_hide_no_call(under: StoreUnderTest) -> None:
    record(under, "t2", asks("a"))
    record(under, "t1", asks("b"))
    deep = b'{"x":' * 5000 + b"1" + b"}" * 5000  # which a thread with another stack may have written
    with contextlib.closing(sqlite3.connect(under.path, isolation_level=None)) as connection:
        body, event_id = connection.execute("SELECT body, max(event_id) FROM events").fetchone()
        changed = body.replace(b"{}", deep)
        connection.execute("UPDATE events SET body = ? WHERE event_id = ?", (changed, event_id))

    calls = waiting(under).calls

    assert [call.call_id for call in calls] == ["a", "b"]
    assert bytes(calls[1].arguments) == deep


def test_pages_go_on_behind_each_other_whatever_was_answered_meanwhile(under: StoreUnderTest) -> None:
    record(under, "t1", *[asks(f"{number}") for number in range(5)])

    first = waiting(under, limit=2)
    record(under, "t1", answers("0"), answers("2"))
    second = waiting(under, limit=2, after=first.calls[-1].event_id)
    third = waiting(under, limit=2, after=second.calls[-1].event_id)

    assert [call.call_id for page in (first, second, third) for call in page.calls] == ["0", "1", "3", "4"]
    assert [page.goes_on for page in (first, second, third)] == [True, False, False]


def test_a_page_has_no_more_once_it_is_large_and_goes_on(under: StoreUnderTest) -> None:
    record(under, "t1", *[asks(f"{number}", {"text": "x" * 1000}) for number in range(3)])

    page = waiting(under, most_bytes=1500)

    assert [call.call_id for call in page.calls] == ["0", "1"]
    assert page.goes_on


def test_those_of_one_session_and_of_nobody_else_s(under: StoreUnderTest) -> None:
    for task_id in ("t1", "t2", "t3"):
        record(under, task_id, asks("a"))

    assert names(waiting(under, session_id="odd")) == [("t1", "a"), ("t3", "a")]
    assert names(waiting(under, session_id="never")) == []
    assert names(waiting(under, owner="ada")) == []
    assert names(waiting(under, session_id="odd", owner="ada")) == []


# What it costs.


class Query:
    """A query as SQLite gets it from the reader: what is a parameter there is one here."""

    def __init__(
        self, select: Select[Any] | TextClause, **given: Any
    ) -> None:  # Any: columns, and values of any type
        compiled = select.compile(dialect=sqlite.dialect(paramstyle="named"))
        self.text, self.parameters = str(compiled), compiled.params | given

    def plan(self, path: Path) -> list[str]:
        """Return the steps in which SQLite runs it."""
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {self.text}", self.parameters)]

    def instructions(self, path: Path) -> int:
        """Return how many instructions SQLite's virtual machine takes for it."""
        taken: list[None] = []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.set_progress_handler(lambda: taken.append(None), 1)
            connection.execute(self.text, self.parameters).fetchall()
        return len(taken)


@pytest.mark.parametrize("of_session", [False, True])
def test_it_is_found_by_the_running_tasks_and_the_index_of_approvals_alone(
    under: StoreUnderTest, of_session: bool
) -> None:
    query = Query(HEADS[of_session], owner=LOCAL_OWNER, session_id="odd")

    steps = [step for step in query.plan(under.path) if "SUBQUERY" not in step]

    assert {step.split(" (")[0] for step in steps} - {
        "SEARCH sessions USING COVERING INDEX sqlite_autoindex_sessions_1"
    } == {
        "SEARCH events USING INDEX approvals_by_task",
        f"SEARCH tasks USING {'' if of_session else 'COVERING '}INDEX tasks_by_status",
        "SEARCH counted USING COVERING INDEX approvals_by_task",
    }
    assert all("(place=? AND event_type=?)" in step for step in steps if "approvals_by_task" in step)


def test_a_page_is_found_by_its_keys(under: StoreUnderTest) -> None:
    with_ids = REQUESTS.params(event_ids=[1, 2]).compile(compile_kwargs={"literal_binds": True})

    steps = Query(text(str(with_ids))).plan(under.path)

    assert [step for step in steps if not step.endswith("USING INTEGER PRIMARY KEY (rowid=?)")] == []


def test_what_has_ended_and_what_is_no_approval_costs_nothing(under: StoreUnderTest) -> None:
    record(under, "t1", asks("a"))
    query = Query(HEADS[False], owner=LOCAL_OWNER)

    before = query.instructions(under.path)
    fill(under.path, tasks=300, events=20)
    after = query.instructions(under.path)

    assert after <= before + 10, "a branch of the tree more"


def fill(path: Path, *, tasks: int, events: int) -> None:
    """Add tasks that have ended, each with a call that nobody decided on, and as many events to one that runs."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(tasks)")]
        own = {"place": "100 + value", "task_id": "'ended-' || value", "status": "'failed'"}
        copied = ", ".join(own.get(column, column) for column in columns)
        connection.executescript(f"""
            CREATE TEMP TABLE numbers AS
                WITH RECURSIVE numbers (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM numbers)
                SELECT value FROM numbers LIMIT {tasks * events};
            INSERT INTO tasks SELECT {copied} FROM tasks, numbers WHERE task_id = 't1' AND value <= {tasks};
            INSERT INTO events (place, session_key, event_type, timestamp, body)
                SELECT 100 + (value + {events} - 1) / {events}, 1,
                    iif(value % {events} = 0, 'approval_requested', 'thinking'), 'then', x'7b7d' FROM numbers;
            INSERT INTO events (place, session_key, event_type, timestamp, body)
                SELECT 1, 1, 'thinking', 'then', x'7b7d' FROM numbers;
        """)
