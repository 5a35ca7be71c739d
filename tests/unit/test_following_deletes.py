"""Followings of a session that is deleted: what is in memory is given, and then nothing for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.broadcaster_protocol import Topic
from alex_actors.events import TaskStarted
from alex_actors.following import LONGEST_STRETCH
from tests.unit.followed import SESSION, T1, T2, Followed, Follower, said
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


def deleted(owner: Follower) -> bool:
    """Serve, and return whether the session is deleted for this one."""
    owner.serve()
    return owner.following.session_deleted


def test_one_that_is_live_is_woken_and_gets_what_was_published_before(followed: Followed) -> None:
    session, task = followed.live(SESSION), followed.live(T2)
    followed.commit("t2", said("late"))
    last = followed.last_id()

    followed.erase()
    followed.broadcast()

    assert deleted(session)
    assert deleted(task)
    assert session.taken == task.taken == [last]
    assert not task.following.ended


def test_a_task_that_ended_before_is_ended_and_not_deleted(followed: Followed) -> None:
    owner = followed.live(T1)
    followed.commit("t1", COMPLETED)

    followed.erase()
    followed.broadcast()

    assert not deleted(owner)
    assert owner.following.ended


def test_one_that_is_behind_gives_nothing_after_a_gap(followed: Followed) -> None:
    owner = followed.live(SESSION)
    followed.commit("t1", *(said("x") for _ in range(LONGEST_STRETCH + 1)))
    followed.broadcast()
    followed.commit("t2", said("after the gap"))
    followed.broadcast()

    followed.erase()
    followed.broadcast()

    assert deleted(owner)
    assert owner.taken == []


def test_one_that_is_behind_and_finds_nothing_any_more_gives_nothing_after_a_gap(followed: Followed) -> None:
    owner = followed.live(SESSION)
    followed.commit("t1", *(said("x") for _ in range(LONGEST_STRETCH + 1)))
    followed.broadcast()
    followed.commit("t2", said("after the gap"))
    followed.broadcast()

    followed.erase(published=False)

    assert deleted(owner)
    assert owner.taken == []


def test_one_that_has_taken_nothing_of_a_deleted_session_is_not_given_the_next_one(followed: Followed) -> None:
    followed.erase()
    followed.broadcast()
    owner = followed.follow(SESSION)
    followed.broadcast()

    for _ in range(2):
        followed.create("t3")
        followed.broadcast()
        followed.erase()
        followed.broadcast()
    followed.create("t4")
    followed.broadcast()

    assert deleted(owner)
    assert owner.taken == []


@pytest.mark.parametrize("topic", [SESSION, T1], ids=["session", "task"])
def test_one_that_finds_nothing_where_something_was_is_told_by_that(followed: Followed, topic: Topic) -> None:
    owner = followed.follow(topic, limit=1)
    first = owner.take()
    followed.erase(published=False)

    second = owner.take()

    assert len(first) == 1
    assert second == []
    assert owner.following.session_deleted


def test_one_that_was_dropped_by_a_broadcaster_finds_out_when_it_subscribes_again(followed: Followed) -> None:
    session, task = followed.live(SESSION), followed.live(T1)
    followed.erase(published=False)

    followed.rebuild_broadcaster()
    followed.broadcast()

    assert deleted(session)
    assert deleted(task)


def test_what_never_was_there_is_missing_and_not_deleted(followed: Followed) -> None:
    followed.erase()
    followed.broadcast()

    owner = followed.follow(SESSION)
    followed.broadcast()

    assert not deleted(owner)
    assert owner.following.missing


def test_a_session_that_is_made_anew_is_not_taken_for_the_one_before(followed: Followed) -> None:
    live, behind = followed.live(SESSION), followed.follow(SESSION, limit=1)
    behind.take()
    followed.erase(published=False)
    followed.create("t3")

    taken = behind.take()
    followed.rebuild_broadcaster()
    followed.broadcast()

    assert taken == []
    assert behind.following.session_deleted
    assert deleted(live)
    assert live.taken == []


def test_one_that_was_there_before_the_session_is_not_taken_to_the_next_one(followed: Followed) -> None:
    followed.erase()
    followed.broadcast()
    owner = followed.follow(SESSION)
    followed.broadcast()
    owner.serve()
    followed.create("t3")
    followed.broadcast()
    owner.serve()
    followed.erase(published=False)
    followed.create("t4")

    followed.rebuild_broadcaster()
    followed.broadcast()

    assert deleted(owner)
    assert len(owner.taken) == 1


def test_one_of_the_new_session_is_not_told_of_the_end_of_the_one_before(followed: Followed) -> None:
    followed.erase()
    followed.broadcast()
    followed.create("t3")

    owner = followed.follow(SESSION)
    followed.broadcast()

    assert not deleted(owner)
    assert owner.taken == followed.recorded(SESSION)


def test_the_broadcaster_keeps_nobody_who_follows_a_session_that_is_gone(followed: Followed) -> None:
    followed.live(SESSION)
    followed.live(T2)
    before = followed.registrations

    followed.erase()
    followed.broadcast()

    assert (before, followed.registrations) == (2, 0)
