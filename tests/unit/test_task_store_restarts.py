"""The TaskStoreActor after a crash: what is committed is told, what is not is gone, and nothing is doubled."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pykka
import pytest

from alex_actors.events import IterationStart, TaskStarted
from alex_actors.session_protocol import Settled, Stock
from alex_actors.store.troubles import RETRY_AFTER
from alex_actors.task_store_protocol import StoreFailure
from alex_actors.values import TaskId
from tests.unit.protocol_system import ask_result
from tests.unit.store_under_test import COMPLETED, StoreUnderTest


@pytest.fixture
def under(tmp_path: Path) -> Iterator[StoreUnderTest]:
    under = StoreUnderTest(tmp_path / "alex.sqlite3", restarted=True)
    under.run()
    yield under
    under.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return another program's connection to the store."""
    with contextlib.closing(sqlite3.connect(tmp_path / "alex.sqlite3", isolation_level=None)) as connection:
        yield connection


def stock(under: StoreUnderTest) -> Stock:
    """Return what the session was told last."""
    message = under.session.received[-1]
    assert isinstance(message, Stock)
    return message


# Restarted.


def test_what_was_committed_and_not_published_is_published_and_logged_once(under: StoreUnderTest) -> None:
    under.created("a")
    under.record("a", 1, TaskStarted(), IterationStart(iteration=1, total_iters=3), COMPLETED)

    under.crash_after_commit()

    assert under.published() == ["task_started", "iteration_start", "task_completed"]
    assert [event.event_id for event in under.broadcaster.received[0].events] == under.store.event_ids()[1:]
    assert under.log.events() == ["task.created", "task.started", "task.ended"]
    assert under.log.lines[-1]["status"] == "completed"
    assert under.actor._live == {}


def test_what_was_published_is_not_published_again(under: StoreUnderTest) -> None:
    under.created("a")

    under.record("a", 1, TaskStarted())
    under.run()
    under.create("b")
    under.crash()

    assert under.published() == ["task_started", "task_created"]


def test_who_waited_for_a_commit_is_told_that_it_will_not_come(under: StoreUnderTest) -> None:
    first = under.create("a")
    under.dispatcher.step()  # it waits for its commit
    under.create("b")

    under.crash()

    with pytest.raises(pykka.ActorDeadError):
        ask_result(first)
    assert under.store.task_ids() == ["b"]


def test_a_task_goes_on_where_it_was_recorded(under: StoreUnderTest) -> None:
    under.created("a")
    under.record("a", 1, TaskStarted())
    under.run()

    under.record("a", 2, COMPLETED)
    under.crash()

    assert under.counts() == [2, 3]
    assert under.store.event_types(TaskId("a")) == ["task_created", "task_started", "task_completed"]


def test_events_that_were_not_committed_are_found_missing(under: StoreUnderTest) -> None:
    under.created("a")
    under.record("a", 1, TaskStarted())
    under.dispatcher.step()
    under.revoke("other")  # on which it crashes, with the record pending
    under.crash()

    under.record("a", 2, COMPLETED)
    under.run()

    assert under.missing() == [1]


def test_a_store_that_failed_before_the_crash_is_probed_after_it(under: StoreUnderTest) -> None:
    under.condition.failure = "disk I/O error"

    under.create("a")
    under.crash()
    probes = under.timers.pending

    assert probes == 1


def test_a_restart_does_not_wait_for_another_programs_lock(
    under: StoreUnderTest, other: sqlite3.Connection
) -> None:
    under.created("a")
    other.execute("BEGIN IMMEDIATE")

    under.revoke("a")
    under.crash()

    (settled,) = under.session.received
    assert settled.task == under.store.task(TaskId("a"))


# Taking stock.


def test_stock_is_taken_though_another_program_holds_the_lock(
    under: StoreUnderTest, other: sqlite3.Connection
) -> None:
    under.created("a")
    other.execute("BEGIN IMMEDIATE")

    under.take_stock(1)
    under.run()

    assert [one.task.task_id for one in stock(under).unfinished] == ["a"]


def test_stock_is_what_is_unfinished_in_the_order_of_its_places(under: StoreUnderTest) -> None:
    under.created("a", "b", "c")
    under.record("a", 1, TaskStarted())
    under.record("b", 1, COMPLETED)

    under.take_stock(1)
    under.run()

    found = stock(under)
    assert [(one.task.task_id, one.recorded) for one in found.unfinished] == [("a", 2), ("c", 1)]
    assert (found.incarnation, found.last_place) == (1, 3)


def test_what_is_pending_is_committed_before_stock_is_taken(under: StoreUnderTest) -> None:
    created = under.create("a")
    under.take_stock(1)

    under.run()

    assert [one.task.task_id for one in stock(under).unfinished] == ["a"]
    assert ask_result(created).task_id == "a"


def test_nothing_is_recorded_on_the_word_of_a_session_actor_that_is_gone(under: StoreUnderTest) -> None:
    under.take_stock(2)
    stale, valid = under.create("a", incarnation=1), under.create("b", incarnation=2)

    under.run()

    with pytest.raises(StoreFailure, match="confirmed before a crash"):
        ask_result(stale)
    assert ask_result(valid).task_id == "b"
    assert under.store.task_ids() == ["b"]


def test_it_is_remembered_across_a_crash_who_took_stock_last(under: StoreUnderTest) -> None:
    under.take_stock(2)
    under.run()

    stale = under.create("a", incarnation=1)
    under.crash()

    with pytest.raises(StoreFailure):
        ask_result(stale)


def test_stock_that_cannot_be_taken_is_tried_again(under: StoreUnderTest, other: sqlite3.Connection) -> None:
    under.created("a")
    other.execute("ALTER TABLE tasks RENAME TO gone")
    under.take_stock(1)
    under.run()
    before = list(under.session.received)
    other.execute("ALTER TABLE gone RENAME TO tasks")

    under.dispatcher.advance(RETRY_AFTER)

    assert before == []
    assert [one.task.task_id for one in stock(under).unfinished] == ["a"]


def test_stock_is_not_taken_again_for_a_session_actor_that_is_gone(
    under: StoreUnderTest, other: sqlite3.Connection
) -> None:
    other.execute("ALTER TABLE tasks RENAME TO gone")
    under.take_stock(1)
    under.run()
    other.execute("ALTER TABLE gone RENAME TO tasks")
    under.take_stock(2)
    under.run()

    under.dispatcher.advance(RETRY_AFTER)

    assert [message.incarnation for message in under.session.received] == [2]


def test_a_revoke_after_a_crash_finds_what_was_committed(under: StoreUnderTest) -> None:
    under.create("a")
    under.crash_after_commit()

    under.revoke("a")
    under.run()

    settled = under.session.received[-1]
    assert isinstance(settled, Settled)
    assert settled.task == under.store.task(TaskId("a"))
