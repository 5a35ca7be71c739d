"""Every event comes once, in order, to who follows over HTTP, in thousands of orders of what can happen.

Each seed is a history: clients submit, cancel, and wait for ends; readers are slow, stop reading, are cut off at any
byte, and come again; the store fails, the broadcaster crashes, the process stops or is killed, and starts again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic
from alex_actors.events import AnyEvent
from alex_actors.ports import AgentYield, Answer
from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import SimulatedStore, Simulation
from alex_actors.tasks import Task
from alex_actors.values import SessionId, TaskId
from alex_http.transport.streams import HEARTBEAT
from tests.simulation.exhaustive_scenarios import PlainAgent
from tests.simulation.http_clients import HttpSide, SimulatedServer
from tests.simulation.simulated_streams import NOTHING_OPEN, InterruptedStreams, StreamSide
from tests.simulation.stream_readers import Circumstances, Manner, Reader
from tests.simulation.stream_scenario import StreamScenario

SEEDS = 600
"""Of CI: some 25 seconds. A nightly run takes ``--sim-seconds``."""

HOUR = 3600.0


@pytest.fixture(scope="module")
def store() -> Iterator[SimulatedStore]:
    with SimulatedStore() as store:
        yield store


@pytest.fixture(scope="module")
def http() -> HttpSide:
    return HttpSide()


@pytest.mark.timeout(300)  # half a minute, on a machine that does nothing else
def test_every_reader_has_each_event_once_whatever_happens(
    simulation: Explorer, store: SimulatedStore, http: HttpSide
) -> None:
    simulation.explore(lambda sim: StreamScenario(sim, store=store, http=http).play(), seeds=SEEDS)


class SilentAgent:
    """Says nothing for longer than an hour."""

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Wait, then answer."""
        await asyncio.sleep(HOUR + 600)
        yield Answer("4")


class Followed:
    """A server with one task, and readers who follow it."""

    def __init__(
        self, simulation: Simulation, store: SimulatedStore, http: HttpSide, agent: SilentAgent | PlainAgent
    ) -> None:
        self._simulation = simulation
        self._store = store
        self.circumstances = Circumstances()
        self.server = SimulatedServer(
            simulation, store=store, agent_for=lambda _task: agent, http=http, agents_apart=True,
            streaming=lambda log: StreamSide(simulation, log=log),
        )  # fmt: skip

    def reader(self, name: str, topic: TaskTopic | SessionTopic) -> Reader:
        """Return somebody who reads whatever comes."""
        return Reader(
            name, topic, 0, simulation=self._simulation, store=self._store, server=self.server,
            circumstances=self.circumstances, manner=Manner, comes_back=False,
        )  # fmt: skip

    @property
    def streams(self) -> InterruptedStreams:
        """The streams of the server."""
        assert self.server.stream_side is not None
        return self.server.stream_side.streams


def test_an_hour_without_events_is_a_heartbeat_every_ten_seconds_and_nothing_else(
    simulation: Explorer, store: SimulatedStore, http: HttpSide
) -> None:
    def quiet(sim: Simulation) -> None:
        followed = Followed(sim, store, http, SilentAgent())
        task = followed.server.request("POST", "/api/tasks", {"task": "Wait.", "session_id": "home"}).task()
        of_task, of_session = TaskTopic(TaskId(task.task_id)), SessionTopic(SessionId("home"))
        readers = [followed.reader(f"reader {n}", topic) for n, topic in enumerate((of_task, of_task, of_session))]
        clients = [sim.client(reader.name, reader.follow) for reader in readers]
        sim.sleep(60.0)
        after_a_minute = [reader.heartbeats for reader in readers], followed.streams.sizes()

        sim.sleep(HOUR)

        beats = [reader.heartbeats for reader in readers]
        assert beats == [count + HOUR / HEARTBEAT for count in after_a_minute[0]]
        assert followed.streams.sizes() == after_a_minute[1]
        assert followed.streams.sizes()["due"] == len(readers)

        followed.circumstances.closing = True
        for client in clients:
            client.result()
        followed.server.system.settle()
        assert not followed.streams.sizes()["open"], NOTHING_OPEN
        followed.streams.close()

    simulation.explore(quiet, seeds=3)


ALICES = TaskTopic(TaskId("task-alice-1"))


def test_a_stream_of_a_task_that_is_submitted_meanwhile_is_whole_in_every_order(
    simulation: Explorer, store: SimulatedStore, http: HttpSide
) -> None:
    def one_stream_one_submit(sim: Simulation) -> None:
        followed = Followed(sim, store, http, PlainAgent())
        sim.sleep(0.0)  # it has begun
        reader = followed.reader("bob", ALICES)

        def submit_and_follow() -> None:
            followed.server.request("POST", "/api/tasks", {"task": "Add.", "session_id": "home"})
            reader.follow()
            followed.streams.close()

        sim.client("alice", submit_and_follow)
        sim.at_the_end(lambda: sim.check(reader.received == [1, 2, 3], "whole", f"{reader.received}"))

    exhausted = simulation.explore_every_order(one_stream_one_submit)

    assert not exhausted.limited
