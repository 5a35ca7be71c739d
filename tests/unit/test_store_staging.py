"""Staging: what a transaction is made of before there is any SQL."""

from __future__ import annotations

import msgspec
import pytest

from alex_actors.events import TaskAnalysis, TaskCreated, TaskStarted, stamp
from alex_actors.store.staging import Keys, LiveTask, Staging
from alex_actors.task_store_protocol import Create, Record
from alex_actors.values import LOCAL_OWNER, SessionName, TaskId, Timestamp, milliseconds_between
from tests.unit.protocol_system import CONTEXT, new_task
from tests.unit.stepping import StandIn, SteppedDispatcher
from tests.unit.store_under_test import HOME, NOW


def staging(
    live: dict[TaskId, LiveTask] | None = None, session_keys: dict[SessionName, int] | None = None
) -> Staging:
    return Staging(live=live or {}, session_keys=session_keys or {}, keys=Keys(last_session=4, last_event=10))


def create(task_id: str, place: int) -> Create:
    return Create(
        context=CONTEXT.about(TaskId(task_id), HOME),
        task_id=TaskId(task_id),
        session_id=HOME,
        place=place,
        confirmed_at=NOW,
        incarnation=0,
        new=new_task(HOME),
    )


def record(first: int, *events: TaskStarted | TaskAnalysis) -> Record:
    agent = StandIn(SteppedDispatcher())
    stamped = tuple(stamp(NOW, event) for event in events)
    return Record(context=CONTEXT, task_id=TaskId("a"), first=first, events=stamped, agent=agent.ref)


def test_keys_go_on_from_the_last_used() -> None:
    staged = staging()

    task = staged.create(create("a", 1))

    assert task.session_key == 5
    assert [event.event_id for event in staged.events] == [11]


def test_a_sub_agents_task_and_its_events_carry_its_parent() -> None:
    staged = staging()
    message = create("child", 2)
    new = msgspec.structs.replace(message.new, parent_task_id=TaskId("parent"))

    task = staged.create(msgspec.structs.replace(message, new=new))

    assert task.parent_task_id == "parent"
    assert [event.parent_task_id for event in staged.events] == ["parent"]


def test_a_session_is_made_with_its_first_task_only() -> None:
    staged = staging()

    keys = [staged.create(create(task_id, place)).session_key for place, task_id in enumerate("abc", start=1)]

    assert keys == [5, 5, 5]
    assert len(staged.batch.new_sessions) == 1


def test_a_session_that_is_there_is_not_made_again() -> None:
    staged = staging(session_keys={(LOCAL_OWNER, HOME): 3})

    task = staged.create(create("a", 1))

    assert task.session_key == 3
    assert staged.batch.new_sessions == []
    assert staged.make_session((LOCAL_OWNER, HOME), NOW, {}) is True


def test_nothing_is_taken_over_into_the_committed_state() -> None:
    committed: dict[TaskId, LiveTask] = {}
    staged = staging(committed)

    staged.create(create("a", 1))

    assert committed == {}
    assert staged.live[TaskId("a")].recorded == 1


def test_a_task_is_updated_once_however_many_events_it_has() -> None:
    first = staging()
    first.create(create("a", 1))
    staged = staging(first.live)

    staged.record(record(1, TaskStarted()))
    staged.record(record(2, *[TaskAnalysis(action_name="a", goal="g")] * 50))

    assert len(staged.batch.progress) == 1
    assert len(staged.batch.events) == 51
    assert staged.live[TaskId("a")].recorded == 52


def test_a_record_within_the_transaction_of_its_tasks_end_is_refused() -> None:
    first = staging()
    first.create(create("a", 1))
    staged = staging(first.live)
    staged.fail(first.live[TaskId("a")], NOW, error="It broke.", reason="error")

    assert staged.record(record(1, TaskStarted())) is None
    assert [event.event_type for event in staged.events] == ["task_failed"]


def test_a_created_task_is_told_with_its_text() -> None:
    staged = staging()

    staged.create(create("a", 1))

    (event,) = staged.events
    assert event.event_type == "task_created"
    assert event.body == stamp(NOW, TaskCreated(task="What is 2 + 2?")).body


@pytest.mark.parametrize(
    ("start", "milliseconds"),
    [(None, 0.0), ("2025-12-31T23:59:58.500000Z", 1500.0), ("2026-01-01T00:00:01.000000Z", 0.0)],
)
def test_a_duration_is_never_negative(start: str | None, milliseconds: float) -> None:
    began = None if start is None else Timestamp(start)

    assert milliseconds_between(began, NOW) == milliseconds


def test_an_end_says_how_long_the_task_ran() -> None:
    staged = staging()
    staged.create(create("a", 1))

    staged.record(record(1, TaskStarted()))
    staged.fail(
        staged.live[TaskId("a")], Timestamp("2026-01-01T00:00:02.000000Z"), error="x", reason="interrupted"
    )

    assert b'"duration":2000.0' in staged.events[-1].body
    assert staged.live[TaskId("a")].progress.completed_at == "2026-01-01T00:00:02.000000Z"
