"""The metrics of the parts of the server: read from each part as it is, without waiting for any."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.actor import PooledActor
from alex_actors.dispatchers import PinnedDispatcher
from alex_actors.messages import Tell, tell
from alex_actors.metrics.system_metrics import SystemMetrics
from tests.unit.actor_fakes import CapturedLog
from tests.unit.protocol_system import CONTEXT
from tests.unit.test_health import PATIENCE, Parts


class Block(Tell["Blocked"], frozen=True, kw_only=True):
    """Have the actor wait."""


class Blocked(PooledActor):
    """Handles a message until the test lets it go on."""

    def __init__(self, go_on: threading.Event, began: threading.Event) -> None:
        super().__init__()
        self._go_on, self._began = go_on, began

    def on_receive(self, message: Block) -> object:
        self._began.set()
        self._go_on.wait(PATIENCE)
        return None


class Measured:
    """The parts, one actor that does not come to an end, and their metrics."""

    def __init__(self, database: Path) -> None:
        self.parts = Parts(database)
        self.pinned = PinnedDispatcher(name="pinned", log=CapturedLog().logger)
        self.go_on, began = threading.Event(), threading.Event()
        blocked = self.pinned.spawn(lambda: Blocked(self.go_on, began), supervisor=lambda _: None)
        for _ in range(3):
            tell(blocked, Block(context=CONTEXT))
        began.wait(PATIENCE)
        self.metrics = SystemMetrics(
            dispatchers=(self.pinned, self.parts.pool), restarts=self.parts.restarts,
            executor=self.parts.executor, agents_thread=self.parts.thread,
            mcp_servers=lambda: {"github": True, "files": False}, database=database, lost_lines=lambda: 7,
        )  # fmt: skip

    def read(self, name: str) -> dict[str, float]:
        """Return the values of a metric by those of its label; of one without labels by ``""``."""
        samples = (sample for metric in self.metrics.collect() for sample in metric.samples)
        return {"".join(one.labels.values()): one.value for one in samples if one.name == name}

    def stop(self) -> None:
        self.go_on.set()
        self.pinned.stop(timeout=PATIENCE)
        self.parts.stop()


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Measured]:
    (tmp_path / "alex.sqlite3").write_bytes(b"x" * 10)
    (tmp_path / "alex.sqlite3-wal").write_bytes(b"x" * 20)
    measured = Measured(tmp_path / "alex.sqlite3")
    yield measured
    measured.stop()


def test_an_actor_that_does_not_go_on_is_seen_by_what_waits_for_it(measured: Measured) -> None:
    assert measured.read("alex_actors")["Blocked"] == 1
    assert measured.read("alex_mailbox_messages")["Blocked"] == 2
    assert measured.read("alex_actors")["AgentActor"] == 0


def test_what_was_handled_is_counted_when_the_turn_is_over(measured: Measured) -> None:
    measured.go_on.set()
    measured.pinned.stop(timeout=PATIENCE)

    assert measured.read("alex_actor_messages_total")["Blocked"] >= 3
    assert measured.read("alex_actor_handling_seconds_total")["Blocked"] > 0


def test_restarts_count_for_good(measured: Measured) -> None:
    parts = measured.parts
    parts.restarts["store"].take()
    parts.clock.advance_to(parts.clock.monotonic() + 1_000_000)
    parts.restarts["store"].take()

    assert measured.read("alex_actor_restarts_total") == {
        "SessionActor": 0, "TaskStoreActor": 2, "BroadcasterActor": 0,
    }  # fmt: skip


def test_mcp_servers_files_and_lost_lines_are_as_they_are(measured: Measured) -> None:
    assert measured.read("alex_mcp_server_up") == {"github": 1, "files": 0}
    assert measured.read("alex_store_database_bytes") == {"": 10}
    assert measured.read("alex_store_wal_bytes") == {"": 20}
    assert measured.read("alex_log_lost_lines_total") == {"": 7}


def test_a_file_that_is_not_there_has_no_bytes(measured: Measured, tmp_path: Path) -> None:
    (tmp_path / "alex.sqlite3-wal").unlink()

    assert measured.read("alex_store_wal_bytes") == {"": 0}
