"""The TaskStoreActor over a real file: groups, records, sessions and answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.agent_protocol import Recorded, RecordRefused
from alex_actors.events import IterationComplete, IterationStart, TaskAnalysis, TaskStarted
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.task_store_protocol import StoreFailure
from alex_actors.values import SessionId, TaskId, timestamp
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.store_under_test import COMPLETED, HOME, NOW, StoreUnderTest

ANALYSIS = TaskAnalysis(action_name="calculate", goal="4")


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    yield under
    under.close()


# Groups.


def test_all_that_waits_in_the_mailbox_goes_into_one_transaction(under: StoreUnderTest) -> None:
    under.created("old")

    futures = [under.create(f"new-{n}", session_id=SessionId(f"session-{n}")) for n in range(20)]
    under.record("old", 1, TaskStarted())
    made = under.make_session("made")
    under.run()

    assert under.transactions == 1
    assert [ask_result(future).task_id for future in futures] == [f"new-{n}" for n in range(20)]
    assert ask_result(made) is False
    assert under.counts() == [2]


def test_what_comes_after_a_commit_goes_into_the_next(under: StoreUnderTest) -> None:
    under.create("a")
    under.run()
    under.create("b")
    under.run()

    assert under.transactions == 2


def test_nobody_is_answered_or_told_before_the_commit(under: StoreUnderTest) -> None:
    future = under.create("a")

    seen: list[tuple[bool, bool, bool]] = []
    while under.dispatcher.step():
        committed = under.store.reader.task(TaskId("a")) is not None
        seen.append((committed, future.done, bool(under.published())))

    assert (False, False, False) in seen
    assert all(committed or not (answered or told) for committed, answered, told in seen)
    assert seen[-1] == (True, True, True)


def test_a_task_and_its_session_are_recorded_together(under: StoreUnderTest) -> None:
    task = under.create("a")
    under.run()

    assert under.store.task(TaskId("a")) == ask_result(task)
    assert under.store.event_types(TaskId("a")) == ["task_created"]
    detail = under.store.reader.session(HOME)
    assert detail is not None
    assert [one.task_id for one in detail.tasks] == ["a"]


def test_events_of_one_group_are_published_at_once_in_the_order_of_their_ids(under: StoreUnderTest) -> None:
    under.created("a", "b")

    under.record("a", 1, TaskStarted())
    under.record("b", 1, TaskStarted(), ANALYSIS)
    under.record("a", 2, ANALYSIS, COMPLETED)
    under.run()

    (message,) = under.broadcaster.received
    ids = [event.event_id for event in message.events]
    assert ids == sorted(set(ids))
    assert [event.task_id for event in message.events] == ["a", "b", "b", "a", "a"]
    assert ids == under.store.event_ids()[2:]


def test_a_fact_is_logged_before_anyone_is_told_of_it(under: StoreUnderTest) -> None:
    under.create("a")

    while not under.published():
        under.dispatcher.step()

    assert "task.created" in under.log.events()


def test_the_facts_of_a_task_are_logged_once_and_with_its_ids(under: StoreUnderTest) -> None:
    under.create("a")
    under.run()
    under.record("a", 1, TaskStarted(), ANALYSIS)
    under.record("a", 1, TaskStarted(), ANALYSIS, COMPLETED)
    under.run()

    assert under.log.events() == ["task.created", "task.started", "task.ended"]
    for line in under.log.lines:
        assert (line["task_id"], line["session_id"], line["trace_id"]) == ("a", HOME, CONTEXT.trace_id)
    assert under.log.lines[-1]["status"] == "completed"


def test_a_stop_commits_what_came_in_before_it(under: StoreUnderTest) -> None:
    future = under.create("a")

    under.ref.stop(block=False)
    under.run()

    assert ask_result(future).task_id == "a"
    assert under.store.task_ids() == ["a"]


# Records.


def test_a_record_is_answered_with_how_many_events_there_are(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 1, TaskStarted(), ANALYSIS)
    under.run()

    assert under.counts() == [3]
    assert under.store.event_types(TaskId("a")) == ["task_created", "task_started", "task_analysis"]


def test_a_repeat_is_answered_and_not_recorded_again(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 1, TaskStarted())
    under.run()
    under.record("a", 1, TaskStarted())
    under.record("a", 1, TaskStarted(), ANALYSIS)
    under.record("a", 1, TaskStarted(), ANALYSIS)
    under.run()

    assert under.counts() == [2, 2, 3, 3]
    assert under.store.event_types(TaskId("a")) == ["task_created", "task_started", "task_analysis"]
    assert under.published() == ["task_started", "task_analysis"]


def test_events_after_a_gap_are_not_recorded_until_the_gap_is_filled(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 2, ANALYSIS, COMPLETED)
    under.run()
    before = under.store.event_types(TaskId("a"))
    under.record("a", 1, TaskStarted(), ANALYSIS, COMPLETED)
    under.run()

    assert before == ["task_created"]
    assert under.missing() == [1]
    assert under.counts() == [4]
    assert under.store.event_types(TaskId("a"))[1:] == ["task_started", "task_analysis", "task_completed"]


@pytest.mark.parametrize("same_group", [True, False])
def test_nothing_is_recorded_after_the_end(under: StoreUnderTest, *, same_group: bool) -> None:
    under.created("a")

    under.record("a", 1, TaskStarted(), COMPLETED)
    if not same_group:
        under.run()
    under.record("a", 3, ANALYSIS)
    under.run()

    assert under.store.event_types(TaskId("a"))[-1] == "task_completed"
    assert [type(message) for message in under.agent.received] == [Recorded, RecordRefused]
    assert under.agent.received[1].status == "completed"


def test_an_end_is_the_last_of_its_own_record_too(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 1, COMPLETED, ANALYSIS)
    under.run()

    assert under.store.event_types(TaskId("a")) == ["task_created", "task_completed"]


def test_a_record_of_a_task_that_is_not_there_is_refused_so_that_its_agent_stops(under: StoreUnderTest) -> None:
    under.record("never", 1, TaskStarted())
    under.run()

    assert [type(message) for message in under.agent.received] == [RecordRefused]
    assert under.store.event_ids() == []


def test_state_and_counters_are_those_of_the_last_event(under: StoreUnderTest) -> None:
    under.created("a")
    at = timestamp(EPOCH.replace(minute=5))

    under.record("a", 1, TaskStarted(), IterationStart(iteration=1, total_iters=50))
    under.run()
    running = under.store.task(TaskId("a"))
    under.record("a", 3, IterationComplete(iteration=1, tokens_used=60, tools_run=1))
    under.record("a", 4, COMPLETED, at=at)
    under.run()
    ended = under.store.task(TaskId("a"))

    assert (running.status, running.current_iteration, running.total_iterations) == ("running", 1, 0)
    assert (ended.status, ended.tokens_used, ended.total_iterations, ended.total_tokens) == (
        "completed",
        60,
        1,
        60,
    )
    assert (ended.started_at, ended.completed_at) == (NOW, at)
    assert ended.result is not None
    assert (ended.result.answer, ended.result.iterations, ended.result.tokens_used) == ("4", 1, 60)


def test_counters_never_shrink(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 1, TaskStarted(), IterationStart(iteration=7, total_iters=50))
    under.record("a", 3, IterationComplete(iteration=7, tokens_used=60, tools_run=1))
    under.record("a", 4, IterationStart(iteration=2, total_iters=50))
    under.record("a", 5, IterationComplete(iteration=2, tokens_used=10, tools_run=1))
    under.run()

    task = under.store.task(TaskId("a"))
    assert (task.current_iteration, task.tokens_used) == (7, 60)


def test_a_number_that_no_column_holds_stops_nothing(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 1, TaskStarted(), IterationStart(iteration=2**70, total_iters=2**70))
    under.record("a", 3, IterationComplete(iteration=2**70, tokens_used=2**70, tools_run=2**70), COMPLETED)
    under.run()

    task = under.store.task(TaskId("a"))
    assert task.status == "completed"
    assert task.total_tokens > 0


def test_a_task_that_ended_takes_no_memory(under: StoreUnderTest) -> None:
    under.created("a", "b")

    under.record("a", 1, TaskStarted(), COMPLETED)
    under.record_crash("b")
    under.run()

    assert under.actor._live == {}
    assert under.actor._pending == []
    assert not under.actor._promises
    assert under.timers.pending == 0


# Sessions.


def test_making_a_session_twice_keeps_the_first(under: StoreUnderTest) -> None:
    first = under.make_session("s", {"a": "1"})
    second = under.make_session("s", {"a": "2"})
    under.run()
    third = under.make_session("s", {"a": "3"})
    under.run()

    assert [ask_result(made) for made in (first, second, third)] == [False, True, True]
    detail = under.store.reader.session(SessionId("s"))
    assert detail is not None
    assert detail.session.metadata == {"a": "1"}
    assert detail.session.task_count == 0


def test_making_a_session_fails_with_the_store(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True)

    made = under.make_session("s")
    under.run()

    with pytest.raises(StoreFailure):
        made.get(timeout=0)
    assert under.store.reader.session(SessionId("s")) is None
