"""The reader: pages, filters, order and totals, over a real file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from alex_actors.events import TaskAnalysis, TaskCancelled, TaskStarted
from alex_actors.replies import Tasks
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.tasks import Status
from alex_actors.values import LOCAL_OWNER, SessionId, TaskId, Timestamp, timestamp
from tests.unit.protocol_system import CONTEXT
from tests.unit.store_under_test import COMPLETED, StoreUnderTest

CANCELLED = TaskCancelled(error="The task was cancelled.", total_iterations=0, total_tokens=0, duration=0.0)


def at(seconds: float) -> Timestamp:
    return timestamp(EPOCH + timedelta(seconds=seconds))


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """Two sessions, whose tasks t1 to t6 were confirmed in turn: one runs, one waits, the others have ended."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    for number in range(1, 7):
        session = "odd" if number % 2 else "even"
        under.create(f"t{number}", session_id=session, at=at(number), text=f"task {number}")
    under.run()
    for number, end in ((1, COMPLETED), (2, CANCELLED), (3, COMPLETED), (4, COMPLETED)):
        under.record(f"t{number}", 1, TaskStarted(), end, at=at(10 + number))
    under.record("t5", 1, TaskStarted(), TaskAnalysis(action_name="a", goal="g"), at=at(20))
    under.run()
    yield under
    under.close()


def page(
    under: StoreUnderTest,
    *,
    limit: int = 10,
    offset: int = 0,
    session_id: str | None = None,
    status: Status | None = None,
) -> Tasks:
    session = None if session_id is None else SessionId(session_id)
    return under.store.reader.tasks(limit=limit, offset=offset, session_id=session, status=status)


def names(tasks: Tasks) -> list[str]:
    return [task.task_id for task in tasks.tasks]


# Tasks.


def test_tasks_come_newest_first(under: StoreUnderTest) -> None:
    tasks = page(under)

    assert names(tasks) == ["t6", "t5", "t4", "t3", "t2", "t1"]
    assert tasks.total == 6


def test_pages_follow_each_other_and_tell_how_many_there_are_in_all(under: StoreUnderTest) -> None:
    pages = [page(under, limit=4, offset=offset) for offset in (0, 4, 8)]

    assert [names(one) for one in pages] == [["t6", "t5", "t4", "t3"], ["t2", "t1"], []]
    assert [one.total for one in pages] == [6, 6, 6]


def test_tasks_of_one_session(under: StoreUnderTest) -> None:
    tasks = page(under, session_id="even", limit=2)

    assert names(tasks) == ["t6", "t4"]
    assert tasks.total == 3
    assert {task.session_id for task in tasks.tasks} == {"even"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", ["t6"]),
        ("running", ["t5"]),
        ("completed", ["t4", "t3", "t1"]),
        ("cancelled", ["t2"]),
        ("failed", []),
    ],
)
def test_tasks_of_one_status(under: StoreUnderTest, status: Status, expected: list[str]) -> None:
    tasks = page(under, status=status)

    assert names(tasks) == expected
    assert tasks.total == len(expected)


def test_both_filters_hold_together(under: StoreUnderTest) -> None:
    tasks = page(under, session_id="odd", status="completed", limit=1)

    assert names(tasks) == ["t3"]
    assert tasks.total == 2


def test_a_session_that_is_not_there_has_no_tasks(under: StoreUnderTest) -> None:
    assert page(under, session_id="never") == Tasks((), 0)


def test_one_task_is_read_as_it_was_recorded(under: StoreUnderTest) -> None:
    task = under.store.task(TaskId("t1"))

    assert (task.task, task.session_id, task.place, task.status) == ("task 1", "odd", 1, "completed")
    assert (task.created_at, task.started_at, task.completed_at) == (at(1), at(11), at(11))
    assert (task.metadata, task.timeout_seconds, task.cost_usd) == ({}, None, 0.0)
    assert (task.trace_id, task.parent_task_id, task.strategy) == (CONTEXT.trace_id, None, "enqueue")
    assert task.result is not None
    assert (task.result.answer, task.result.stop_reason) == ("4", "final_answer")


def test_only_a_completed_task_has_a_result(under: StoreUnderTest) -> None:
    results = {task.task_id: task.result is not None for task in page(under).tasks}

    assert [task_id for task_id, has_result in results.items() if has_result] == ["t4", "t3", "t1"]


def test_a_task_that_is_not_there_is_none(under: StoreUnderTest) -> None:
    assert under.store.reader.task(TaskId("never")) is None


def test_which_of_some_tasks_have_ended(under: StoreUnderTest) -> None:
    ended = under.store.reader.ended([TaskId(name) for name in ("t1", "t2", "t5", "t6", "never")])

    assert set(ended) == {(LOCAL_OWNER, "t1", "completed"), (LOCAL_OWNER, "t2", "cancelled")}


# Events.


