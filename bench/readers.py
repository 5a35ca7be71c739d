"""A process that reads thousands of streams with one epoll loop, and says when each event reached how many."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TypeAlias

from bench.event_streams import ENDS, Event, Frames, Stream, watch

UNANSWERED = 256
"""Streams that are asked for at once: fewer than the kernel lets wait to be accepted."""
ON_AN_ADDRESS = 5_000
"""Streams from one client address. The kernel has 28,000 ports for each."""
PATIENCE = 120.0
"""Seconds without a byte until the server is given up."""


@dataclass(frozen=True)
class Watched:
    """What the streams were sent. Delays are milliseconds since the event was recorded, one for each event."""

    deliveries: int
    watchers: frozenset[int]
    """To how many streams an event went: one number, if all streams of a topic got all of its events."""
    first: list[float] = field(repr=False)
    median: list[float] = field(repr=False)
    last: list[float] = field(repr=False)


class Readers:
    """Opens streams and reads them. All are kept open until this is closed."""

    def __init__(self, address: tuple[str, int], *, version: str) -> None:
        self._address = address
        self._version = version
        self._frames = Frames()
        self._epoll = select.epoll()
        self._streams: dict[int, Stream] = {}

    def open(self, paths: Sequence[str], *, streams: int, after: int) -> float:
        """Open streams of ``paths`` in turn. Return the seconds until each had got its first frame.

        Raises ConnectionError if one is refused.
        """
        requests = [watch(path, after=after, version=self._version) for path in paths]
        begin = time.perf_counter()
        asked = answered = 0
        while answered < streams:
            while asked < streams and asked - answered < UNANSWERED:
                source = f"127.0.0.{2 + asked // ON_AN_ADDRESS}"
                stream = Stream(self._address, requests[asked % len(requests)], source=source, frames=self._frames)
                self._streams[stream.socket.fileno()] = stream
                self._epoll.register(stream.socket, select.EPOLLIN)
                asked += 1
            for stream, _ in self._ready():
                if stream.connected and not stream.count:
                    stream.count = 1
                    answered += 1
        return time.perf_counter() - begin

    def read_to_the_end(self) -> Watched:
        """Read until each stream has got the last event of a task. Raises if one misses an event of another."""
        arrivals: dict[Event, list[float]] = {}
        going = len(self._streams)
        while going:
            for stream, events in self._ready():
                now = time.time()
                for event in events:
                    if not event.id:
                        continue
                    if event.id <= stream.position:
                        msg = f"event {event.id} came after {stream.position}"
                        raise ValueError(msg)
                    stream.position = event.id
                    if event not in arrivals:
                        arrivals[event] = []
                    arrivals[event].append(now)
                    going -= event.name in ENDS
        return _watched(arrivals)

    def _ready(self) -> Iterator[tuple[Stream, list[Event]]]:
        ready = self._epoll.poll(PATIENCE)
        if not ready:
            msg = f"nothing came for {PATIENCE:g} s"
            raise TimeoutError(msg)
        streams = self._streams
        for descriptor, _ in ready:
            stream = streams[descriptor]
            events = stream.read()
            if events is None:
                msg = f"a stream ended, after status {stream.status}"
                raise ConnectionError(msg)
            yield stream, events

    def close(self) -> None:
        """Close all streams."""
        for stream in self._streams.values():
            stream.socket.close()
        self._epoll.close()


def _watched(arrivals: dict[Event, list[float]]) -> Watched:
    delays = [[1000 * (when - event.recorded) for when in whens] for event, whens in arrivals.items()]
    return Watched(
        deliveries=sum(map(len, delays)),
        watchers=frozenset(map(len, delays)),
        first=[each[0] for each in delays],  # in the order in which they came
        median=[each[len(each) // 2] for each in delays],
        last=[each[-1] for each in delays],
    )


# The process, and what is said to it: first what to open, then "go", which is answered with what came.

Order: TypeAlias = tuple[tuple[str, int], str, Sequence[str], int, int]


class ReadersProcess:
    """Readers in a process of their own."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def start_reading(self) -> None:
        """Have them read until each has got the end of a task."""
        self._pipe.send("go")

    @property
    def done(self) -> bool:
        """Whether they have all."""
        return self._pipe.poll()

    def result(self) -> Watched:
        """Wait for it, and return what came. Raises EOFError if the readers failed; they say why themselves."""
        watched: Watched = self._pipe.recv()
        return watched


@contextmanager
def reading(
    address: tuple[str, int], paths: Sequence[str], *, streams: int, after: int, version: str
) -> Iterator[tuple[ReadersProcess, float]]:
    """Open streams in a process of their own. Yields it, and the seconds that opening took."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, (address, version, paths, streams, after)))
    process.start()
    there.close()
    try:
        seconds: float = here.recv()
        yield ReadersProcess(here), seconds
    finally:
        here.close()
        process.join(15)
        process.kill()
        process.join()


def _work(pipe: Connection, order: Order) -> None:
    address, version, paths, streams, after = order
    allow_descriptors(streams + 100)
    readers = Readers(address, version=version)
    try:
        seconds = readers.open(paths, streams=streams, after=after)
        gc.freeze()
        gc.disable()  # a collection would be counted as the server's delay
        pipe.send(seconds)
        try:
            while pipe.recv() == "go":
                pipe.send(readers.read_to_the_end())
        except EOFError:
            return  # nobody wants to know more
    finally:
        readers.close()


def allow_descriptors(count: int) -> None:
    """Raise the limit of open files that far. Raises ValueError if the system does not let it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
