"""Waking a stream in every order of the steps of who wakes, of the streams' thread, and of who reads for it."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import greenlet
import pytest

from alex_http.transport.poller import Ready
from alex_http.transport.streams import Stream, Streams
from tests.unit.fake_runtime import Log
from tests.unit.streams_under_test import FakePoller, FakeSocket, ScriptedFeed


class Orders:
    """Runs threads in every order of their steps: again and again, each time in the next order."""

    def __init__(self, most_switches: int) -> None:
        """``most_switches`` is how often one that could go on may be left for another."""
        self.count = 0
        self._most_switches = most_switches
        self._script: list[tuple[int, int]] = []  # which was chosen, of how many
        self._step = 0

    def __iter__(self) -> Iterator[None]:
        while True:
            self.count += 1
            self._step = 0
            yield
            while self._script and self._script[-1][0] + 1 == self._script[-1][1]:
                self._script.pop()
            if not self._script:
                return
            chosen, among = self._script[-1]
            self._script[-1] = (chosen + 1, among)

    def run(self, threads: list[Thread]) -> None:
        """Run threads until none can go on."""
        left, last = self._most_switches, None
        while able := [thread for thread in threads if thread.able()]:
            if last in able:
                able.remove(last)
                able.insert(0, last)
                able = able if left else able[:1]
            thread = able[self._choose(len(able))]
            left -= last in able and thread is not last
            last = thread
            thread.step()

    def _choose(self, among: int) -> int:
        if among == 1:
            return 0
        if self._step == len(self._script):
            self._script.append((0, among))
        self._step += 1
        return self._script[self._step - 1][0]


class Thread:
    """Something that runs up to its next step, when it is told."""

    def __init__(self, run: Callable[[], None], able: Callable[[], bool] = lambda: True) -> None:
        self._greenlet = greenlet.greenlet(run)
        self._able = able

    def able(self) -> bool:
        """Return whether it can go on."""
        return not self._greenlet.dead and self._able()

    def step(self) -> None:
        """Go on up to its next step."""
        self._greenlet.switch()


def pause() -> None:
    """Let others come between, if this is in one of the threads."""
    parent = greenlet.getcurrent().parent
    if parent is not None:
        parent.switch()


class SharedDeque(deque[Any]):  # Any: of streams, or of calls
    """A deque whose every operation is a step."""

    def append(self, item: Any) -> None:  # as above
        pause()
        super().append(item)

    def popleft(self) -> Any:  # as above
        pause()
        return super().popleft()

    def __len__(self) -> int:
        pause()
        return super().__len__()


class SteppedStreams(Streams):
    """Streams whose every look at what threads share is a step."""

    @property
    def _asleep(self) -> bool:
        pause()
        return self._is_asleep

    @_asleep.setter
    def _asleep(self, value: bool) -> None:
        pause()
        self._is_asleep = value


class SteppedStream(Stream):
    """A stream of which the same is true."""

    @property
    def woken(self) -> bool:
        pause()
        return self._is_woken

    @woken.setter
    def woken(self, value: bool) -> None:
        pause()
        self._is_woken = value

    @property
    def read(self) -> bytes | memoryview | None:
        pause()
        return self._was_read

    @read.setter
    def read(self, value: bytes | memoryview | None) -> None:
        pause()
        self._was_read = value


class SteppedPoller(FakePoller):
    """Wakes up by a ring, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps = self.rung = False

    def ring(self) -> None:
        pause()
        self.rung = True

    def wait(self, timeout: float) -> Iterator[Ready]:
        self.sleeps = timeout > 0
        pause()
        self.sleeps = self.rung = False
        return iter(())


class SteppedFeed(ScriptedFeed):
    """Takes its time."""

    def take(self) -> bytes:
        pause()
        taken = super().take()
        pause()
        return taken


class Play:
    """One stream; those who bring something for it; its thread; and one who reads for it."""

    def __init__(self, *, blocking: bool) -> None:
        self.poller = SteppedPoller()
        self.reads: deque[Callable[[], None]] = deque()
        self._reading = False
        self.feed = SteppedFeed()
        self.feed.is_blocking = blocking
        self.sock = FakeSocket()
        self.streams = SteppedStreams(
            now=lambda: 0.0,
            read=self.reads.append,
            log=Log().logger,
            most=1,
            most_per_address=1,
            poller=self.poller,
        )
        self.streams._calls = SharedDeque()
        self.streams.admit("there")
        sock = cast(socket.socket, self.sock)  # it has what they use of one
        self.streams._new.append(SteppedStream(self.streams, sock, self.feed, "there"))
        self.streams.turn(0.0)
        while self.reads:  # it has begun, and found nothing
            self.reads.popleft()()
            self.streams.turn(0.0)

    def threads(self, *brings: bytes) -> list[Thread]:
        """Return one who brings each of these, and those of the server."""
        bringing = [Thread(lambda it=it: self.feed.bring(it)) for it in brings]  # type: ignore[misc]  # lambda it=
        return [
            *bringing,
            Thread(self._send, lambda: not self.poller.sleeps or self.poller.rung),
            Thread(self._read, lambda: self._reading or bool(self.reads)),
        ]

    def _send(self) -> None:
        while True:
            self.streams.turn(60.0)

    def _read(self) -> None:
        while True:
            self._reading = True
            self.reads.popleft()()
            self._reading = False
            pause()


@pytest.mark.parametrize(
    (
        "blocking",
        "brings",
        "most_switches",
        "least",
    ),  # least: how many orders there are at least, so that it counts
    [
        (False, [b"a"], 1_000, 3000),
        (False, [b"a", b"b"], 2, 300),
        (True, [b"a"], 3, 1000),
        (True, [b"a", b"b"], 1, 500),
    ],
)
def test_in_every_order_what_is_brought_is_sent(
    *, blocking: bool, brings: list[bytes], most_switches: int, least: int
) -> None:
    orders = Orders(most_switches)

    for _ in orders:
        play = Play(blocking=blocking)
        orders.run(play.threads(*brings))

        assert sorted(play.sock.taken) == sorted(b"".join(brings)), (orders.count, orders._script)
        assert not play.streams._away

    assert orders.count >= least
