"""Streams that are cut at random bytes, over restarts of the server, by readers fast and slow: nothing is lost.

What each reader does follows from a seed, which a failure names; what the server does meanwhile does not, so that
the same seed is no more than likely to fail again. What is demanded holds for every seed, so each run draws one.
"""

from __future__ import annotations

import math
import random
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import GLANCE, Json, ServerProcess, kept_port
from tests.live.streams import (
    LARGEST_READ,
    Frame,
    Head,
    as_frames,
    as_recorded,
    connect,
    is_terminal,
    recorded_in_session,
    request,
    reset,
    split_frames,
    split_head,
)

CUTS = 200
SESSION_READERS = 4
READERS = SESSION_READERS + 12
"""Besides, one of each of three tasks in each of the server's four lives."""
WORK = "Simulate 150 steps of 20 ms"
LOUD = "Echo " + "zwölf 😀 \u2028 Boxkämpfer\n" * 1500
"""Three events of 50 kB each."""
LOUD_TASKS = 3
"""More than the kernel and the server keep for a reader who does not read, which is about 240 kB."""
RESTARTS = (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL)
LONGEST_CUT = 30_000
SLOW_BUFFER = 4096
SLOW_READ = 512
SLOW_TURNS = 8
"""Of so many turns a slow reader takes part in one."""
NEIGHBOUR = "127.0.0.2"
"""The readers' address. From the server's own they would at times connect to themselves while it is not there."""
SESSION = "cut"
ALL_IN = 100.0
"""Seconds, on a machine that does other things as well: it takes a tenth."""


