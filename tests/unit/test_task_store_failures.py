"""The TaskStoreActor when things go wrong: transactions, agents, workers, the whole server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from alex_actors.agent_protocol import History
from alex_actors.events import (
    IterationComplete,
    IterationStart,
    TaskAnalysis,
    TaskCreated,
    TaskStarted,
    read_back,
)
from alex_actors.messages import tell
from alex_actors.session_protocol import Settled, TaskEnded
from alex_actors.simulation.store import disk_error, row_error
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.store.troubles import RETRY_AFTER
from alex_actors.task_store_protocol import RecoveredStore, StoreFailure, TellHistory
from alex_actors.values import SessionId, TaskId, timestamp
from tests.unit.protocol_system import CONTEXT, ask_result, failing
from tests.unit.store_under_test import COMPLETED, HOME, NOW, StoreUnderTest

ANALYSIS = TaskAnalysis(action_name="calculate", goal="4")


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    yield under
    under.close()


# Failing transactions.


def test_a_group_that_fails_for_one_of_its_changes_is_repeated_one_by_one(under: StoreUnderTest) -> None:
    under.store.writer.refuse_rows_of("bad")

    good, bad, other = under.create("good"), under.create("bad"), under.create("other")
    under.run()

    assert under.store.task_ids() == ["good", "other"]
    assert ask_result(good).task_id == "good"
    assert ask_result(other).task_id == "other"
    with pytest.raises(StoreFailure, match="NOT NULL constraint failed"):
        bad.get(timeout=0)
    assert under.transactions == 2
    assert under.published() == ["task_created", "task_created"]


def test_a_group_that_fails_with_the_disk_is_not_tried_again_at_once(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True)

    creates = [under.create(task_id) for task_id in "abc"]
    under.run()

    assert under.store.writer.failed == 1
    assert under.transactions == 0
    for create in creates:
        with pytest.raises(StoreFailure, match="disk I/O error"):
            create.get(timeout=0)
    assert under.condition.failure == "disk I/O error"


def test_a_group_is_not_repeated_when_it_is_the_disk_that_fails(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True)

    futures = under.create("a"), under.create("b")
    under.run()

    for future in futures:
        with pytest.raises(StoreFailure, match="disk I/O error"):
            future.get(timeout=0)
    assert (under.store.writer.failed, under.transactions) == (1, 0)


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


def test_a_store_that_works_again_is_seen_though_nobody_asks_for_anything(under: StoreUnderTest) -> None:
    under.store.writer.fail_if(lambda _batches: True)
    under.create("a")
    under.run()

    under.dispatcher.advance(3 * RETRY_AFTER)
    failing = under.condition.failure
    under.store.writer.fail_next()
    under.dispatcher.advance(RETRY_AFTER)

    assert failing == "disk I/O error"
    assert under.condition.failure is None
    assert under.timers.pending == 0


def test_a_row_that_is_refused_says_nothing_of_the_store(under: StoreUnderTest) -> None:
    under.store.writer.refuse_rows_of("bad")

    under.create("bad")
    under.run()

    assert under.condition.failure is None
    assert under.timers.pending == 0


def test_a_store_that_fails_again_and_again_is_looked_at_by_one_probe(under: StoreUnderTest) -> None:
    under.store.writer.fail_next(True, False, True)

    for name in ("a", "b", "c"):  # it fails, it works, it fails
        under.create(name)
        under.run()

    assert under.timers.pending == 1


def test_a_group_that_is_repeated_one_by_one_is_given_up_when_the_disk_fails_too(under: StoreUnderTest) -> None:
    errors = iter([row_error, disk_error])
    under.store.writer.fail_if(lambda _batches: True, error=lambda: next(errors)())

    futures = [under.create(name) for name in ("a", "b", "c")]
    under.run()

    assert all(future.done for future in futures)
    assert under.store.writer.failed == 2


def test_a_sessions_last_use_does_not_go_back(under: StoreUnderTest) -> None:
    under.create("a", at=timestamp(EPOCH + timedelta(seconds=9)))
    under.run()

    under.create("b", at=timestamp(EPOCH + timedelta(seconds=3)))
    under.run()

    session = under.store.reader.session(SessionId(HOME))
    assert session is not None
    assert session.session.updated_at == timestamp(EPOCH + timedelta(seconds=9))


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
    under.store.writer.fail_next(True, True, False, error=row_error)  # the group, its first, its second

    under.record("a", 1, TaskStarted())
    under.record("a", 2, ANALYSIS)
    under.run()
    before = under.store.event_types(TaskId("a"))
    under.record("a", 1, TaskStarted(), ANALYSIS)
    under.run()

    assert before == ["task_created"]
    assert under.missing() == [1]
    assert under.counts() == [3]


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
    under.store.writer.fail_next(True, error=row_error)

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
    under.store.actors_reader.fails = failing(True)

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
    assert not under.actor._promises


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
    under.store.actors_reader.fails = failing(True)

    under.create("a")
    under.revoke("a")
    under.run()
    before = list(under.session.received)
    under.dispatcher.advance(RETRY_AFTER)

    assert before == []
    assert under.store.task_ids() == []
    assert [message.task for message in under.session.received] == [None]


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
    recovered = again.recover()

    assert recovered == RecoveredStore(unfinished=2)
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


def test_or_takes_it_up_and_leaves_it_as_it_is(under: StoreUnderTest, tmp_path: Path) -> None:
    under.created("waiting", "running")
    under.record("running", 1, TaskStarted(), IterationComplete(iteration=1, tokens_used=60, tools_run=1))
    under.run()

    again = restarted(under, tmp_path / "alex.sqlite3")
    recovered = again.recover(resume=True)

    assert recovered == RecoveredStore(unfinished=2)
    assert again.log.events() == ["task.recovered"] * 2
    assert again.published() == []
    assert again.store.event_types(TaskId("running")) == ["task_created", "task_started", "iteration_complete"]
    again.close()


def test_an_agent_that_goes_on_is_told_its_history(under: StoreUnderTest) -> None:
    under.created("a", "b")
    under.record("a", 1, TaskStarted())
    under.run()
    under.agent.take()

    tell(under.ref, TellHistory(context=CONTEXT, task_id=TaskId("a"), agent=under.agent.ref))
    under.run()

    (history,) = under.agent.received
    assert isinstance(history, History)
    assert [type(read_back(body)) for body in history.bodies] == [TaskCreated, TaskStarted]


def test_a_transaction_that_wrote_nothing_does_not_say_that_the_store_works(under: StoreUnderTest) -> None:
    under.created("a")
    under.store.writer.fails = disk_error
    under.record("a", 1, TaskStarted())
    under.run()
    under.store.writer.fails = lambda: None  # for what is empty, as a disk that is full lets it through

    under.record("a", 2, IterationStart(iteration=1, total_iters=5))  # behind a gap: nothing is recorded
    under.run()
    after_nothing = under.condition.failure
    under.record("a", 1, TaskStarted())
    under.run()

    assert after_nothing == "disk I/O error"
    assert under.condition.failure is None


def test_a_history_that_cannot_be_read_is_told_when_it_can(under: StoreUnderTest) -> None:
    under.created("a")
    under.store.actors_reader.fails = disk_error

    tell(under.ref, TellHistory(context=CONTEXT, task_id=TaskId("a"), agent=under.agent.ref))
    under.run()
    before = list(under.agent.received)
    under.store.actors_reader.fails = lambda: None
    under.dispatcher.advance(RETRY_AFTER)

    assert before == []
    assert [type(message) for message in under.agent.received] == [History]


def test_ids_go_on_after_a_restart(under: StoreUnderTest, tmp_path: Path) -> None:
    under.created("a", "b")
    ids = under.store.event_ids()
    key = under.store.task(TaskId("a")).session_key

    again = restarted(under, tmp_path / "alex.sqlite3")
    again.recover()
    again.places = 2
    other = again.create("c", session_id=SessionId("other"))
    again.run()

    assert min(again.store.event_ids()[2:]) > max(ids)
    assert ask_result(other).session_key > key
    again.close()


def test_an_empty_store_has_nothing_to_recover(under: StoreUnderTest) -> None:
    assert under.recover() == RecoveredStore(unfinished=0)


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
