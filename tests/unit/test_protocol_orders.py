"""The protocol under hundreds of orders of its messages, with whatever may go wrong going wrong.

Each seed is a history (``protocol_history``). Run one again with ``-k "[SEED]"``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from alex_actors.store.database import open_writer
from tests.unit.protocol_history import History
from tests.unit.protocol_system import Store

SEEDS = 300


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, copied for each history: making one costs more than playing it."""
    path = tmp_path_factory.mktemp("template") / "alex.sqlite3"
    open_writer(path, synchronous="OFF").dispose()
    return path


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_always_holds_holds_in_every_order(seed: int, tmp_path: Path, template: Path) -> None:
    store = Store(tmp_path / "alex.sqlite3", template=template)
    history = History(seed, store)

    try:
        history.play()
    except AssertionError as failure:
        msg = f"seed {seed}: {failure}"
        raise AssertionError(msg) from failure
    finally:
        history.abandon()
        store.close()


def test_the_same_seed_is_the_same_history(tmp_path: Path, template: Path) -> None:
    logs: list[list[object]] = []

    for name in ("first", "second"):
        store = Store(tmp_path / f"{name}.sqlite3", template=template)
        history = History(7, store)
        history.play()
        logs.append(list(history.system.log.lines))
        store.close()

    assert logs[0] == logs[1]
