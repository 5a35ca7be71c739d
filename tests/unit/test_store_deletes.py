"""The TaskStoreActor: sessions that are deleted, with all that they have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from alex_actors.agent_protocol import RecordRefused
from alex_actors.broadcaster_protocol import Publish, PublishDeleted
from alex_actors.events import IterationStart, TaskStarted
from alex_actors.session_protocol import EraseFailed, SessionErased
from alex_actors.simulation.store import row_error
from tests.unit.protocol_system import CONTEXT, ask_result
from tests.unit.store_under_test import COMPLETED, HOME, StoreUnderTest

TABLES = ("events", "tasks", "sessions")


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    under = StoreUnderTest(tmp_path / "alex.sqlite3", restarted=True)
    under.run()
    yield under
    under.close()


def rows(under: StoreUnderTest) -> dict[str, int]:
    """Return how many rows each table has."""
    with under.store._readers.connect() as connection:
        counts = {table: connection.execute(text(f"SELECT count(*) FROM {table}")) for table in TABLES}
        return {table: count.scalar_one() for table, count in counts.items()}


def ended(under: StoreUnderTest, *task_ids: str, session_id: str = HOME) -> None:
    """Have tasks recorded from their first event to their last, and forget what was said of them."""
    for task_id in task_ids:
        under.create(task_id, session_id=session_id)
        under.record(task_id, 1, TaskStarted(), COMPLETED)
    under.run()
    for one in (under.broadcaster, under.agent, under.session):
        one.take()


# What is deleted.


def test_a_session_goes_with_its_tasks_and_their_events_and_nothing_else_does(under: StoreUnderTest) -> None:
    ended(under, "a", "b")
    ended(under, "c", session_id="other")

    under.erase()
    under.run()

    assert rows(under) == {"sessions": 1, "tasks": 1, "events": 3}
    assert under.store.task_ids() == ["c"]
    assert under.store.reader.session(HOME) is None


def test_it_is_logged_and_published_and_its_workspace_removed_and_then_it_is_answered(
    under: StoreUnderTest,
) -> None:
    ended(under, "a", "b")

    under.erase(deletion=7)
    under.run()

    assert under.deleted() == [(HOME, ("a", "b"))]
    assert under.workspaces.keys == [1]
    assert [(type(one), one.session_id, one.deletion) for one in under.session.received] == [
        (SessionErased, HOME, 7)
    ]
    line = under.log.lines[-1]
    assert (line["event"], line["session_id"], line["trace_id"], line["tasks"]) == (
        "session.deleted",
        HOME,
        CONTEXT.trace_id,
        2,
    )


def test_what_waited_for_a_commit_is_committed_and_published_before(under: StoreUnderTest) -> None:
    under.create("a")
    under.record("a", 1, TaskStarted(), COMPLETED)
    under.erase()
    made_anew = under.create("b")

    under.run()

    assert [type(message) for message in under.broadcaster.received] == [Publish, PublishDeleted, Publish]
    assert under.store.task_ids() == ["b"]
    assert ask_result(made_anew).session_key == 2


def test_a_session_that_is_made_anew_is_another_one_and_no_id_is_used_again(under: StoreUnderTest) -> None:
    ended(under, "a")
    last = under.store.event_ids()[-1]
    under.erase()
    under.crash()

    made = under.create("b")
    under.run()

    assert ask_result(made).session_key == 2
    assert min(under.store.event_ids()) > last
    assert under.workspaces.keys == [1]


def test_to_be_told_twice_does_no_harm(under: StoreUnderTest) -> None:
    ended(under, "a")

    under.erase()
    under.erase()
    under.erase("never")
    under.run()

    assert [type(message) for message in under.session.received] == [SessionErased] * 3
    assert len(under.deleted()) == 1
    assert under.workspaces.keys == [1]


def test_an_event_of_a_task_that_is_gone_is_refused_and_its_agent_told(under: StoreUnderTest) -> None:
    ended(under, "a")
    under.erase()

    under.record("a", 3, IterationStart(iteration=1, total_iters=3))
    under.run()

    assert [type(message) for message in under.agent.received] == [RecordRefused]
    assert rows(under) == {"sessions": 0, "tasks": 0, "events": 0}


# What goes wrong.


@pytest.mark.parametrize("failure", ["disk", "row"])
def test_a_deletion_that_cannot_be_committed_leaves_everything_and_says_so(
    under: StoreUnderTest, failure: str
) -> None:
    ended(under, "a")
    if failure == "disk":
        under.store.writer.fail_next(True)
    else:
        under.store.writer.fail_next(True, error=row_error)

    under.erase(deletion=3)
    under.run()

    (answer,) = under.session.received
    assert (type(answer), answer.deletion) == (EraseFailed, 3)
    assert rows(under) == {"sessions": 1, "tasks": 1, "events": 3}
    assert (under.deleted(), under.workspaces.keys) == ([], [])
    assert (under.condition.failure is not None) == (failure == "disk")
    (line,) = under.log.named("store.commit_failed")
    assert (line["change"], line["session_id"]) == ("EraseSession", HOME)


def test_a_store_that_crashes_after_the_commit_publishes_it_when_it_is_restarted(under: StoreUnderTest) -> None:
    ended(under, "a", "b")
    under.erase()

    under.crash_after_commit()

    assert under.deleted() == [(HOME, ("a", "b"))]
    assert under.workspaces.keys == [1]
    assert under.condition.erasing is None


def test_a_store_that_crashes_before_the_commit_publishes_nothing_and_does_it_then(under: StoreUnderTest) -> None:
    ended(under, "a")
    under.erase()

    under.crash()

    assert under.deleted() == [(HOME, ("a",))]
    assert [type(message) for message in under.session.received] == [SessionErased]


def test_what_was_not_committed_is_not_told_after_a_crash(under: StoreUnderTest) -> None:
    ended(under, "a")
    under.erase("never")
    under.run()
    under.store.writer.fail_next(True)
    under.erase()
    under.run()

    under.crash()

    assert under.deleted() == []
    assert under.store.task_ids() == ["a"]
