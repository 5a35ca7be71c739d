"""Health: what each part's trouble looks like, without waiting for any."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from alex_actors.dispatchers import PoolDispatcher
from alex_actors.executor import AsyncioExecutor
from alex_actors.health import FULL_AFTER, SLOW_AFTER, HealthCheck
from alex_actors.loop_thread import LoopThread
from alex_actors.messages import Tell, tell
from alex_actors.ports import Agent
from alex_actors.replies import Component
from alex_actors.store.condition import StoreCondition
from alex_actors.store.database_file import OpenedFiles
from alex_actors.supervision import WINDOW, RestartPolicy
from alex_actors.tasks import Task
from tests.unit.actor_fakes import CapturedLog
from tests.unit.protocol_system import CONTEXT
from tests.unit.stepping import Recorder, StandIn, SteppedDispatcher

PATIENCE = 10.0
"""Seconds of real time for a thread to do what it does in milliseconds."""


class Hello(Tell[Recorder], frozen=True, kw_only=True):
    """Something that waits."""


def no_agent(task: Task) -> Agent:
    raise AssertionError(task)


class Parts:
    """All that is looked at: real threads for the agents and the pool, stand-ins for the actors."""

    def __init__(self, database: Path) -> None:
        log = CapturedLog().logger
        self.dispatcher = SteppedDispatcher()
        self.clock = self.dispatcher.clock
        self.session = StandIn(self.dispatcher)
        self.store = StandIn(self.dispatcher)
        self.broadcaster = StandIn(self.dispatcher)
        self.condition = StoreCondition()
        self.database = database
        self.restarts = {name: RestartPolicy(clock=self.clock) for name in ("sessions", "store", "broadcaster")}
        self.thread = LoopThread(name="agents", clock=self.clock, log=log)
        self.executor = AsyncioExecutor(
            loop=self.thread.loop, agent_for=no_agent, clock=self.clock, log=log, max_ahead=64
        )
        self.pool = PoolDispatcher(name="pool", threads=1, log=log)
        self.check = HealthCheck(
            session=self.session.ref,
            store=self.store.ref,
            broadcaster=self.broadcaster.ref,
            store_condition=self.condition,
            store_files=OpenedFiles(self.database),
            restarts=self.restarts,
            executor=self.executor,
            agents_thread=self.thread,
            pool=self.pool,
        )

    def component(self, name: str) -> Component:
        return self.check.components()[name]

    def stop(self) -> None:
        self.thread.stop()
        self.thread.join(timeout=PATIENCE)
        self.pool.stop(timeout=PATIENCE)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    database = tmp_path / "alex.sqlite3"
    database.touch()
    parts = Parts(database)
    yield parts
    parts.stop()


def test_every_part_is_well_when_nothing_is_wrong(parts: Parts) -> None:
    components = parts.check.components()

    assert list(components) == ["sessions", "store", "broadcaster", "agents"]
    assert {component.status for component in components.values()} == {"ok"}
    assert components["agents"].figures == {
        "running": 0,
        "actors": 0,
        "lag_seconds": 0.0,
        "tool_threads": 0,
        "function_threads": 0,
    }


@pytest.mark.parametrize("name", ["sessions", "store", "broadcaster"])
def test_an_actor_that_has_stopped_is_down(parts: Parts, name: str) -> None:
    stand_in = {"sessions": parts.session, "store": parts.store, "broadcaster": parts.broadcaster}[name]

    stand_in.ref.stop(block=False)
    parts.dispatcher.run()

    assert parts.component(name).status == "down"
    others = [part.status for other, part in parts.check.components().items() if other != name]
    assert others == ["ok", "ok", "ok"]


@pytest.mark.parametrize("name", ["sessions", "store", "broadcaster"])
def test_an_actor_that_was_restarted_is_degraded_until_the_window_is_over(parts: Parts, name: str) -> None:
    parts.restarts[name].take()

    degraded = parts.component(name)
    parts.clock.advance_to(WINDOW)

    assert (degraded.status, degraded.detail) == ("degraded", "The actor crashed, and was restarted.")
    assert parts.component(name).status == "ok"


def test_it_is_told_how_many_messages_wait_for_an_actor(parts: Parts) -> None:
    for _ in range(3):
        tell(parts.session.ref, Hello(context=CONTEXT))

    assert parts.component("sessions").figures == {"waiting_messages": 3}


def test_a_store_whose_file_is_gone_is_down_before_anybody_writes_and_well_again_when_it_is_back(
    parts: Parts,
) -> None:
    aside = parts.database.rename(parts.database.with_name("aside"))

    gone = parts.component("store")
    aside.rename(parts.database)

    assert gone.status == "down"
    assert "alex.sqlite3 is not where it was" in str(gone.detail)
    assert parts.component("store").status == "ok"
    assert parts.check.store_failure() is None


def test_a_store_whose_last_commit_failed_is_down_and_says_why(parts: Parts) -> None:
    parts.condition.failure = "database or disk is full"

    store = parts.component("store")

    assert store.status == "down"
    assert store.detail == "The last commit failed: database or disk is full"


def test_an_agent_that_blocks_the_agents_thread_degrades_it(parts: Parts) -> None:
    blocks, go_on = threading.Event(), threading.Event()

    def block() -> None:
        blocks.set()
        go_on.wait(PATIENCE)

    parts.executor.call(block)
    assert blocks.wait(PATIENCE)

    parts.clock.advance_to(parts.clock.monotonic() + 2 * SLOW_AFTER)
    agents = parts.component("agents")
    go_on.set()

    assert agents.status == "degraded"
    assert agents.detail == "An agent blocks the agents' thread."


@pytest.mark.parametrize(("which", "whose"), [("tools", "built-in tools"), ("functions", "tools of your own")])
def test_threads_for_tools_that_are_all_busy_for_long_degrade_the_agents(
    parts: Parts, which: str, whose: str
) -> None:
    threads = {"tools": parts.thread.tools, "functions": parts.thread.functions}[which]
    go_on = threading.Event()
    held = [threads.submit(go_on.wait, PATIENCE) for _ in range(threads.most + 1)]

    at_once = parts.component("agents")
    parts.clock.advance_to(parts.clock.monotonic() + 2 * FULL_AFTER)
    later = parts.component("agents")
    go_on.set()
    wait(held, PATIENCE)

    assert at_once.status == "ok"
    assert later.status == "degraded"
    assert f"All {threads.most} threads of {whose} are busy: the next calls wait." in str(later.detail)
    assert dict(later.figures)[f"{which.removesuffix('s')}_threads"] == threads.most
    assert (threads.busy, threads.full_for()) == (0, 0.0)


def test_an_agents_thread_that_has_ended_is_down(parts: Parts) -> None:
    parts.thread.stop()
    parts.thread.join(timeout=PATIENCE)

    assert parts.component("agents").status == "down"
