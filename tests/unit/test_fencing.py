"""Two servers on one database, which a lock should have kept apart: the first can write nothing any more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from alex_actors.events import IterationStart
from alex_actors.pytest_plugin import Explorer
from alex_actors.replies import Unavailable
from alex_actors.simulation import SimulatedRuntime, SimulatedStore, Simulation
from alex_actors.simulation.fakes import FOREVER, Delay, ScriptedAgent
from alex_actors.store.database import open_writer
from alex_actors.store.reader import StoreReader
from alex_actors.store.troubles import RETRY_AFTER
from alex_actors.store.writer import StoreWriter, Superseded
from alex_actors.task_store_protocol import StoreFailure
from alex_actors.values import SessionId, TaskId
from tests.unit.protocol_system import ask_result
from tests.unit.store_under_test import COMPLETED, HOME, StoreUnderTest

FIRST, SECOND = TaskId("task-1"), TaskId("task-2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alex.sqlite3"


@contextlib.contextmanager
def another_writer(path: Path) -> Iterator[StoreWriter]:
    """Begin to write as another server does."""
    engine = open_writer(path, synchronous="OFF")
    try:
        yield StoreWriter(engine=engine)
    finally:
        engine.dispose()


@pytest.fixture
def server(path: Path) -> Iterator[StoreUnderTest]:
    """Give a server that has recorded a task and is then superseded."""
    server = StoreUnderTest(path, restarted=True)
    server.created(FIRST)
    with another_writer(path):
        yield server
    server.close()


def test_who_comes_later_shuts_out_who_was_before(path: Path) -> None:
    with (
        another_writer(path) as first,
        another_writer(path) as second,
        pytest.raises(Superseded, match="Another server has taken over"),
        first.transaction(),
    ):
        pytest.fail("nothing is done in a transaction of the first one")

    with second.transaction() as transaction:
        assert transaction.session_keys([]) == {}


def test_a_server_that_was_shut_out_is_so_for_ever(path: Path) -> None:
    with another_writer(path) as first:
        with another_writer(path):
            pass  # it has ended since

        for _ in range(2):
            with pytest.raises(Superseded), first.transaction():
                pytest.fail("nothing is done in a transaction of the first one")


def test_the_same_database_opened_again_counts_on(path: Path) -> None:
    with another_writer(path) as first, first.transaction():
        pass

    with another_writer(path) as second, second.transaction() as transaction:
        assert transaction.session_keys([]) == {}


def test_a_task_is_not_recorded_and_who_submits_it_is_told_so(server: StoreUnderTest) -> None:
    answer = server.create(SECOND)
    server.run()

    with pytest.raises(StoreFailure, match="Another server has taken over"):
        ask_result(answer)
    assert server.store.task_ids() == [FIRST]


def test_the_server_is_told_that_nothing_may_run_on(server: StoreUnderTest) -> None:
    server.record(FIRST, 1, COMPLETED)
    server.run()

    assert [type(error) for error in server.superseded] == [Superseded]
    assert server.condition.failure == str(server.superseded[0])


def test_an_event_is_neither_recorded_nor_answered_nor_published(server: StoreUnderTest) -> None:
    server.record(FIRST, 1, IterationStart(iteration=1, total_iters=50))
    server.run()

    assert server.store.event_types(FIRST) == ["task_created"]
    assert not server.agent.received
    assert server.published() == []


def test_a_session_is_not_deleted(server: StoreUnderTest) -> None:
    server.erase(HOME)
    server.run()

    assert server.store.reader.session_key(SessionId(HOME)) is not None
    assert server.deleted() == []
    assert len(server.superseded) == 1


def test_it_does_not_take_the_store_for_mended(server: StoreUnderTest) -> None:
    server.record(FIRST, 1, COMPLETED)
    server.run()

    server.dispatcher.advance(3 * RETRY_AFTER)
    server.run()

    assert server.condition.failure is not None


def test_a_store_actor_that_is_restarted_writes_nothing_either(server: StoreUnderTest) -> None:
    server.record(FIRST, 1, COMPLETED)
    server.crash()
    server.run()

    assert server.store.event_types(FIRST) == ["task_created"]
    assert server.superseded


def test_whatever_the_server_does_meanwhile_nothing_of_it_is_recorded(simulation: Explorer, path: Path) -> None:
    with SimulatedStore() as store:

        def scenario(sim: Simulation) -> None:
            store.raw.execute("UPDATE fence SET epoch = 1")  # as this server has found it
            failures: list[BaseException] = []
            agent = ScriptedAgent([IterationStart(iteration=1, total_iters=50), Delay(2), Delay(FOREVER)])
            system = SimulatedRuntime(
                sim, store=store, agent_for=lambda _task: agent, failed=lambda error: failures.append(error)
            )
            task = system.submit()
            sim.sleep(sim.decisions.between(0, 3))

            store.raw.execute("UPDATE fence SET epoch = 2")
            before = store.raw.execute("SELECT * FROM events").fetchall()
            with pytest.raises(Unavailable):
                system.cancel(task.task_id)
            with pytest.raises(Unavailable):
                system.submit()
            system.kill()

            assert failures
            assert {type(failure) for failure in failures} == {Superseded}
            assert store.raw.execute("SELECT * FROM events").fetchall() == before
            store.raw.execute("UPDATE fence SET epoch = 1")  # so that the task has its end
            system.start()
            system.settle()

        simulation.explore(scenario, seeds=30)


def test_readers_go_on(server: StoreUnderTest) -> None:
    reader: StoreReader = server.store.reader

    task = reader.task(FIRST)

    assert task is not None
    assert task.status == "pending"
