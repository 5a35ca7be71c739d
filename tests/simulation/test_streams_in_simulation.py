"""Every event comes once, in order, to who follows over HTTP, in thousands of orders of what can happen.

Each seed is a history: clients submit, cancel, and wait for ends; readers are slow, stop reading, are cut off at
any byte, and come again; the store fails, the broadcaster crashes, the process stops or dies, and starts anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic, Topic
from alex_actors.events import AnyEvent
from alex_actors.ports import AgentYield, Answer
from alex_actors.pytest_plugin import Explorer
from alex_actors.simulation import FoundInSearch, SimulatedStore, Simulation, explore_every_order
from alex_actors.tasks import Task
from alex_actors.values import SessionId, TaskId
from alex_http.transport.streams import HEARTBEAT
from tests.simulation.broken_transport import IsWokenOnce, LosesWakes
from tests.simulation.http_clients import HttpSide, SimulatedServer
from tests.simulation.pushed_feed import ARRIVES, CLOSED, push_and_read
from tests.simulation.simulated_streams import NOTHING_OPEN, InterruptedStreams, StreamSide
from tests.simulation.stream_readers import Circumstances, Manner, Reader
from tests.simulation.stream_scenario import StreamScenario

SEEDS = 400
"""Of CI: some 25 seconds. A nightly run takes ``--sim-seconds``."""

HOUR = 3600.0


@pytest.mark.long
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

    def __init__(self, simulation: Simulation, store: SimulatedStore, http: HttpSide) -> None:
        agent = SilentAgent()
        self._simulation = simulation
        self._store = store
        self.circumstances = Circumstances()
        self.server = SimulatedServer(
            simulation, store=store, agent_for=lambda _task: agent, http=http,
            streaming=lambda log: StreamSide(simulation, log=log),
        )  # fmt: skip

    def reader(self, name: str, topic: Topic) -> Reader:
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
        followed = Followed(sim, store, http)
        task = followed.server.request("POST", "/api/tasks", {"task": "Wait.", "session_id": "home"}).task()
        of_task, of_session = TaskTopic(TaskId(task.task_id)), SessionTopic(SessionId("home"))
        topics: tuple[Topic, ...] = (of_task, of_task, of_session)
        readers = [followed.reader(f"reader {number}", topic) for number, topic in enumerate(topics)]
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


def test_what_is_pushed_meanwhile_is_sent_in_every_order(simulation: Explorer) -> None:
    exhausted = simulation.explore_every_order(push_and_read, interrupted=True)

    assert not exhausted.limited


@pytest.mark.parametrize("broken", [LosesWakes, IsWokenOnce])
def test_a_wake_that_is_lost_in_one_of_these_orders_is_found(broken: type[InterruptedStreams]) -> None:
    with pytest.raises(FoundInSearch, match=f"{ARRIVES}|{CLOSED}"):
        explore_every_order(lambda sim: push_and_read(sim, streams=broken), interrupted=True)
