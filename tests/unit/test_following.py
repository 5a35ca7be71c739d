"""Following a task or a session: replay, then live, each event once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic
from alex_actors.events import TaskStarted
from alex_actors.simulation.store import disk_error
from alex_actors.values import SessionId, TaskId
from tests.unit.followed import SESSION, T1, T2, Followed, said
from tests.unit.store_under_test import COMPLETED


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    """Two tasks in one session, of which one has started; all of it broadcast."""
    followed = Followed(tmp_path / "alex.sqlite3")
    followed.create("t1", "t2")
    followed.commit("t1", TaskStarted())
    followed.broadcast()
    yield followed
    followed.close()


def test_all_recorded_events_come_first_and_then_the_live_ones(followed: Followed) -> None:
    owner = followed.follow(T1)
    followed.broadcast()
    owner.serve()
    replayed = list(owner.taken)
    pages = followed.reader.pages

    followed.commit("t1", said("a"), said("b"))
    followed.broadcast()
    owner.serve()

    assert len(replayed) == 2
    assert owner.taken == followed.recorded(T1)
    assert followed.reader.pages == pages, "live events are read from memory"


def test_the_events_of_a_session_are_those_of_all_its_tasks(followed: Followed) -> None:
    followed.create("t3", session_id="elsewhere")
    owner = followed.follow(SESSION)
    followed.broadcast()
    owner.serve()

    followed.commit("t2", TaskStarted())
    followed.commit("t3", TaskStarted())
    followed.commit("t1", said("a"))
    followed.broadcast()
    owner.serve()

    assert owner.taken == followed.recorded(SESSION)
    assert len(owner.taken) == 5
    assert not owner.following.ended


def test_only_what_is_above_the_position_comes(followed: Followed) -> None:
    first, second = followed.recorded(T1)

    owner = followed.follow(T1, after=first)
    followed.broadcast()
    owner.serve()

    assert owner.taken == [second]
    assert owner.following.position == second


def test_a_position_past_the_end_of_the_log_skips_what_it_says_it_has(followed: Followed) -> None:
    owner = followed.follow(SESSION, after=followed.last_id() + 1)
    followed.broadcast()
    owner.serve()

    followed.commit("t1", said("skipped"))
    followed.commit("t1", said("new"))
    followed.broadcast()
    owner.serve()

    assert owner.taken == followed.recorded(SESSION)[-1:]


def test_a_page_is_no_longer_than_its_limit_also_when_live(followed: Followed) -> None:
    owner = followed.live(T1, limit=2)
    followed.commit("t1", *(said("x") for _ in range(5)))
    followed.broadcast()

    pages = [len(owner.take()) for _ in range(4)]

    assert pages == [2, 2, 1, 0]


def test_a_limit_of_nothing_is_refused(followed: Followed) -> None:
    owner = followed.follow(T1, limit=0)

    with pytest.raises(ValueError, match="limit is 0; 1 or more"):
        owner.take()


# The end.


def test_a_task_has_ended_when_its_terminal_event_is_taken_live(followed: Followed) -> None:
    owner = followed.live(T1)
    followed.commit("t1", COMPLETED)
    followed.broadcast()
    before = owner.following.ended

    owner.serve()

    assert (before, owner.following.ended) == (False, True)
    assert owner.taken == followed.recorded(T1)[-1:]


def test_a_task_has_ended_when_its_terminal_event_is_read(followed: Followed) -> None:
    followed.commit("t1", COMPLETED)
    owner = followed.follow(T1, limit=2)

    pages = [(owner.take(), owner.following.ended) for _ in range(3)]

    created, started, completed = followed.recorded(T1)
    assert pages == [([created, started], False), ([completed], True), ([], True)]


@pytest.mark.parametrize("further", [0, 1_000_000])
def test_a_task_whose_end_is_at_or_before_the_position_has_ended_at_the_first_look(
    followed: Followed, further: int
) -> None:
    followed.commit("t1", COMPLETED)

    owner = followed.follow(T1, after=followed.last_id() + further)

    assert owner.take() == []
    assert owner.following.ended


def test_a_task_that_ends_below_the_position_has_ended(followed: Followed) -> None:
    owner = followed.follow(T1, after=1_000_000)
    followed.broadcast()
    owner.serve()

    followed.commit("t1", COMPLETED)
    followed.broadcast()
    owner.serve()

    assert owner.taken == []
    assert owner.following.ended


def test_a_task_that_ends_between_the_looks_at_its_events_and_at_its_end_loses_no_event(
    followed: Followed,
) -> None:
    owner = followed.follow(T1, after=followed.last_id())
    followed.reader.after = lambda: followed.commit("t1", said("a"), COMPLETED)

    taken = owner.take()

    assert taken == followed.recorded(T1)[-2:]
    assert owner.following.ended


def test_another_task_of_the_session_ends_nothing(followed: Followed) -> None:
    task, session = followed.live(T1), followed.live(SESSION)

    followed.commit("t2", TaskStarted(), COMPLETED)
    followed.broadcast()
    task.serve()
    session.serve()

    assert (task.taken, task.following.ended) == ([], False)
    assert (session.taken, session.following.ended) == (followed.recorded(T2)[-2:], False)


def test_what_is_not_there_is_missing_and_comes_when_it_is(followed: Followed) -> None:
    task = followed.follow(TaskTopic(TaskId("t9")))
    session = followed.follow(SessionTopic(SessionId("later")))
    followed.broadcast()
    task.serve()
    session.serve()
    missing = (task.following.missing, session.following.missing)

    followed.create("t9", session_id="later")
    followed.broadcast()
    task.serve()
    session.serve()

    assert missing == (True, True)
    assert task.taken == session.taken == [followed.last_id()]


# Being woken.


def test_who_has_taken_all_is_woken_once_for_all_that_comes_until_it_takes(followed: Followed) -> None:
    owner = followed.live(T1)
    before = owner.woken

    followed.commit("t1", said("a"), said("b"))
    followed.commit("t1", said("c"))
    followed.broadcast()
    first = owner.woken
    owner.serve()
    followed.commit("t1", said("d"))
    followed.broadcast()

    assert (first, owner.woken) == (before + 1, before + 2)


def test_who_takes_before_the_subscription_and_has_not_taken_all_is_not_woken_by_it(
    followed: Followed,
) -> None:
    owner = followed.follow(T1, limit=1)
    owner.take()

    followed.broadcast()

    assert owner.woken == 0


def test_who_has_not_taken_all_is_not_woken(followed: Followed) -> None:
    owner = followed.live(T1, limit=1)
    followed.commit("t1", said("a"), said("b"))
    followed.broadcast()
    owner.take()
    before = owner.woken

    followed.commit("t1", said("c"))
    followed.broadcast()

    assert owner.woken == before


def test_who_has_read_nothing_yet_is_woken_by_the_subscription(followed: Followed) -> None:
    owner = followed.follow(T1, after=followed.last_id())
    before = owner.woken

    followed.broadcast()

    assert (before, owner.woken) == (0, 1)


def test_recorded_events_can_be_taken_while_there_is_no_broadcaster(followed: Followed) -> None:
    owner = followed.follow(T1)

    taken = owner.take()
    followed.commit("t1", said("a"))
    later = owner.take()

    assert taken + later == followed.recorded(T1)


def test_a_store_that_fails_loses_nothing(followed: Followed) -> None:
    owner = followed.follow(T1)
    followed.broadcast()

    def fail() -> None:
        raise disk_error()

    followed.reader.before = fail
    with pytest.raises(OperationalError):
        owner.take()
    owner.take()
    followed.commit("t1", said("a"))
    followed.broadcast()
    owner.serve()

    assert owner.taken == followed.recorded(T1)


# Closing.


def test_what_is_closed_leaves_nothing_behind(followed: Followed) -> None:
    owners = [followed.live(topic) for topic in (T1, T2, SESSION)]
    before = (len(followed.followings), followed.registrations)

    for owner in owners:
        followed.followings.close(owner.following)
        followed.followings.close(owner.following)
    followed.broadcast()

    assert before == (3, 3)
    assert (len(followed.followings), followed.registrations) == (0, 0)


def test_who_has_closed_is_neither_woken_nor_given_anything(followed: Followed) -> None:
    owner = followed.live(T1)
    woken = owner.woken
    followed.commit("t1", said("a"))

    followed.followings.close(owner.following)
    followed.broadcast()

    assert owner.take() == []
    assert owner.woken == woken


def test_who_closes_before_the_subscription_is_not_woken_by_it(followed: Followed) -> None:
    owner = followed.follow(T1)

    followed.followings.close(owner.following)
    followed.broadcast()

    assert owner.woken == 0
    assert owner.take() == []
    assert followed.registrations == 0


def test_what_is_closed_is_not_subscribed_again(followed: Followed) -> None:
    owner = followed.live(T1)
    followed.followings.close(owner.following)

    followed.rebuild_broadcaster()
    followed.broadcast()

    assert followed.registrations == 0
