"""A following that falls behind: too much at once, events published again, a broadcaster that was rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.broadcaster_protocol import Publish
from alex_actors.events import TaskStarted
from alex_actors.following import LARGEST_STRETCH, LONGEST_STRETCH, MOST_BYTES
from alex_actors.messages import tell
from tests.unit.followed import SESSION, T1, Followed, said
from tests.unit.protocol_system import CONTEXT


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    """Two tasks in one session, of which one has started; all of it broadcast."""
    followed = Followed(tmp_path / "alex.sqlite3")
    followed.create("t1", "t2")
    followed.commit("t1", TaskStarted())
    followed.broadcast()
    yield followed
    followed.close()


# What does not fit.


@pytest.mark.parametrize(
    ("events", "size", "read_again"),
    [
        (LONGEST_STRETCH, 1, False),
        (LONGEST_STRETCH + 1, 1, True),
        (3, LARGEST_STRETCH // 4, False),
        (4, LARGEST_STRETCH // 4, True),
        (1, LARGEST_STRETCH, True),
        (2 * LONGEST_STRETCH + 10, 1, True),
    ],
)
def test_what_is_too_much_to_keep_is_read_from_the_store(
    followed: Followed, events: int, size: int, read_again: bool
) -> None:
    owner = followed.live(T1)
    start, pages = followed.last_id(), followed.reader.pages

    followed.commit("t1", *(said("x" * size) for _ in range(events)))
    followed.broadcast()
    owner.serve()

    assert owner.taken == [event_id for event_id in followed.recorded(T1) if event_id > start]
    assert (followed.reader.pages > pages) == read_again


@pytest.mark.parametrize("live", [False, True])
def test_no_more_bytes_are_taken_at_once_than_may_wait(followed: Followed, *, live: bool) -> None:
    owner = followed.live(T1) if live else followed.follow(T1)
    start = owner.following.position
    sizes = [MOST_BYTES // 4] * 3 + [3 * MOST_BYTES, 1]

    followed.commit("t1", *(said("x" * size) for size in sizes))
    followed.broadcast()
    taken = []
    while events := owner.following.take(100):
        taken.append(events)

    assert [event.event_id for events in taken for event in events] == [
        event_id for event_id in followed.recorded(T1) if event_id > start
    ]
    for events in taken:
        assert sum(len(event.body) for event in events[:-1]) < MOST_BYTES


def test_what_was_taken_makes_room(followed: Followed) -> None:
    owner = followed.live(T1)
    pages = followed.reader.pages

    for _ in range(20):
        followed.commit("t1", said("x" * (LARGEST_STRETCH // 2)))
        followed.broadcast()
        owner.serve()

    assert owner.taken == followed.recorded(T1)[-20:]
    assert followed.reader.pages == pages


def test_too_much_while_the_store_is_read_is_read_as_well(followed: Followed) -> None:
    owner = followed.follow(T1, limit=10)
    followed.broadcast()

    def flood() -> None:
        followed.commit("t1", *(said("x") for _ in range(LONGEST_STRETCH + 5)))
        followed.broadcast()

    followed.reader.after = flood
    owner.serve()

    assert owner.taken == followed.recorded(T1)


def test_after_too_much_it_is_live_again(followed: Followed) -> None:
    owner = followed.live(T1)
    followed.commit("t1", said("x" * LARGEST_STRETCH))
    followed.broadcast()
    owner.serve()
    pages = followed.reader.pages

    followed.commit("t1", said("a"))
    followed.broadcast()
    owner.serve()

    assert owner.taken == followed.recorded(T1)[-2:]
    assert followed.reader.pages == pages


# Repeats, and a broadcaster that was rebuilt.


def test_what_is_published_again_is_not_given_again(followed: Followed) -> None:
    owner = followed.live(T1)
    followed.commit("t1", said("a"), said("b"))
    followed.broadcast()
    owner.take()

    repeated = followed.under.store.reader.events(T1.task_id, after=0, limit=100)
    assert repeated is not None
    tell(followed.ref, Publish(context=CONTEXT, events=repeated))
    followed.commit("t1", said("c"))
    followed.broadcast()
    owner.serve()

    assert owner.taken == followed.recorded(T1)[-3:]


def test_what_a_rebuilt_broadcaster_did_not_hand_on_is_read_from_the_store(followed: Followed) -> None:
    task, session = followed.live(T1), followed.live(SESSION)
    start = followed.last_id()
    followed.commit("t1", said("heard before, and not taken yet"))
    followed.broadcast()
    followed.commit("t1", said("in the mailbox when it crashed"))

    followed.rebuild_broadcaster()
    followed.commit("t1", said("behind the new subscription"))
    followed.broadcast()
    for owner in (task, session):
        owner.serve()

    expected = [event_id for event_id in followed.recorded(T1) if event_id > start]
    assert task.taken == session.taken == expected
    assert len(expected) == 3


def test_a_following_is_live_again_after_a_rebuilt_broadcaster(followed: Followed) -> None:
    owner = followed.live(T1)
    followed.rebuild_broadcaster()
    followed.broadcast()
    owner.serve()
    pages = followed.reader.pages

    followed.commit("t1", said("a"))
    followed.broadcast()
    owner.serve()

    assert owner.taken == followed.recorded(T1)[-1:]
    assert followed.reader.pages == pages
