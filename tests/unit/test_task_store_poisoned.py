"""The TaskStoreActor and changes that fail before they get to the database: only they are given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.agent_protocol import RecordRefused
from alex_actors.events import TaskStarted
from alex_actors.session_protocol import TaskEnded
from alex_actors.store.staging import Staging
from alex_actors.store.troubles import RETRY_AFTER
from alex_actors.task_store_actor import UNRECORDABLE, TaskStoreActor
from alex_actors.task_store_protocol import Create, Record, RecordCrash, StoreFailure
from alex_actors.tasks import Status, Task
from alex_actors.values import TaskId, Timestamp
from tests.unit.protocol_system import ask_result
from tests.unit.store_under_test import COMPLETED, StoreUnderTest


class Poison(Exception):
    """What staging a change fails of."""


class PoisonedStaging(Staging):
    """Fails for what is about a task whose ID begins with ``bad``; for its end too, if ``bad-to-the-end``."""

    def create(self, message: Create) -> Task:
        if message.new.task == "poison":
            raise Poison
        return super().create(message)

    def record(self, message: Record) -> int | None:
        if message.task_id.startswith("bad"):
            super().record(message)  # half of it is staged
            raise Poison
        return super().record(message)

    def crash(self, message: RecordCrash, at: Timestamp) -> Status | None:
        if message.task_id.startswith("bad"):
            raise Poison
        return super().crash(message, at)

    def end(self, task_id: TaskId, at: Timestamp, *, error: str) -> Status | None:
        if task_id.startswith("bad-to-the-end"):
            raise Poison
        return super().end(task_id, at, error=error)


class PoisonedStore(TaskStoreActor):
    """A store actor that stages with poison."""

    staging_class = PoisonedStaging


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    under = StoreUnderTest(tmp_path / "alex.sqlite3", restarted=True, store_class=PoisonedStore)
    under.run()
    yield under
    under.close()


def dropped(under: StoreUnderTest) -> list[str]:
    """Return the types of the messages that were reported as dropped."""
    return [line["type"] for line in under.log.named("message.dropped")]


def test_a_poisoned_create_fails_its_asker_and_the_others_are_recorded(under: StoreUnderTest) -> None:
    first, bad, last = under.create("a"), under.create("b", text="poison"), under.create("c")

    under.run()

    with pytest.raises(StoreFailure, match="Poison"):
        ask_result(bad)
    assert [ask_result(future).task_id for future in (first, last)] == ["a", "c"]
    assert under.store.task_ids() == ["a", "c"]
    assert under.published() == ["task_created", "task_created"]


def test_what_the_database_driver_cannot_take_is_given_up_alone_too(under: StoreUnderTest) -> None:
    bad, good = under.create("a", session_id="\ud800"), under.create("b")

    under.run()

    with pytest.raises(StoreFailure, match="surrogates not allowed"):
        ask_result(bad)
    assert ask_result(good).task_id == "b"


def test_what_is_dropped_is_reported_with_its_type_its_ids_and_what_was_raised(under: StoreUnderTest) -> None:
    under.create("b", text="poison")

    under.run()

    (line,) = under.log.named("message.dropped")
    assert (line["log_level"], line["receiver"], line["type"]) == ("error", "TaskStoreActor", "Create")
    assert (line["task_id"], line["session_id"], line["trace_id"]) == ("b", "home", "trace-of-the-test")
    assert isinstance(line["exc_info"], Poison)
    assert under.condition.failure is None


def test_a_poisoned_record_ends_its_task_and_its_agent_is_told(under: StoreUnderTest) -> None:
    under.created("a", "bad")

    under.record("a", 1, TaskStarted())
    under.record("bad", 1, TaskStarted())
    under.record("a", 2, COMPLETED)
    under.run()

    task = under.store.task(TaskId("bad"))
    assert (task.status, task.termination_reason, task.error) == ("failed", "error", UNRECORDABLE)
    assert under.store.event_types(TaskId("bad")) == ["task_created", "task_failed"]
    assert [one.status for one in under.agent.received if isinstance(one, RecordRefused)] == ["failed"]
    assert under.store.task(TaskId("a")).status == "completed"
    assert under.published() == ["task_started", "task_failed", "task_completed"]
    assert under.actor._live == {}


def test_an_agent_that_sends_a_poisoned_record_again_is_told_again(under: StoreUnderTest) -> None:
    under.created("bad")

    for _ in range(5):
        under.record("bad", 1, TaskStarted())
        under.run()

    assert [type(one) for one in under.agent.received] == [RecordRefused] * 5
    assert under.store.event_types(TaskId("bad")) == ["task_created", "task_failed"]


def test_a_poisoned_crash_ends_its_task_and_the_session_is_told(under: StoreUnderTest) -> None:
    under.created("bad")

    under.record_crash("bad")
    under.run()

    assert [(one.task_id, one.status) for one in under.session.received] == [("bad", "failed")]
    assert under.store.task(TaskId("bad")).error == UNRECORDABLE
    assert (dropped(under), under.timers.pending) == (["RecordCrash"], 0)


def test_a_task_whose_end_cannot_be_recorded_either_holds_nobody_up(under: StoreUnderTest) -> None:
    under.created("bad-to-the-end-1", "bad-to-the-end-2")

    under.record_crash("bad-to-the-end-1")
    under.record("bad-to-the-end-2", 1, TaskStarted())
    under.run()

    (ended,) = under.session.received
    (refused,) = under.agent.received
    assert isinstance(ended, TaskEnded)
    assert isinstance(refused, RecordRefused)
    assert (ended.status, refused.status) == ("failed", "failed")
    assert dropped(under) == ["RecordCrash", "Dropped", "Record", "Dropped"]
    assert under.timers.pending == 0


def test_a_poisoned_crash_whose_end_the_disk_refuses_is_tried_again(under: StoreUnderTest) -> None:
    under.created("bad")
    under.store.writer.fail_next(True)  # the end: the crash itself does not get as far

    under.record_crash("bad")
    under.run()
    before = list(under.session.received)
    under.dispatcher.advance(RETRY_AFTER)

    assert before == []
    assert [one.status for one in under.session.received] == ["failed"]
    assert under.store.task(TaskId("bad")).status == "failed"


def test_a_crash_after_the_commit_is_no_poison(under: StoreUnderTest) -> None:
    under.create("a")

    under.crash_after_commit()

    assert dropped(under) == []
    assert under.published() == ["task_created"]
