"""The session actor and the store actor crash at every message of a history, and nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from alex_actors.actor import PooledActor
from alex_actors.session_actor import SessionActor
from alex_actors.store.database import open_writer
from alex_actors.task_store_actor import TaskStoreActor
from tests.unit.protocol_history import History, ItBroke
from tests.unit.protocol_system import Published, Store

Moment: TypeAlias = Literal["before", "after", "twice", "commit"]
"""Before the message is handled, after it; before it and before it once more; after a commit."""

CALM = 185
"""The seed of a history in which nothing else goes wrong, with an interrupt and two cancels."""


class CrashAt(History):
    """A history in which one actor crashes at its ``number``-th message, counted from 0, or after that commit."""

    def __init__(self, seed: int, store: Store, *, whose: type[PooledActor], number: int, moment: Moment) -> None:
        self.count = -1
        self._whose = whose
        self._number = number
        self._moment = moment
        super().__init__(seed, store)
        assert not any((self.crashes, self.restarts, self.store_fails, self.gives_up))
        self.restarts = True  # as answers are judged

    def _perhaps_crash(self, actor: PooledActor, _message: object) -> None:
        if isinstance(actor, self._whose) and self._moment != "commit" and self.begun:
            self.count += 1
            again = self._moment == "twice" and self.count == self._number + 1
            if self._moment != "after" and (self.count == self._number or again):
                raise ItBroke

    def _perhaps_crash_after(self, actor: PooledActor, _message: object) -> None:
        if isinstance(actor, self._whose) and self._moment == "after" and self.count == self._number:
            raise ItBroke

    def _perhaps_crash_store(self) -> None:
        if self._moment == "commit":
            self.count += 1
            if self.count == self._number:
                raise ItBroke


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, copied for each history."""
    path = tmp_path_factory.mktemp("template") / "alex.sqlite3"
    open_writer(path, synchronous="OFF").dispose()
    return path


@pytest.mark.parametrize(
    ("whose", "moment"),
    [
        *((SessionActor, moment) for moment in ("before", "after", "twice")),
        (Published, "before"),
        *((TaskStoreActor, moment) for moment in ("before", "after", "twice", "commit")),
    ],
)
def test_what_always_holds_holds_wherever_an_actor_crashes(
    whose: type[PooledActor], moment: Moment, tmp_path: Path, template: Path
) -> None:
    number = 0
    while True:
        store = Store(tmp_path / f"{number}.sqlite3", template=template)
        history = CrashAt(CALM, store, whose=whose, number=number, moment=moment)
        try:
            history.play()
        except AssertionError as failure:
            msg = f"{whose.__name__} crashes at {number}, {moment}: {failure}"
            raise AssertionError(msg) from failure
        finally:
            history.abandon()
            store.close()
        if history.count < number:
            break
        number += 1

    assert number > 5
