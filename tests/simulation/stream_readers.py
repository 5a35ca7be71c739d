"""Clients who follow a task or a session over HTTP, are cut off, come again, and look at each byte they get."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from alex_actors.broadcaster_protocol import SessionTopic, TaskTopic, Topic
from alex_actors.simulation.invariants import EACH_ONCE, RECORDED_BEFORE_TOLD
from alex_actors.simulation.resumptions import TERMINAL_TYPES
from alex_actors.simulation.runtime import ConnectionLost
from tests.simulation.http_clients import Reply, SimulatedServer, WentAway

if TYPE_CHECKING:
    from alex_actors.simulation.store import SimulatedStore
    from alex_actors.simulation.world import Simulation
    from tests.simulation.simulated_sockets import SimulatedSocket

WELL_FORMED = "A stream is `connected`, then events and heartbeats, each byte as the contract has it."
ENDS = "A task's stream ends after its terminal event, at once; and no stream ends without a reason."
NO_CONTENT = "Who has all of a task's events is answered 204, and nobody else is."
ANSWERED = "Who wants a stream of what is there gets one, unless something is wrong."
HEARTBEATS = "An open stream has a byte at least every 15 seconds for who reads it."
CUT_OFF = "Who reads nothing for 30 seconds, though there is something to read, is cut off."
PROMPT = "An event is with a reader who reads as soon as it is recorded, whatever other readers do."

LONGEST_SILENCE = 15.0
"""Virtual seconds, as the contract has it."""

STOP = 60.0
"""Virtual seconds for which somebody stops reading. Within 10 there is a heartbeat to be read, which waits for 30
until he is cut off, which is looked at every 10."""

RETRY = 1.0
"""Virtual seconds until somebody comes again, as the first frame says."""

HEARTBEAT = b": heartbeat"
CHUNK = 65_536
FRAME = re.compile(rb"id: ([1-9][0-9]*)\nevent: ([a-z_]+)\ndata: (\{[^\n]*\})")

STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}


class Manner(msgspec.Struct, frozen=True):
    """How somebody reads on one connection."""

    size: int = CHUNK
    """Bytes at a time."""
    pause: float = 0.0
    """Virtual seconds between."""
    stop_after: int | None = None
    """Bytes after which nothing is read for a time."""
    cut_after: int | None = None
    """Bytes after which the connection is over."""
    patience: float = 15.0
    """Virtual seconds without a byte after which he leaves, and comes again; 15, as the contract has it, are never
    over."""
    resets: bool = False
    """Whether that is a reset, or a close."""
    in_query: bool = False
    """Whether the position is sent as ``after``, or as a header."""

    @property
    def eager(self) -> bool:
        """Whether everything is read as it comes."""
        return not self.pause and self.stop_after is None


class Circumstances(msgspec.Struct):
    """What goes wrong in a run, so that who is late is excused."""

    smooth: bool = True
    """Whether nothing goes wrong."""
    hurries: bool = False
    """Whether time passes although others could go on."""
    tolerance: float = 0.0
    """Virtual seconds that an event may take to a reader."""
    closing: bool = False
    """Whether it is over for those who follow for ever."""
    calm: bool = False
    """Whether everybody is to read as well as he can."""
    recorded_at: dict[int, float] = {}
    """When each event was."""


class Reader:
    """Follows a topic from a position to its end, or until it is closing time, over any number of connections."""

    def __init__(
        self,
        name: str,
        topic: Topic,
        start: int,
        *,
        simulation: Simulation,
        store: SimulatedStore,
        server: SimulatedServer,
        circumstances: Circumstances,
        manner: Callable[[], Manner],
        comes_back: bool = True,
    ) -> None:
        """``comes_back``: sometimes also after the end, to be told that it was."""
        self.name = name
        self.topic = topic
        self.start = start
        self.position = start
        self.received: list[int] = []
        self.heartbeats = 0
        self.over = False
        """Whether it has all there will ever be, or has left for good."""
        self._simulation = simulation
        self._check = simulation.check
        self._raw = store.raw
        self._server = server
        self._circumstances = circumstances
        self._manner = manner
        self._comes_back = comes_back
        self._ended = False
        self._greeted = False
        self._greeted_at = 0.0
        self._after = start
        self._left_over = b""

    # Connections.

    def follow(self) -> None:
        """Follow to the end."""
        while not self.over and not self._circumstances.closing:
            if not self._server.up:
                self._simulation.sleep(1.0)
                continue
            manner = Manner() if self._circumstances.calm else self._manner()
            there = bool(self._recorded())
            try:
                reply = self._connect(manner)
            except (ConnectionLost, WentAway):
                continue
            if reply.stream is None:
                self._look_at_refusal(reply, there=there)
            else:
                self._check(reply.headers.items() >= STREAM_HEADERS.items(), WELL_FORMED, f"{reply.headers}")
                self._read(reply.stream, manner)
        self.over = True

    def _connect(self, manner: Manner) -> Reply:
        self._after, self._greeted, self._left_over = self.position, False, b""
        headers = {"HTTP_ACCEPT": "text/event-stream"}
        query = ""
        if self.position and manner.in_query:
            query = f"after={self.position}"
        elif self.position:
            headers["HTTP_LAST_EVENT_ID"] = str(self.position)
        match self.topic:
            case TaskTopic(task_id=task_id):
                path = f"/api/tasks/{task_id}/events?{query}"
            case SessionTopic(session_id=session_id) if manner.in_query:
                path = f"/api/sse?session_id={session_id}&{query}"
            case SessionTopic(session_id=session_id):
                path = f"/api/sessions/{session_id}/events?{query}"
        return self._server.request("GET", path.rstrip("?&"), headers=headers)

    def _look_at_refusal(self, reply: Reply, *, there: bool) -> None:
        if reply.status == 204:
            seen = f"{self.name} has {self.received}, from {self.start} on; recorded is {self._recorded()}."
            self._check(self._is_past_the_end(), NO_CONTENT, seen)
            self.over = True
            return
        excused = reply.status == 503 and not self._circumstances.smooth
        not_yet = reply.status == 404 and not there
        self._check(excused or not_yet, ANSWERED, f"{self.name} is answered {reply}.")
        self._simulation.sleep(RETRY)

    def _read(self, sock: SimulatedSocket, manner: Manner) -> None:
        """Read until the stream is over, or it is cut."""
        taken, stop_after, stopped = 0, manner.stop_after, False
        prompt = manner.eager
        while True:
            if self._circumstances.calm:
                manner, stop_after = Manner(pause=manner.pause and 0.001), None
            if self._circumstances.closing and not self._server.draining:
                return sock.leave()
            if manner.cut_after is not None and taken >= manner.cut_after:
                return self._cut(sock, manner)
            if stop_after is not None and taken >= stop_after:
                self._stop(sock)
                stop_after, stopped = None, True
            size = manner.size if manner.cut_after is None else min(manner.size, manner.cut_after - taken)
            data = sock.read(size, patience=manner.patience)
            if data is None and manner.patience < LONGEST_SILENCE:
                return self._cut(sock, manner)
            if data is None:
                silence = f"{self.name} reads, and nothing comes."
                self._check(self._circumstances.hurries, HEARTBEATS, silence, about=(self.name,))
                continue
            if not data:
                self._look_at_end(stopped=stopped)
                return self._simulation.sleep(RETRY)
            taken += len(data)
            self._hear(data, prompt=prompt)
            if manner.pause:
                self._simulation.sleep(manner.pause)

    def _stop(self, sock: SimulatedSocket) -> None:
        """Read nothing for so long that one is cut off if there is something to read."""
        self._simulation.sleep(5.0)
        full = not sock.writable
        self._simulation.sleep(STOP - 5.0)
        seen = f"{self.name} reads nothing for {STOP} seconds, and there is no room for more."
        left_alone = full and not sock.over and not self._circumstances.hurries
        self._check(not left_alone, CUT_OFF, seen, about=(self.name,))

    def _cut(self, sock: SimulatedSocket, manner: Manner) -> None:
        if manner.resets:
            sock.reset()
        else:
            sock.leave()

    def _look_at_end(self, *, stopped: bool) -> None:
        about, circumstances = (self.name,), self._circumstances
        if self._ended or self._is_past_the_end():
            recorded = [event_id for event_id, _ in self._recorded() if event_id > self.start]
            seen = f"{self.name} has {self.received}; recorded is {recorded}."
            self._check(self.received == recorded, EACH_ONCE, seen, about=about)
            self.over = not (self._comes_back and self._simulation.decisions.chance(0.5))
            return
        excused = stopped or self._server.draining or not self._server.up or not circumstances.smooth
        self._check(excused, ENDS, f"{self.name} was cut off at {self.position}.", about=about)

    # What is received.

    def _hear(self, data: bytes, *, prompt: bool) -> None:
        *blocks, self._left_over = (self._left_over + data).split(b"\n\n")
        for block in blocks:
            if block == HEARTBEAT:
                self._check(self._greeted, WELL_FORMED, f"{self.name} gets a heartbeat first.")
                self._check(not self._ended, ENDS, f"{self.name} gets a heartbeat after the end.")
                self.heartbeats += 1
            elif not self._greeted:
                self._look_at_greeting(block)
            else:
                self._look_at_event(block, prompt=prompt)

    def _look_at_greeting(self, block: bytes) -> None:
        first, _, rest = block.partition(b"\n")
        head, _, data = rest.partition(b"\ndata: ")
        begins = (first, head) == (b"retry: 1000", b"event: connected")
        self._check(begins, WELL_FORMED, f"{self.name} gets {block!r} first.")
        if begins:
            about = json.loads(data)
            task_id = self.topic.task_id if isinstance(self.topic, TaskTopic) else None
            right = about["task_id"] == task_id and about["after"] == self._after and about["session_id"]
            self._check(right, WELL_FORMED, f"{self.name} is greeted with {about}.")
        self._greeted, self._greeted_at = True, self._simulation.clock.monotonic()

    def _look_at_event(self, block: bytes, *, prompt: bool) -> None:
        frame = FRAME.fullmatch(block)
        self._check(frame, WELL_FORMED, f"{self.name} gets {block[:300]!r}.")
        if frame is None:
            return
        event_id, event_type = int(frame[1]), frame[2].decode()
        seen = f"{self.name} gets {event_id} after {self.received}, from {self.start} on."
        about = (self.name,)
        self._check(event_id > self.position and not self._ended, EACH_ONCE, seen, about=about)
        row = self._row(event_id)
        self._check(row, RECORDED_BEFORE_TOLD, f"{self.name} gets {event_id}, which is not recorded.", about=about)
        same = row is not None and json.loads(frame[3]) == row
        self._check(same, EACH_ONCE, f"{self.name} gets {frame[3][:300]!r}; recorded is {row}.", about=about)
        if prompt:
            self._look_at_time(event_id)
        self.position = event_id
        self.received.append(event_id)
        self._ended = isinstance(self.topic, TaskTopic) and event_type in TERMINAL_TYPES

    def _look_at_time(self, event_id: int) -> None:
        if not self._circumstances.smooth or event_id not in self._circumstances.recorded_at:
            return
        recorded_at, now = self._circumstances.recorded_at[event_id], self._simulation.clock.monotonic()
        if self._greeted_at < recorded_at:
            seen = f"{self.name} gets event {event_id} {now - recorded_at} seconds after it was recorded."
            self._check(now <= recorded_at + self._circumstances.tolerance, PROMPT, seen, about=(self.name,))

    # What is recorded.

    def has_all(self) -> bool:
        """Whether it has received what is recorded, if it is still there."""
        recorded = [event_id for event_id, _ in self._recorded() if event_id > self.start]
        return self.over or self.received == recorded

    def _is_past_the_end(self) -> bool:
        """Whether it follows a task, of which nothing is recorded above its position, nor ever will be."""
        last_id, last_type = (self._recorded() or [(0, "")])[-1]
        return isinstance(self.topic, TaskTopic) and last_type in TERMINAL_TYPES and self.position >= last_id

    def _recorded(self) -> list[tuple[int, str]]:
        if isinstance(self.topic, TaskTopic):
            query, value = f"{IDS} JOIN tasks USING (place) WHERE task_id = ?", str(self.topic.task_id)
        else:
            query, value = f"{IDS} JOIN sessions USING (session_key) WHERE session_id = ?", self.topic.session_id
        return self._raw.execute(f"{query} ORDER BY event_id", (value,)).fetchall()

    def _row(self, event_id: int) -> dict[str, Any] | None:  # Any: JSON
        row = self._raw.execute(ROW, (event_id,)).fetchone()
        if row is None:
            return None
        body, *common = row
        return {**json.loads(body), **dict(zip(COMMON, common, strict=True)), "agent_level": "core"}


IDS = "SELECT event_id, event_type FROM events"
COMMON = ("event_id", "event_type", "task_id", "session_id", "timestamp", "parent_task_id")
ROW = (
    "SELECT body, event_id, event_type, task_id, session_id, timestamp, parent_task_id FROM events "
    "JOIN tasks USING (place) JOIN sessions ON sessions.session_key = events.session_key WHERE event_id = ?"
)
