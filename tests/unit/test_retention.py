"""Retention: what ended long ago is removed, a little at a time; nothing else ever is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from alex_actors.broadcaster_protocol import PublishDeleted, PublishRemoved
from alex_actors.events import TaskStarted
from alex_actors.simulation.store import disk_error
from alex_actors.simulation.virtual_time import EPOCH
from alex_actors.store.check import check
from alex_actors.store.retention import EVERY, MOST_TASKS, SOON
from alex_actors.values import Timestamp, timestamp
from tests.unit.recorded_data import run_sql
from tests.unit.store_under_test import COMPLETED, HOME, StoreUnderTest

MONTH = timedelta(days=30)


def ago(**time: float) -> Timestamp:
    """Return a moment before the test's now."""
    return timestamp(EPOCH - timedelta(**time))


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    """A store that keeps what has ended for a month."""
    under = StoreUnderTest(tmp_path / "alex.sqlite3", restarted=True, keep_ended=MONTH)
    under.run()
    yield under
    under.close()


def task(
    under: StoreUnderTest, task_id: str, at: Timestamp, *, session_id: str = HOME, ended: bool = True
) -> None:
    """Have a task recorded that was begun, and ended, then."""
    under.create(task_id, session_id=session_id, at=at)
    under.record(task_id, 1, TaskStarted(), at=at)
    if ended:
        under.record(task_id, 2, COMPLETED, at=at)
    under.run()


def first_look(under: StoreUnderTest) -> None:
    """Let the time come."""
    under.broadcaster.take()
    under.dispatcher.advance(SOON)
    under.run()


def sessions(under: StoreUnderTest) -> list[str]:
    return [one.session_id for one in under.store.reader.sessions(limit=100, offset=0).sessions]


def removed(under: StoreUnderTest) -> list[str]:
    """Return the tasks of which their streams were told that they are gone."""
    told = [one for one in under.broadcaster.received if isinstance(one, PublishRemoved)]
    return [topic.task_id for message in told for topic in message.topics]


def test_what_ended_longer_ago_than_it_is_kept_is_removed_with_its_events(under: StoreUnderTest) -> None:
    task(under, "old", ago(days=31))
    task(under, "young", ago(days=29))

    first_look(under)

    assert under.store.task_ids() == ["young"]
    assert len(under.store.event_ids()) == 3
    assert removed(under) == ["old"]
    assert check(under.path, under.path.parent / "workspaces").sound


def test_a_task_that_has_not_ended_is_never_removed(under: StoreUnderTest) -> None:
    task(under, "old", ago(days=3000), ended=False)

    first_look(under)

    assert under.store.task_ids() == ["old"]
    assert sessions(under) == [HOME]


def test_a_sub_agents_task_is_kept_while_its_parent_has_not_ended(under: StoreUnderTest) -> None:
    for name, ended in (("waiting", False), ("done", True), ("needed", True), ("old", True)):
        task(under, name, ago(days=3000), ended=ended)
    for parent, child in (("waiting", "needed"), ("done", "old")):
        run_sql(under.path, f"UPDATE tasks SET parent_task_id = '{parent}' WHERE task_id = '{child}'")

    first_look(under)

    assert under.store.task_ids() == ["waiting", "needed"]


def test_by_default_all_is_kept_for_ever(tmp_path: Path) -> None:
    under = StoreUnderTest(tmp_path / "alex.sqlite3")
    task(under, "old", ago(days=3000))

    assert under.timers.pending == 0
    under.close()


def test_a_session_that_has_nothing_left_goes_with_its_workspace(under: StoreUnderTest) -> None:
    task(under, "old", ago(days=31), session_id="empty")
    task(under, "old too", ago(days=31), session_id="used")
    task(under, "young", ago(days=1), session_id="used")

    first_look(under)

    assert sessions(under) == ["used"]
    assert under.deleted() == [("empty", ())]
    assert under.workspaces.keys == [1]


def test_a_session_without_a_task_goes_if_it_was_not_used_for_as_long(under: StoreUnderTest) -> None:
    under.make_session("old")
    under.make_session("young")
    under.run()
    run_sql(under.path, f"UPDATE sessions SET updated_at = '{ago(days=31)}' WHERE session_id = 'old'")

    first_look(under)

    assert sessions(under) == ["young"]


def test_a_session_that_was_forked_keeps_what_it_has_from_the_other(under: StoreUnderTest) -> None:
    task(under, "old", ago(days=31))
    run_sql(under.path, "INSERT INTO messages VALUES (1, 0, 'user', 'Hi')")

    first_look(under)

    assert (under.store.task_ids(), sessions(under)) == ([], [HOME])
    assert under.log.named("retention.failed") == []


def test_an_idempotency_key_goes_with_its_task(under: StoreUnderTest) -> None:
    task(under, "old", ago(days=31))
    run_sql(under.path, f"INSERT INTO idempotency_keys VALUES ('local', 'k', 'f', 1, '{ago(days=31)}')")

    first_look(under)

    with under.store._readers.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM idempotency_keys")).scalar_one() == 0
    assert check(under.path, under.path.parent / "workspaces").sound


def test_it_takes_a_few_at_a_time(under: StoreUnderTest) -> None:
    for number in range(MOST_TASKS + 1):
        task(under, f"old {number}", ago(days=31))

    first_look(under)

    lines = under.log.named("retention.removed")
    assert [(line["tasks"], line["sessions"]) for line in lines] == [(MOST_TASKS, 0), (1, 0), (0, 1)]


def test_it_looks_again_every_hour(under: StoreUnderTest) -> None:
    task(under, "almost", ago(days=30, hours=-1))
    first_look(under)
    assert under.store.task_ids() == ["almost"]

    under.dispatcher.advance(EVERY)
    under.run()

    assert under.store.task_ids() == []


def test_a_store_that_fails_is_tried_again_after_an_hour(under: StoreUnderTest) -> None:
    task(under, "old", ago(days=31))
    under.store.writer.fail_next(True, error=disk_error)
    first_look(under)
    assert under.store.task_ids() == ["old"]

    under.dispatcher.advance(EVERY)
    under.run()

    assert under.store.task_ids() == []


def test_after_a_crash_it_goes_on_once_and_not_at_once(under: StoreUnderTest) -> None:
    first_look(under)
    pending = under.timers.pending
    under.make_session("crashing")
    under.crash()
    task(under, "old", ago(days=31))

    assert under.timers.pending == pending
    under.dispatcher.advance(SOON)
    under.run()
    assert under.store.task_ids() == ["old"]
    under.dispatcher.advance(EVERY)
    under.run()
    assert under.store.task_ids() == []
    assert under.timers.pending == pending


def test_another_owner_hears_of_its_own_tasks_only(under: StoreUnderTest) -> None:
    task(under, "old", ago(days=31))
    run_sql(under.path, "UPDATE tasks SET owner = 'ada'", "UPDATE sessions SET owner = 'ada'")

    first_look(under)

    (message,) = [one for one in under.broadcaster.received if isinstance(one, PublishRemoved)]
    assert [topic.owner for topic in message.topics] == ["ada"]
    (told,) = [one for one in under.broadcaster.received if isinstance(one, PublishDeleted)]
    assert told.context.owner == "ada"