def test_events_of_a_task_come_in_order(under: StoreUnderTest) -> None:
    events = under.store.events(TaskId("t5"))

    assert [event.event_type for event in events] == ["task_created", "task_started", "task_analysis"]
    ids = [event.event_id for event in events]
    assert ids == sorted(ids)
    assert {(event.task_id, event.session_id) for event in events} == {("t5", "odd")}


def test_events_after_a_position_and_no_more_than_asked_for(under: StoreUnderTest) -> None:
    first, second, third = under.store.events(TaskId("t5"))

    after = under.store.reader.events(TaskId("t5"), after=first.event_id, limit=1)
    rest = under.store.reader.events(TaskId("t5"), after=second.event_id, limit=10)
    none = under.store.reader.events(TaskId("t5"), after=third.event_id, limit=10)

    assert after == (second,)
    assert rest == (third,)
    assert none == ()


def test_a_task_that_is_not_there_has_no_events_to_read(under: StoreUnderTest) -> None:
    assert under.store.reader.events(TaskId("never"), after=0, limit=10) is None


def test_events_of_a_session_are_those_of_its_tasks_in_the_order_of_the_log(under: StoreUnderTest) -> None:
    of_its_tasks = [event for name in ("t1", "t3", "t5") for event in under.store.events(TaskId(name))]

    events = under.store.reader.session_events(SessionId("odd"), after=0, limit=100)

    assert events == tuple(sorted(of_its_tasks, key=lambda event: event.event_id))
    assert {event.task_id for event in events} == {"t1", "t3", "t5"}


def test_events_of_a_session_after_a_position_and_no_more_than_asked_for(under: StoreUnderTest) -> None:
    events = under.store.reader.session_events(SessionId("odd"), after=0, limit=100)
    assert events is not None

    after = under.store.reader.session_events(SessionId("odd"), after=events[1].event_id, limit=2)
    none = under.store.reader.session_events(SessionId("odd"), after=events[-1].event_id, limit=2)

    assert after == events[2:4]
    assert none == ()


def test_a_session_without_tasks_has_no_events_and_one_that_is_not_there_none_to_read(
    under: StoreUnderTest,
) -> None:
    under.make_session("empty")
    under.run()

    empty = under.store.reader.session_events(SessionId("empty"), after=0, limit=10)
    never = under.store.reader.session_events(SessionId("never"), after=0, limit=10)

    assert empty == ()
    assert never is None


# Sessions.


def test_sessions_come_last_used_first_with_what_their_tasks_make_of_them(under: StoreUnderTest) -> None:
    sessions = under.store.reader.sessions(limit=10, offset=0)

    assert sessions.total == 2
    first, second = sessions.sessions
    assert (first.session_id, first.task_count, first.last_task) == ("even", 3, "task 6")
    assert (second.session_id, second.task_count, second.last_task) == ("odd", 3, "task 5")
    assert (first.created_at, first.updated_at) == (at(2), at(14))
    assert (second.created_at, second.updated_at) == (at(1), at(13))


def test_a_new_task_and_an_end_are_uses_of_a_session(under: StoreUnderTest) -> None:
    under.create("t7", session_id="odd", at=at(30))
    under.run()
    after_a_task = under.store.reader.sessions(limit=1, offset=0)
    under.record("t6", 1, CANCELLED, at=at(31))
    under.run()
    after_an_end = under.store.reader.sessions(limit=1, offset=0)

    assert [session.session_id for session in after_a_task.sessions] == ["odd"]
    assert [session.session_id for session in after_an_end.sessions] == ["even"]


def test_pages_of_sessions(under: StoreUnderTest) -> None:
    sessions = under.store.reader.sessions(limit=1, offset=1)

    assert [session.session_id for session in sessions.sessions] == ["odd"]
    assert sessions.total == 2


def test_one_session_has_its_tasks_in_their_order(under: StoreUnderTest) -> None:
    detail = under.store.reader.session(SessionId("odd"))

    assert detail is not None
    assert detail.session.session_id == "odd"
    assert [task.task_id for task in detail.tasks] == ["t1", "t3", "t5"]


def test_a_session_without_tasks_is_one_too(under: StoreUnderTest) -> None:
    under.make_session("empty", {"team": "x"})
    under.run()

    detail = under.store.reader.session(SessionId("empty"))

    assert detail is not None
    assert (detail.session.task_count, detail.session.last_task, detail.tasks) == (0, None, ())
    assert detail.session.metadata == {"team": "x"}


def test_a_session_that_is_not_there_is_none(under: StoreUnderTest) -> None:
    assert under.store.reader.session(SessionId("never")) is None


def test_text_is_read_back_as_it_was_written(under: StoreUnderTest) -> None:
    text = "naïve — “quotes”\n\t\x00 emoji 🙂 and a ' ; DROP TABLE tasks; --"
    under.create("text", text=text)
    under.run()

    assert under.store.task(TaskId("text")).task == text