class CutReader:
    """Reads one stream over as many connections as it takes, with the id of the last event that came whole.

    It cuts as many of them off as it is told to. If it has everything before that, it begins anew.
    """

    def __init__(self, url: str, path: str, *, after: int, cuts: int, slow: bool, seed: str) -> None:
        self.path = path
        self.after = after
        self.slow = slow
        self.passes: list[list[Frame]] = [[]]
        """What it received, each time from ``after`` on."""
        self.position = after
        """The id of the last event that came whole."""
        self.last: int | None = None
        """The id of a session's last event, once that is known. A task's stream says itself where it ends."""
        self.done = False
        self.cuts = 0
        self.torn = 0
        """How often the server ended a connection inside of a frame, by itself."""
        self.sock: socket.socket | None = None
        self._of_session = SESSION in path
        self._url = url
        self._most_cuts = cuts
        self._random = random.Random(seed)
        self._head: Head | None = None
        self._rest = b""
        self._until_cut = math.inf
        self._leaving = False

    def step(self, *, hurry: bool) -> None:
        """Connect, or read once; whatever happens, it does not wait."""
        if self.sock is None:
            self._connect()
            return
        self._read(self.sock, self._random.randint(1, SLOW_READ) if self.slow and not hurry else LARGEST_READ)
        if self._has_all():
            self._begin_anew()
        elif not self._until_cut and self.sock is not None:
            self._cut(self.sock)

    def _read(self, sock: socket.socket, most: int) -> None:
        try:
            data = sock.recv(int(min(most, self._until_cut)))
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            self._take(data)
            self._until_cut -= len(data)
        else:
            self.torn += self._head is not None and self._rest != b"" and not self._leaving
            sock.close()
            self.sock = None

    def _connect(self) -> None:
        path, position, headers = self.path, self.position, dict[str, int]()
        if position:
            form = self._random.choice(["header", "query", "both"])
            if form != "query":
                headers["Last-Event-ID"] = position
            if form != "header":  # the header beats it
                path += f"{'&' if '?' in path else '?'}after={position if form == 'query' else 1}"
        self._head, self._rest = None, b""
        self._until_cut, self._leaving = math.inf, False
        if self.cuts < self._most_cuts:
            self._until_cut = int(math.exp(self._random.uniform(0, math.log(LONGEST_CUT))))
        with suppress(ConnectionError):  # the server is gone, or not there yet
            sock = connect(self._url, source=NEIGHBOUR, buffer=SLOW_BUFFER if self.slow else None)
            sock.sendall(request(path, headers))
            sock.settimeout(0)
            self.sock = sock

    def _take(self, data: bytes) -> None:
        self._rest += data
        if self._head is None:
            self._head, self._rest = split_head(self._rest)
            if self._head is None:
                return
            assert self._head.status in (200, 204), f"{self.path}: {self._head}"
        frames, self._rest = split_frames(self._rest)
        for frame in frames:
            if frame.id:
                self.passes[-1].append(frame)
                self.position = frame.id
            elif frame.event == "connected":
                assert frame.json()["after"] == self.position, f"{self.path}: {frame}"

    def _has_all(self) -> bool:
        received = self.passes[-1]
        if self._of_session:
            return self.position == self.last
        if self._head is not None and self._head.status == 204:
            return True
        return self.sock is None and bool(received) and is_terminal(received[-1])

    def _begin_anew(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        if self.cuts == self._most_cuts:
            self.done = True
            return
        self.passes.append([])
        self.position = self.after

    def _cut(self, sock: socket.socket) -> None:
        self.cuts += 1
        kind = self._random.choice(["close", "reset", "half"])
        if kind == "half":  # what is on its way is read
            self._until_cut, self._leaving = math.inf, True
            with suppress(OSError):  # the server closed before
                sock.shutdown(socket.SHUT_WR)
            return
        self.sock = None
        if kind == "close":
            sock.close()
        else:
            reset(sock)

    def difference(self, recorded: Sequence[Json]) -> str | None:
        """Return what is wrong with one of its passes; None if each has all that is recorded above ``after``."""
        wanted = [event for event in as_frames(recorded) if event[0] > self.after]
        for received in map(as_recorded, self.passes):
            if received == wanted:
                continue
            first = next(
                (pair for pair in zip(received, wanted, strict=False) if pair[0] != pair[1]), "one is shorter"
            )
            return f"{self.path} above {self.after}: {len(received)} events, not {len(wanted)}; {first!s:.500}"
        return None


class Cutting:
    """A server, its restarts, and all readers: one turn is a step of each of them."""

    def __init__(self, start: Start, seed: int, *, port: int) -> None:
        self.random = random.Random(seed)
        self.readers: list[CutReader] = []
        self._start = start
        self._seed = seed
        self._cuts_left = CUTS
        self._deadline = time.monotonic() + ALL_IN
        self._port = f"{port}"
        self.server: ServerProcess = start("--port", self._port)
        self.url = self.server.url

    def read(self, path: str, *, after: int, slow: bool) -> None:
        """Add a reader, with its share of the cuts."""
        cuts = self._cuts_left // (READERS - len(self.readers))
        self._cuts_left -= cuts
        seed = f"{self._seed}/{len(self.readers)}"
        self.readers.append(CutReader(self.url, path, after=after, cuts=cuts, slow=slow, seed=seed))

    def turn(self, *, hurry: bool = False) -> None:
        """Wait a moment for something that can be read, and have every reader take its step."""
        assert time.monotonic() < self._deadline, f"not all was received within {ALL_IN:g} seconds"
        readers = [reader for reader in self.readers if not reader.done]
        eager = [reader.sock for reader in readers if reader.sock is not None and (hurry or not reader.slow)]
        select.select(eager, [], [], GLANCE)
        for reader in readers:
            if hurry or not reader.slow or not self.random.randrange(SLOW_TURNS):
                reader.step(hurry=hurry)

    def restart(self, number: signal.Signals) -> None:
        """End the server with a signal, and start it again where it was."""
        torn = sum(reader.torn for reader in self.readers)
        self.server.send(number)
        while self.server.process.poll() is None:
            self.turn(hurry=True)
        if number == signal.SIGTERM:
            while any(reader.sock for reader in self.readers):  # what was sent is still read
                self.turn(hurry=True)
            assert self.server.wait() == 0
            assert sum(reader.torn for reader in self.readers) == torn
        self.server = self._start("--port", self._port)


@contextmanager
def named(seed: int) -> Iterator[None]:
    """Have a failure name the seed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"The seed was {seed}: pytest {__file__} --sim-seed {seed}")
        raise


def test_readers_of_streams_that_are_cut_receive_what_is_recorded(
    start: Start, pytestconfig: pytest.Config
) -> None:
    given = pytestconfig.getoption("sim_seed")
    seed = secrets.randbits(32) if given is None else given
    with named(seed), kept_port() as port:
        cutting = Cutting(start, seed, port=port)
        with Client(cutting.url) as client:
            assert client.http.post("/api/sessions", json={"session_id": SESSION}).status_code == 201
        for slow in (True, False):
            cutting.read(f"/api/sessions/{SESSION}/events", after=0, slow=slow)
            cutting.read(f"/api/sse?session_id={SESSION}", after=0, slow=slow)

        for number in cutting.random.sample(RESTARTS, len(RESTARTS)):
            with Client(cutting.url) as client:
                task_id = work_in_parallel(client, cutting)
                iterations = cutting.random.randint(5, 60)
                while client.task(task_id)["current_iteration"] < iterations:
                    cutting.turn()
            cutting.restart(number)
        with Client(cutting.url) as client:
            work_in_parallel(client, cutting)
            recorded = follow_to_the_end(client, cutting)

        assert [reader.difference(recorded[reader.path]) for reader in cutting.readers] == [None] * READERS
        assert sum(reader.cuts for reader in cutting.readers) == CUTS
        assert cutting.server.troubles() == []


def work_in_parallel(client: Client, cutting: Cutting) -> str:
    """Submit what there is to follow, with a reader for each of three tasks; return the last one's ID.

    Then, when even the slow readers follow live, submit more than they can read of it.
    """
    parallel = {"session_id": SESSION, "multitask_strategy": "parallel"}
    for slow in (False, False, True):
        task_id: str = client.submit(WORK, **parallel, max_iterations=150)["task_id"]
        created: int = client.events(task_id)[0]["event_id"]
        cutting.read(f"/api/tasks/{task_id}/events", after=cutting.random.choice([0, created]), slow=slow)
    while min(reader.position for reader in cutting.readers[:SESSION_READERS]) < created:
        cutting.turn(hurry=True)
    for _ in range(LOUD_TASKS):
        client.submit(LOUD, **parallel)
    return task_id


def follow_to_the_end(client: Client, cutting: Cutting) -> dict[str, list[Json]]:
    """Wait until every task has ended and every reader has everything; return what is recorded, by path."""
    while client.tasks(session_id=SESSION, status="running", limit=1)["total"]:
        cutting.turn()
    events = recorded_in_session(client, SESSION)
    recorded = {reader.path: events for reader in cutting.readers}
    for reader in cutting.readers:
        if "/tasks/" in reader.path:
            recorded[reader.path] = client.events(reader.path.split("/")[3])
        else:
            reader.last = int(events[-1]["event_id"])
    while not all(reader.done for reader in cutting.readers):
        cutting.turn(hurry=True)
    return recorded
