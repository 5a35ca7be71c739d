"""The wiring of the actors: who is told of a restart, and when it is the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alex_actors.actor import PooledActor
from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import Publish, SessionTopic
from alex_actors.mailbox import mailbox_of
from alex_actors.messages import tell
from alex_actors.replies import Submitted
from alex_actors.task_store_protocol import ReadFailed, Recover
from alex_actors.values import SessionId
from tests.unit.protocol_system import CONTEXT, ProtocolSystem, Store, new_task


class ItBroke(Exception):
    """What actors crash of."""


class Crashing:
    """A system in which the next messages of a kind crash their actor."""

    def __init__(self, store: Store) -> None:
        self.left: dict[type[object], int] = {}
        self.make: Callable[[], ProtocolSystem] = lambda: ProtocolSystem(store, observer=self._observe)

    def crash(self, kind: type[object], times: int = 1) -> None:
        self.left[kind] = times

    def _observe(self, _actor: PooledActor, message: object) -> None:
        if self.left.get(type(message), 0):
            self.left[type(message)] -= 1
            raise ItBroke


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[Crashing]:
    store = Store(tmp_path / "alex.sqlite3")
    yield Crashing(store)
    store.close()


def test_who_follows_something_follows_it_also_after_a_restart_of_the_broadcaster(crashing: Crashing) -> None:
    system = crashing.make()
    topic = SessionTopic(SessionId("home"))
    following = system.core.followings.follow(topic, after=0, wake=lambda: None)
    system.dispatcher.run()
    crashing.crash(Publish)

    reply = system.runtime.submit(new_task("home"), CONTEXT)
    system.dispatcher.run()

    assert isinstance(reply, Submitted)
    assert [event.event_type for event in following.take(10)] == ["task_created", "task_started"]
    assert isinstance(mailbox_of(system.core.broadcaster).actor, BroadcasterActor)


def test_a_store_that_crashes_before_there_is_anybody_else_recovers_all_the_same(crashing: Crashing) -> None:
    crashing.crash(Recover)

    system = crashing.make()

    assert isinstance(system.runtime.submit(new_task("home"), CONTEXT), Submitted)


def test_one_that_goes_on_crashing_is_reported_once(crashing: Crashing) -> None:
    system = crashing.make()
    crashing.crash(ReadFailed, times=4)

    for _ in range(3):
        tell(system.store_ref, ReadFailed(context=CONTEXT, error="disk I/O error"))
    system.dispatcher.run()

    assert [type(error) for error in system.failures] == [ItBroke]
    assert not system.store_ref.is_alive()
    assert system.core.restarts["store"].recent == 3
    assert system.core.restarts["sessions"].recent == 0


def test_each_session_actor_is_another_incarnation(crashing: Crashing) -> None:
    system = crashing.make()

    numbers = [system.core.make_session()._incarnation for _ in range(2)]

    assert numbers == [2, 3]
