"""The TaskStoreActor over a real file: groups, answers, repeats, failures, recovery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from alex_actors.agent_protocol import Recorded, RecordRefused
from alex_actors.events import IterationComplete, IterationStart, TaskAnalysis, TaskStarted
from alex_actors.session_protocol import Settled, TaskEnded
from alex_actors.task_store_actor import RETRY_AFTER
from alex_actors.task_store_protocol import RecoveredStore, StoreFailure
from alex_actors.values import SessionId, TaskId, timestamp
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.stepping import EPOCH
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
    assert under.counts() == [1, 4]
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


def test_a_record_of_a_task_that_is_not_there_is_not_answered(under: StoreUnderTest) -> None:
    under.record("never", 1, TaskStarted())
    under.run()

    assert under.agent.received == []
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


def test_a_task_that_ended_takes_no_memory(under: StoreUnderTest) -> None:
    under.created("a", "b")

    under.record("a", 1, TaskStarted(), COMPLETED)
    under.record_crash("b")
    under.run()

    assert under.actor._live == {}
    assert under.actor._pending == []
    assert under.actor._promises == set()
    assert under.timers.pending == []


# Failing transactions.


def test_a_failing_group_is_repeated_one_by_one(under: StoreUnderTest) -> None:
    under.store.writer.fail_writes_of("bad")

    good, bad, other = under.create("good"), under.create("bad"), under.create("other")
    under.run()

    assert under.store.task_ids() == ["good", "other"]
    assert ask_result(good).task_id == "good"
    assert ask_result(other).task_id == "other"
    with pytest.raises(StoreFailure, match="disk I/O error"):
        bad.get(timeout=0)
    assert under.transactions == 2
    assert under.published() == ["task_created", "task_created"]


def test_a_failing_transaction_leaves_nothing_and_nobody_is_told(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True)

    future = under.create("a")
    under.run()

    assert future.done
    assert under.store.task_ids() == []
    assert under.store.event_ids() == []
    assert under.published() == []
    assert under.actor._live == {}
    assert under.log.events() == ["store.commit_failed"]


def test_a_failing_store_is_seen_and_one_that_works_again_too(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True)
    under.create("a")
    under.run()
    failing = under.condition.failure

    under.create("b")
    under.run()

    assert failing == "disk I/O error"
    assert under.condition.failure is None


def test_a_record_that_could_not_be_committed_is_not_answered_and_may_come_again(under: StoreUnderTest) -> None:
    under.created("a")
    under.store.writer.fail_next(True)

    under.record("a", 1, TaskStarted())
    under.run()
    answers_before = under.counts()
    under.record("a", 1, TaskStarted())
    under.run()

    assert answers_before == []
    assert under.counts() == [2]
    assert under.store.event_types(TaskId("a")) == ["task_created", "task_started"]
    assert under.published() == ["task_started"]


def test_a_record_behind_one_that_failed_is_not_recorded_before_it(under: StoreUnderTest) -> None:
    under.created("a")
    under.store.writer.fail_next(True, True, False)  # the group, its first, its second

    under.record("a", 1, TaskStarted())
    under.record("a", 2, ANALYSIS)
    under.run()
    before = under.store.event_types(TaskId("a"))
    under.record("a", 1, TaskStarted(), ANALYSIS)
    under.run()

    assert before == ["task_created"]
    assert under.counts() == [1, 3]


def test_ids_that_a_failed_transaction_took_are_not_used_again(under: StoreUnderTest) -> None:
    under.created("a")
    under.store.writer.fail_next(True)

    under.record("a", 1, TaskStarted())
    under.run()
    under.record("a", 1, TaskStarted())
    under.run()

    first, second = under.store.event_ids()
    assert second > first + 1


def test_two_tasks_of_a_new_session_share_it_when_repeated_one_by_one(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True)

    first, second = under.create("a"), under.create("b")
    under.run()

    assert ask_result(first).session_key == ask_result(second).session_key
    assert under.store.reader.sessions(limit=10, offset=0).total == 1


# Crashes of agents.


def test_a_crash_fails_the_task_with_the_counters_that_it_had(under: StoreUnderTest) -> None:
    under.created("a")
    under.record("a", 1, TaskStarted(), IterationStart(iteration=3, total_iters=50))

    under.record_crash("a")
    under.run()

    task = under.store.task(TaskId("a"))
    assert (task.status, task.termination_reason, task.error) == ("failed", "error", "It broke.")
    assert (task.total_iterations, task.result) == (3, None)
    assert [(message.task_id, message.status) for message in under.session.received] == [("a", "failed")]
    assert under.published()[-1] == "task_failed"


@pytest.mark.parametrize("same_group", [True, False])
def test_a_crash_after_an_end_changes_nothing(under: StoreUnderTest, *, same_group: bool) -> None:
    under.created("a")
    under.record("a", 1, TaskStarted(), COMPLETED)
    if not same_group:
        under.run()

    under.record_crash("a")
    under.run()

    assert under.store.task(TaskId("a")).status == "completed"
    assert under.store.event_types(TaskId("a"))[1:] == ["task_started", "task_completed"]
    (ended,) = under.session.received
    assert isinstance(ended, TaskEnded)
    assert ended.status == "completed"


def test_a_crash_that_could_not_be_recorded_is_tried_again(under: StoreUnderTest) -> None:
    under.created("a")
    under.store.writer.fail_next(True)

    under.record_crash("a")
    under.run()
    before = list(under.session.received)
    under.dispatcher.advance(RETRY_AFTER)

    assert before == []
    assert under.store.task(TaskId("a")).status == "failed"
    assert [message.status for message in under.session.received] == ["failed"]


def test_a_crash_after_an_end_that_could_not_be_read_at_once_is_answered_later(
    under: StoreUnderTest,
) -> None:
    under.created("a")
    under.record("a", 1, COMPLETED)
    under.run()
    under.store.writer.fail_next(False, True)  # the group, which has nothing to write, then the read

    under.record_crash("a")
    under.run()
    before = list(under.session.received)
    under.dispatcher.advance(RETRY_AFTER)

    assert before == []
    assert [message.status for message in under.session.received] == ["completed"]


# Revoking.


def test_a_pending_create_is_revoked_and_never_recorded(under: StoreUnderTest) -> None:
    create = under.create("a")
    under.revoke("a")
    other = under.create("b")
    under.run()

    assert under.store.task_ids() == ["b"]
    with pytest.raises(StoreFailure):
        create.get(timeout=0)
    assert ask_result(other).task_id == "b"
    (settled,) = under.session.received
    assert isinstance(settled, Settled)
    assert (settled.task_id, settled.task) == ("a", None)


def test_revoking_the_only_pending_create_leaves_nothing_to_commit(under: StoreUnderTest) -> None:
    under.create("a")
    under.revoke("a")
    under.run()

    assert under.transactions == 0
    assert under.actor._pending == []
    assert under.actor._promises == set()


def test_a_committed_create_is_not_revoked_but_told_of(under: StoreUnderTest) -> None:
    under.created("a")

    under.revoke("a")
    under.run()

    (settled,) = under.session.received
    assert settled.task == under.store.task(TaskId("a"))
    assert under.store.task_ids() == ["a"]


def test_revoking_what_was_never_there_is_answered(under: StoreUnderTest) -> None:
    under.revoke("never")
    under.run()

    (settled,) = under.session.received
    assert settled.task is None


def test_a_revoke_that_could_not_look_is_tried_again(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True)

    under.create("a")
    under.revoke("a")
    under.run()
    before = list(under.session.received)
    under.dispatcher.advance(RETRY_AFTER)

    assert before == []
    assert under.store.task_ids() == []
    assert [message.task for message in under.session.received] == [None]


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


# The next start.


def restarted(under: StoreUnderTest, path: Path) -> StoreUnderTest:
    """Return a store actor over the same file, as after ``kill -9``: the first one is told nothing."""
    under.close()
    return StoreUnderTest(path)


def test_the_next_start_ends_what_was_left_unfinished(under: StoreUnderTest, tmp_path: Path) -> None:
    under.created("waiting", "running", "ended")
    under.record("running", 1, TaskStarted(), IterationComplete(iteration=1, tokens_used=60, tools_run=1))
    under.record("ended", 1, COMPLETED)
    under.run()

    again = restarted(under, tmp_path / "alex.sqlite3")
    recovered = again.interrupt_unfinished()

    assert recovered == RecoveredStore(interrupted=2, last_place=3)
    for task_id in ("waiting", "running"):
        task = again.store.task(TaskId(task_id))
        assert (task.status, task.termination_reason) == ("failed", "interrupted")
        assert again.store.event_types(TaskId(task_id))[-1] == "task_failed"
    assert again.store.task(TaskId("running")).total_tokens == 60
    assert again.store.task(TaskId("ended")).status == "completed"
    assert again.log.events() == ["task.recovered", "task.ended"] * 2
    assert again.published() == ["task_failed", "task_failed"]
    assert again.actor._live == {}
    again.close()


def test_ids_go_on_after_a_restart(under: StoreUnderTest, tmp_path: Path) -> None:
    under.created("a", "b")
    ids = under.store.event_ids()
    key = under.store.task(TaskId("a")).session_key

    again = restarted(under, tmp_path / "alex.sqlite3")
    again.interrupt_unfinished()
    again.places = 2
    other = again.create("c", session_id=SessionId("other"))
    again.run()

    assert min(again.store.event_ids()[2:]) > max(ids)
    assert ask_result(other).session_key > key
    again.close()


def test_an_empty_store_has_nothing_to_recover(under: StoreUnderTest) -> None:
    assert under.interrupt_unfinished() == RecoveredStore(interrupted=0, last_place=0)


def test_an_event_is_the_same_read_or_published(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 1, TaskStarted(), COMPLETED)
    under.run()

    published = [event for message in under.broadcaster.received for event in message.events]
    assert published == under.store.events(TaskId("a"))[1:]
    body = msgspec.json.decode(published[1].json())
    assert (body["event_id"], body["event_type"]) == (published[1].event_id, "task_completed")
    assert (body["task_id"], body["session_id"], body["parent_task_id"]) == ("a", "home", None)
    assert (body["timestamp"], body["agent_level"], body["final_answer"]) == (NOW, "core", "4")
