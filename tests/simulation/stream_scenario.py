"""A scenario of event streams over HTTP: readers who are slow, cut off and come again, while much goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from alex_actors.broadcaster_actor import BroadcasterActor
from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic, Topic
from alex_actors.core import Core
from alex_actors.diagrams.trace import Fact
from alex_actors.events import AnyEvent, AssistantDelta, IterationStart
from alex_actors.mailbox import acting
from alex_actors.ports import AgentError, AgentYield, Answer
from alex_actors.simulation.faults import InjectedCrash
from alex_actors.simulation.invariants import EACH_ONCE
from alex_actors.simulation.resumptions import NOTHING_LOST
from alex_actors.simulation.runtime import ConnectionLost
from alex_actors.simulation.store import SimulatedStore, disk_error
from alex_actors.simulation.world import Simulation
from alex_actors.tasks import UNFINISHED, Task
from alex_actors.values import SessionId, TaskId
from alex_http.feeds import Frames
from alex_http.transport.holds import TICK, Hold
from alex_http.wire import TaskOut
from tests.simulation.http_clients import HttpSide, SimulatedServer, WentAway
from tests.simulation.simulated_sockets import SimulatedSocket
from tests.simulation.simulated_streams import (
    MANY,
    NOTHING_OPEN,
    InterruptedStreams,
    StreamSide,
    WatchedFeed,
)
from tests.simulation.stream_readers import Circumstances, Manner, Reader

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from alex_actors.simulation.world import Client

NONE_FAILS = "No stream fails: what its feed cannot do now, it does later."
LONG_POLL = "A long poll is answered when its task has ended, or when its time is over."

STRATEGIES = ("parallel", "parallel", "enqueue", "interrupt")
SESSIONS = ("one", "one", "two")
NAMES = ("alice", "bob")
PACES = ((0.0,), (0.0,), (0.0, 0.1), (0.0, 0.0, 10.0, 12.0))
"""Virtual seconds that half a look at the store takes, of which chance chooses."""

MODERATE, TOLERANCE = 0.1, 3.0
"""Looks that take no longer leave everybody with what is new within so many seconds: there are two who look."""

CAPACITIES = (65_536, 65_536, 300, 4_000)
"""Bytes that a socket keeps for its reader: few, or everything would be sent before anybody has read."""

QUIET = 70.0
"""Virtual seconds in which everybody who reads well has everything: who has stopped reading goes on."""

GRACE = 30
"""Virtual seconds that a server that stops has."""

LATEST = 400
"""The step until which the process is killed, or stopped, if it is."""


class Transport(msgspec.Struct, frozen=True):
    """The parts that carry streams, to be exchanged."""

    core: type[Core] = Core
    streams: type[InterruptedStreams] = InterruptedStreams
    feed: type[WatchedFeed] = WatchedFeed
    frames: type[Frames] = Frames
    hold: type[Hold] = Hold


class TalkativeAgent:
    """Says much or little, at once or over minutes, as the seed wants it."""

    def __init__(self, simulation: Simulation) -> None:
        self._decisions = simulation.decisions

    async def run(self, task: Task, history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        """Do up to three turns."""
        decisions = self._decisions
        for turn in range(1, decisions.pick(4) + 1):
            yield IterationStart(iteration=turn, total_iters=50)
            for _ in range(decisions.choose((0, 1, 3, 3, 12))):
                yield AssistantDelta(
                    iteration=turn, delta="x" * decisions.choose((1, 1, 1, 100, 100, 2_000, 20_000))
                )
            match decisions.pick(8):
                case 0 | 1 | 2:
                    await asyncio.sleep(0)
                case 3 | 4:
                    await asyncio.sleep(decisions.choose((0.1, 3.0)))
                case 5:
                    await asyncio.sleep(25.0)
                case 6:
                    await asyncio.Event().wait()  # until it is cancelled
                case _:
                    msg = "The model cannot be reached."
                    raise AgentError(msg)
        yield Answer("4")


class StreamScenario:
    """One run of it."""

    def __init__(
        self,
        simulation: Simulation,
        *,
        store: SimulatedStore,
        http: HttpSide | None = None,
        transport: Transport = Transport(),  # noqa: B008 - it is frozen
    ) -> None:
        self.simulation = simulation
        self.decisions = decisions = simulation.decisions
        self.store = store
        self._transport = transport
        self._circumstances = Circumstances()
        self._paces = decisions.choose(PACES)
        self._generous = decisions.chance(0.3)
        self._readers: list[Reader] = []
        self._stops_at: int | None = None
        self._last = 0  # the last event
        agent = TalkativeAgent(simulation)
        self.server = SimulatedServer(
            simulation, store=store, agent_for=lambda _task: agent, http=http, core=transport.core,
            streaming=self._streaming, new_socket=self._new_socket, hold=transport.hold,
        )  # fmt: skip
        self.server.system.writer.committed = self._note_commit
        if decisions.chance(0.6):
            self._inject_faults()
        if max(self._paces) > MODERATE:
            self._circumstances.smooth = False
        elif max(self._paces):
            self._circumstances.tolerance = TOLERANCE
        simulation.scheduler.after_step.append(self._perhaps_stop)

    def _streaming(self, log: FilteringBoundLogger) -> StreamSide:
        transport = self._transport
        most = MANY if self._circumstances.calm else self.decisions.choose((MANY, MANY, MANY, 2))
        if most < MANY:
            self._circumstances.smooth = False
        return StreamSide(
            self.simulation, log=log, streams=transport.streams, feed=transport.feed, frames=transport.frames,
            most=most, pace=self._pace,
        )  # fmt: skip

    def _new_socket(self) -> SimulatedSocket:
        capacity = self.decisions.choose(CAPACITIES)
        return SimulatedSocket(self.simulation, capacity=capacity, generous=self._generous)

    def _pace(self) -> float:
        """Return how long half a look at the store takes, in virtual seconds."""
        return 0.0 if self._circumstances.calm or len(self._paces) == 1 else self.decisions.choose(self._paces)

    def _inject_faults(self) -> None:
        decisions, faults, system = self.decisions, self.simulation.faults, self.server.system
        system.reader.looked = self.simulation.scheduler.perhaps_pause
        if decisions.chance(0.3):
            self._circumstances.smooth = False
            faults.crash(BroadcasterActor, probability=decisions.choose((0.03, 0.3)), at_most=2)
        if decisions.chance(0.3):
            self._circumstances.smooth = False
            self._circumstances.hurries = True
            self.simulation.hurry(0.02)
        if decisions.chance(0.3):
            self._circumstances.smooth = False
            system.reader.fails = lambda: disk_error() if faults.happens(0.1) else None
        if decisions.chance(0.4):
            self._circumstances.smooth = False
            self._stops_at = self.simulation.trace.step + 1 + decisions.pick(LATEST)

    def _note_commit(self) -> None:
        last, now = self._rows("SELECT max(event_id) FROM events")[0][0] or 0, self.simulation.clock.monotonic()
        self._circumstances.recorded_at |= dict.fromkeys(range(self._last + 1, last + 1), now)
        self._last = last
        if acting() is not None:  # else it is the start
            self.simulation.scheduler.perhaps_pause()

    # The process.

    def _perhaps_stop(self) -> None:
        if self._stops_at is None or self.simulation.trace.step < self._stops_at or self._circumstances.calm:
            return
        self._stops_at = None
        if self.decisions.chance(0.5):
            self._kill()
        else:
            self.server.drain()
            self.simulation.client("operator", self._restart_when_drained)

    def _kill(self) -> None:
        self.server.kill(keep=lambda waiting: self.decisions.pick(waiting + 1))
        self.simulation.hurry(0.0)
        self._circumstances.hurries = False
        self.simulation.client("operator", self._restart)

    def _restart_when_drained(self) -> None:
        self._await_drain()
        self._kill()

    def _restart(self) -> None:
        while not self.server.up:
            try:
                self.server.start()
            except (SQLAlchemyError, InjectedCrash):
                self.server.kill()
                self.simulation.sleep(1.0)

    # What clients do.

    def play(self) -> None:
        """Have clients come and go, and let everything end."""
        names = NAMES[: self.decisions.choose((2, 1))]
        clients = [self.simulation.client(name, partial(self._visit, name)) for name in names]
        followers = [client for visitor in clients for client in visitor.result()]
        self._circumstances.calm = self.simulation.faults.calm = True
        self.simulation.hurry(0.0)
        if self.server.stream_side is not None:
            self.server.stream_side.streams.admit_all()
        self._end_all()
        self._look_at_readers()
        self._close_streams()
        for follower in followers:
            follower.result()
        self.server.system.settle()
        left = len(self.server.reminders)
        self.simulation.check(not left, NOTHING_OPEN, f"{left} are to be reminded.")
        facts = (entry.what for entry in self.simulation.trace if isinstance(entry.what, Fact))
        failed = [fact for fact in facts if fact.name == "stream.failed"]
        self.simulation.check(not failed, NONE_FAILS, f"{failed}")

    def _visit(self, name: str) -> list[Client[None]]:
        """Submit something once or twice, have it followed, and look after it. Returns those who follow."""
        followers: list[Client[None]] = []
        for _ in range(self.decisions.pick(2) + 1):
            try:
                task = self._submit()
                if task is None:
                    continue
                followers += [self._follow(name, topic) for topic in self._topics(task)]
                self._look_after(task.task_id)
            except (ConnectionLost, WentAway):
                self._await_server()
        return followers

    def _submit(self) -> TaskOut | None:
        body = {
            "task": "What is 2 + 2?",
            "session_id": self.decisions.choose(SESSIONS),
            "multitask_strategy": self.decisions.choose(STRATEGIES),
        }
        reply = self.server.request("POST", "/api/tasks", body)
        return reply.task() if reply.status == 201 else None

    def _topics(self, task: TaskOut) -> list[Topic]:
        of_task, of_session = TaskTopic(TaskId(task.task_id)), SessionTopic(SessionId(task.session_id))
        return list(self.decisions.choose(((of_task,), (of_task, of_session), (of_task, of_task), (of_session,))))

    def _follow(self, name: str, topic: Topic) -> Client[None]:
        reader = Reader(
            f"{name}'s reader {len(self._readers) + 1}", topic, self.decisions.choose((0, 0, 3, self._last)),
            simulation=self.simulation, store=self.store, server=self.server, circumstances=self._circumstances,
            manner=self._manner,
        )  # fmt: skip
        self._readers.append(reader)
        return self.simulation.client(reader.name, reader.follow)

    def _manner(self) -> Manner:
        decisions, choose = self.decisions, self.decisions.choose
        match decisions.pick(8):
            case 6:
                return Manner(patience=choose((0.1, 3.0)))
            case 1:
                return Manner(size=choose((100, 1_000)), in_query=True)
            case 2 | 3:
                cut_after = 1 + decisions.pick(choose((60, 600, 20_000)))
                return Manner(cut_after=cut_after, resets=decisions.chance(0.5))
            case 4:
                return Manner(size=choose((500, 5_000)), pause=choose((0.2, 3.0)))
            case 5:
                return Manner(stop_after=decisions.pick(400))
            case _:
                return Manner()

    def _look_after(self, task_id: str) -> None:
        match self.decisions.pick(5):
            case 0:
                self._cancel(task_id, patience=self.decisions.choose((None, 0.0, 1.0)))
            case 1 | 2:
                self._wait_for(task_id, self.decisions.choose((0.5, 5.0, 60.0)))
            case 3:
                self.server.request(
                    "GET", f"/api/tasks/{task_id}?wait=60", patience=self.decisions.choose((0.0, 4.0))
                )
            case _:
                self.simulation.sleep(self.decisions.choose((0.0, 3.0)))

    def _cancel(self, task_id: str, *, patience: float | None = None) -> None:
        self.server.request("POST", f"/api/tasks/{task_id}/cancel", patience=patience)

    def _wait_for(self, task_id: str, seconds: float) -> None:
        """Poll for long, and look whether the answer comes when it should."""
        now = self.simulation.clock.monotonic
        begun = now()
        reply = self.server.request("GET", f"/api/tasks/{task_id}?wait={seconds}")
        if not self._circumstances.smooth:
            return
        waited, task = now() - begun, reply.task()
        if task.status in UNFINISHED:
            in_time = seconds <= waited <= seconds + 2 * TICK
        else:
            last = self._rows(f"{EVENTS} WHERE task_id = ?", task_id)[-1][0]
            in_time = now() == max(begun, self._circumstances.recorded_at[last])
        seen = f"{task_id} is told to be {task.status} after {waited} of {seconds} seconds."
        self.simulation.check(in_time, LONG_POLL, seen, about=(task_id,))

    def _await_server(self) -> None:
        while not self.server.up:
            self.simulation.sleep(1.0)

    # How it ends.

    def _end_all(self) -> None:
        """Cancel what hangs, and wait until every task has its end."""
        unfinished: list[str] = []
        for _ in range(20):
            self._await_server()
            self.simulation.sleep(70.0)  # whatever is still on its way arrives
            self._await_server()
            unfinished = [row[0] for row in self._rows(UNFINISHED_TASKS)]
            if not unfinished:
                return
            for task_id in unfinished:
                self._cancel(task_id)
        self.simulation.check(False, NOTHING_LOST, f"{unfinished} do not end.", about=unfinished)

    def _look_at_readers(self) -> None:
        """Everybody who still reads has all that is recorded."""
        self.simulation.sleep(QUIET)
        for reader in self._readers:
            recorded = self._rows(EVENTS)
            seen = f"{reader.name} has {reader.received} of {reader.topic}; all that is recorded is {recorded}."
            self.simulation.check(reader.has_all(), EACH_ONCE, seen, about=(reader.name,))

    def _close_streams(self) -> None:
        """Have all readers leave, or the server stop; nothing is left of any stream then."""
        self._circumstances.closing = True
        if self.decisions.chance(0.5):
            self.server.drain()
            self._await_drain()
        self.simulation.sleep(QUIET)
        side = self.server.stream_side
        left = side.leftovers() if side is not None else {}
        self.simulation.check(not left, NOTHING_OPEN, f"There is still: {left}.")
        if side is not None:
            side.streams.close()

    def _await_drain(self) -> None:
        side = self.server.stream_side
        for _ in range(GRACE):
            if side is not None and len(side.streams):
                self.simulation.sleep(1.0)

    def _rows(self, query: str, *values: str) -> list[Any]:  # Any: columns of any type
        return self.store.raw.execute(query, values).fetchall()


UNFINISHED_TASKS = "SELECT task_id FROM tasks WHERE status IN ('pending', 'running')"
EVENTS = "SELECT event_id, event_type, task_id FROM events JOIN tasks USING (place)"
