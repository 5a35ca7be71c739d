"""Following events in every order of what can happen, and at every line at which it can happen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal, TypeAlias

import pytest

from alex_actors import following
from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic, Topic
from alex_actors.events import TaskStarted
from alex_actors.following import LARGEST_STRETCH
from alex_actors.values import SessionId, TaskId
from tests.unit.followed import Followed, Follower, said
from tests.unit.store_under_test import COMPLETED

Step: TypeAlias = Literal["follow", "commit", "handle", "rebuild", "take"]
"""What the reader, the store, the broadcaster (``handle``: of its next message) and its supervisor do."""


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    followed = Followed(tmp_path / "alex.sqlite3")
    yield followed
    followed.close()


# Every order.


def orders(steps: dict[Step, int], waiting: int = 0, *, follows: bool = False) -> Iterator[list[Step]]:
    """Yield every order of these steps that is possible; ``handle`` comes as often as there are messages."""
    if not waiting and not any(steps.values()):
        yield []
    if waiting:
        yield from (["handle", *rest] for rest in orders(steps, waiting - 1, follows=follows))
    for step, left in steps.items():
        if left and (step != "take" or follows):
            sends = step in ("follow", "commit") or (step == "rebuild" and follows)
            remaining = {**steps, step: left - 1}
            rests = orders(remaining, waiting + sends, follows=follows or step == "follow")
            yield from ([step, *rest] for rest in rests)


def play(followed: Followed, order: list[Step], run: str, *, whole_session: bool, limit: int) -> Follower:
    """Take the steps with two tasks of a new session; then let the reader take for as long as it has reason to."""
    first, second = f"{run}-a", f"{run}-b"
    followed.create(first, second, session_id=run)
    followed.broadcast()
    topic: Topic = SessionTopic(SessionId(run)) if whole_session else TaskTopic(TaskId(first))
    owner = Follower(limit)
    commits = iter(
        (
            lambda: followed.commit(first, TaskStarted(), said("a")),
            lambda: followed.commit(second, TaskStarted()),
            lambda: followed.commit(first, COMPLETED),
        )
    )
    for step in order:
        match step:
            case "follow":
                owner.following = followed.followings.follow(topic, after=0, wake=owner.wake)
            case "commit":
                next(commits)()
            case "handle":
                followed.handle()
            case "rebuild":
                followed.rebuild_broadcaster()
            case "take":
                owner.take()
    assert not followed.waiting
    owner.serve()
    return owner


COMMITS: dict[Step, int] = {"follow": 1, "commit": 3, "take": 1}
REBUILD: dict[Step, int] = {"follow": 1, "commit": 2, "rebuild": 1, "take": 1}


@pytest.mark.parametrize(
    ("steps", "whole_session", "limit"),
    [(COMMITS, False, 1), (COMMITS, False, 100), (COMMITS, True, 1), (REBUILD, False, 1)],
    ids=["pages of one", "one page", "a session", "a rebuilt broadcaster"],
)
def test_in_every_order_each_event_is_given_once_and_in_order(
    followed: Followed, steps: dict[Step, int], whole_session: bool, limit: int
) -> None:
    for number, order in enumerate(orders(steps)):
        run = f"run-{number}"

        owner = play(followed, order, run, whole_session=whole_session, limit=limit)

        assert owner.taken == followed.recorded(owner.following.topic), order
        assert owner.following.ended == (not whole_session and steps["commit"] == 3), order
        followed.followings.close(owner.following)
        followed.broadcast()
    assert number > 100
    assert followed.registrations == 0


# At every line.


class AtLine:
    """Does something once, before a line of the module under test runs: as another thread would at that point.

    Lines are counted from 1 as they are run. What is done is not traced.
    """

    def __init__(self, number: int, do: Callable[[], object]) -> None:
        self._number = number
        self._do = do
        self._line = 0
        self._before: Any = None  # Any: whatever traces already
        self.done = False

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, kind: str, _argument: object) -> Any:  # Any: as typeshed has it
        if frame.f_code.co_filename != following.__file__:
            return None
        if kind == "line":
            self._line += 1
            if self._line == self._number:
                self.done = True
                self._do()
        return self._trace


def lives(followed: Followed, topic: TaskTopic) -> Follower:
    """Return a reader that has taken all, with one event more to take."""
    owner = followed.live(topic)
    followed.commit(topic.task_id, TaskStarted())
    followed.broadcast()
    return owner


def has_taken_all(followed: Followed, topic: TaskTopic) -> Follower:
    """Return a reader that takes once more than it has reason to."""
    return followed.live(topic)


def is_behind(followed: Followed, topic: TaskTopic) -> Follower:
    """Return a reader that is subscribed and has read nothing yet."""
    owner = followed.follow(topic, after=followed.last_id())
    followed.broadcast()
    return owner


def is_not_subscribed(followed: Followed, topic: TaskTopic) -> Follower:
    """Return a reader whose subscription still waits for the broadcaster."""
    return followed.follow(topic, after=followed.last_id())


def event_comes(followed: Followed, task_id: str) -> None:
    followed.commit(task_id, said("a"))


def too_much_comes(followed: Followed, task_id: str) -> None:
    followed.commit(task_id, said("a"), said("x" * LARGEST_STRETCH), said("b"))


def end_comes(followed: Followed, task_id: str) -> None:
    followed.commit(task_id, said("a"), COMPLETED)


def broadcaster_is_rebuilt(followed: Followed, task_id: str) -> None:
    followed.commit(task_id, said("lost"))
    followed.rebuild_broadcaster()
    followed.commit(task_id, said("heard"))


READERS = pytest.mark.parametrize("reader", [lives, has_taken_all, is_behind, is_not_subscribed])
NEWS = pytest.mark.parametrize("news", [event_comes, too_much_comes, end_comes, broadcaster_is_rebuilt])


def lines(followed: Followed) -> Iterator[tuple[int, TaskTopic]]:
    """Yield the numbers of the lines at which something may happen, each with a new task."""
    for number in range(1, 10_000):
        task_id = TaskId(f"task-{number}")
        followed.create(task_id)
        followed.broadcast()
        yield number, TaskTopic(task_id)


def check(followed: Followed, owner: Follower, topic: TaskTopic, *, start: int) -> None:
    """See that the reader gets everything, also what comes later, and has been woken for all of it."""
    owner.serve()
    if not owner.following.ended:
        followed.commit(topic.task_id, said("later"))
        followed.broadcast()
        owner.serve()
    assert owner.taken == [event_id for event_id in followed.recorded(topic) if event_id > start]
    assert owner.woken <= 4, "woken far more often than there was news"
    followed.followings.close(owner.following)
    followed.broadcast()


@READERS
@NEWS
def test_news_at_any_line_of_a_take_is_neither_missed_nor_given_twice(
    followed: Followed,
    reader: Callable[[Followed, TaskTopic], Follower],
    news: Callable[[Followed, str], None],
) -> None:
    for number, topic in lines(followed):
        start = followed.last_id()
        owner = reader(followed, topic)

        def happen(task_id: str = topic.task_id) -> None:
            news(followed, task_id)
            followed.broadcast()

        at_line = AtLine(number, happen)
        with at_line:
            owner.take()
        if not at_line.done:
            break
        check(followed, owner, topic, start=start)
    assert number > 10


@READERS
@NEWS
@pytest.mark.parametrize("take", [Follower.take, Follower.serve], ids=["woken or not", "if woken"])
def test_a_take_at_any_line_of_the_broadcaster_misses_nothing_and_repeats_nothing(
    followed: Followed,
    reader: Callable[[Followed, TaskTopic], Follower],
    news: Callable[[Followed, str], None],
    take: Callable[[Follower], object],
) -> None:
    for number, topic in lines(followed):
        start = followed.last_id()
        owner = reader(followed, topic)
        news(followed, topic.task_id)

        at_line = AtLine(number, partial(take, owner))
        with at_line:
            followed.broadcast()
        if not at_line.done:
            break
        check(followed, owner, topic, start=start)
    assert number > 5


def test_a_close_at_any_line_of_a_new_subscription_leaves_none_behind(followed: Followed) -> None:
    for number, topic in lines(followed):
        owner = followed.live(topic)

        at_line = AtLine(number, partial(followed.followings.close, owner.following))
        with at_line:
            followed.rebuild_broadcaster()
        followed.broadcast()
        if not at_line.done:
            break
        assert (followed.registrations, len(followed.followings)) == (0, 0)
    assert number > 5


def test_a_new_subscription_at_any_line_of_a_close_leaves_none_behind(followed: Followed) -> None:
    for number, topic in lines(followed):
        owner = followed.live(topic)

        at_line = AtLine(number, followed.rebuild_broadcaster)
        with at_line:
            followed.followings.close(owner.following)
        followed.broadcast()
        if not at_line.done:
            break
        assert (followed.registrations, len(followed.followings)) == (0, 0)
    assert number > 5


def test_a_broadcaster_rebuilt_at_any_line_of_a_new_following_loses_nothing(followed: Followed) -> None:
    for number, topic in lines(followed):
        start = followed.last_id()
        owner = Follower(limit=100)

        def crash() -> None:
            followed.broadcast()
            followed.rebuild_broadcaster()

        at_line = AtLine(number, crash)
        with at_line:
            owner.following = followed.followings.follow(topic, after=start, wake=owner.wake)
        if not at_line.done:
            break
        followed.broadcast()
        owner.serve()
        followed.commit(topic.task_id, TaskStarted())
        followed.broadcast()
        check(followed, owner, topic, start=start)
    assert number > 5
