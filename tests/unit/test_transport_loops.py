"""Both loops: whose turn it is, descriptors that are used again, and what a worker changes meanwhile."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from alex_http.transport import CannotListen
from alex_http.transport.loops import EpollLoop, Loop, LoopName, PollLoop, new_loop
from tests.unit.running_server import LOOPS

needs_epoll = pytest.mark.skipif("epoll" not in LOOPS, reason="only Linux has epoll")


class Peer:
    """One end of a connection, as waitress' dispatchers are; ``far`` is the other."""

    accepting = False

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.near, self.far = socket.socketpair()
        self.near.settimeout(0)
        self.descriptor: int | None = self.near.fileno()
        self.will_close = False
        self.reads, self.writes = True, False
        self.asked = 0
        self.received: list[bytes] = []
        self.written = 0
        self.on_read: Callable[[], object] = lambda: None
        self.on_asked: Callable[[], object] = lambda: None
        loop[self.near.fileno()] = self

    def readable(self) -> bool:
        self.asked += 1
        reads = self.reads
        self.on_asked()
        return reads

    def writable(self) -> bool:
        return self.writes

    def handle_read_event(self) -> None:
        self.received.append(self.near.recv(100))
        self.on_read()

    def handle_write_event(self) -> None:
        self.written += 1
        self.writes = False

    def handle_close(self) -> None:
        if self.descriptor is not None:
            del self._loop[self.descriptor]
        self.descriptor = None
        self.near.close()


class World:
    """A loop, and connections that it watches."""

    def __init__(self, name: LoopName) -> None:
        self.loop = new_loop(name)
        self._peers: list[Peer] = []

    def peer(self) -> Peer:
        self._peers.append(Peer(self.loop))
        return self._peers[-1]

    def turns(self, count: int = 1) -> None:
        """Turn without waiting."""
        for _ in range(count):
            self.loop.turn(0.0)

    def close(self) -> None:
        for peer in self._peers:
            peer.handle_close()
            peer.far.close()
        self.loop.close()


@contextmanager
def world_of(name: LoopName) -> Iterator[World]:
    it = World(name)
    yield it
    it.close()


@pytest.fixture(params=LOOPS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with world_of(request.param) as it:
        yield it


@pytest.fixture
def epoll() -> Iterator[World]:
    with world_of("epoll") as it:
        yield it


def test_one_reads_when_something_came(world: World) -> None:
    one, other = world.peer(), world.peer()
    one.far.send(b"hello")

    world.loop.turn(10)

    assert (one.received, other.received) == ([b"hello"], [])


def test_one_that_does_not_want_to_read_is_left_alone_until_it_does(world: World) -> None:
    peer = world.peer()
    peer.reads = False
    peer.far.send(b"ahead")

    world.turns(5)
    left_alone = peer.received == []
    peer.reads = True
    wakes = world.loop.changed(peer)
    world.loop.turn(10)

    assert left_alone
    assert wakes
    assert peer.received == [b"ahead"]


def test_what_a_worker_left_to_be_sent_is_sent_at_the_next_turn(world: World) -> None:
    peer = world.peer()
    world.turns()

    peer.writes = True
    wakes = world.loop.changed(peer)
    world.turns()

    assert wakes
    assert peer.written == 1


def test_one_that_is_closed_changes_nothing(world: World) -> None:
    peer = world.peer()
    peer.writes = True
    world.loop.look_at(peer)
    peer.handle_close()

    wakes = world.loop.changed(peer)
    world.turns()

    assert not wakes
    assert peer.written == 0
    assert len(world.loop) == 0


def test_one_that_is_closed_by_another_in_the_same_turn_is_not_called(world: World) -> None:
    one, other = world.peer(), world.peer()
    one.on_read, other.on_read = other.handle_close, one.handle_close
    for peer in (one, other):
        peer.far.send(b"hello")

    world.loop.turn(10)

    assert sorted([one.received, other.received]) == [[], [b"hello"]]


def test_what_happened_on_a_descriptor_is_not_told_to_the_next_one_that_has_it(world: World) -> None:
    first, second = world.peer(), world.peer()
    new: list[Peer] = []

    def replace(other: Peer) -> None:
        descriptor = other.descriptor
        other.handle_close()
        new.append(world.peer())  # it takes the lowest number that is free
        assert new[0].descriptor == descriptor

    first.on_read = lambda: replace(second)
    second.on_read = lambda: replace(first)
    for peer in (first, second):
        peer.far.send(b"hello")

    world.loop.turn(10)  # the new one would read, and find nothing there: waitress closes then
    told_at_once = list(new[0].received)
    new[0].far.send(b"mine")
    world.loop.turn(10)

    assert told_at_once == []
    assert new[0].received == [b"mine"]


@needs_epoll
def test_a_turn_asks_nobody_on_whom_nothing_happened(epoll: World) -> None:
    idle = [epoll.peer() for _ in range(50)]
    busy = epoll.peer()
    busy.far.send(b"hello")

    epoll.turns(3)

    assert [peer.asked for peer in idle] == [0] * 50
    assert busy.received == [b"hello"]


@needs_epoll
def test_a_request_and_its_answer_change_no_registration_and_wake_nobody(epoll: World) -> None:
    peer = epoll.peer()
    peer.on_read = lambda: setattr(peer, "reads", False)  # a worker has it
    peer.far.send(b"a request")
    epoll.turns(2)

    peer.reads = True
    wakes = epoll.loop.changed(peer)
    peer.far.send(b"the next one")
    epoll.turns()

    assert not wakes
    assert peer.received == [b"a request", b"the next one"]


@needs_epoll
def test_a_client_that_sends_ahead_does_not_make_the_loop_spin(epoll: World) -> None:
    peer = epoll.peer()
    peer.reads = False
    peer.far.send(b"ahead")

    epoll.turns(1000)

    assert peer.asked < 5


@needs_epoll
def test_a_change_while_the_registration_is_taken_back_is_not_overlooked(epoll: World) -> None:
    peer = epoll.peer()
    peer.reads = False
    peer.far.send(b"ahead")
    woken: list[bool] = []

    def worker_is_done() -> None:  # between the loop's look at the connection and its registration
        if peer.asked == 2:
            peer.reads = True
            woken.append(epoll.loop.changed(peer))

    peer.on_asked = worker_is_done
    epoll.turns(2)

    assert woken == [False]
    assert peer.received == [b"ahead"]


@needs_epoll
def test_one_whose_client_hangs_up_is_closed_though_it_would_not_read(epoll: World) -> None:
    peer = epoll.peer()
    peer.reads = False
    peer.far.close()

    epoll.turns()

    assert peer.descriptor is None
    assert len(epoll.loop) == 0


@needs_epoll
def test_one_that_was_closed_is_not_told_of_though_a_child_has_it_still(epoll: World) -> None:
    peer = epoll.peer()
    kept = os.dup(peer.near.fileno())  # as a child has it that is being started
    peer.handle_close()
    new = epoll.peer()

    peer.far.send(b"hello")
    happened = epoll.loop._epoll.poll(0)  # type: ignore[attr-defined]  # it is an EpollLoop

    assert happened == []
    assert new.received == []
    os.close(kept)


def test_the_best_loop_is_taken_and_poll_is_everywhere() -> None:
    best, poll = new_loop(), new_loop("poll")

    assert isinstance(best, EpollLoop if "epoll" in LOOPS else PollLoop)
    assert isinstance(poll, PollLoop)
    best.close()


def test_epoll_where_there_is_none_is_told_with_what_would_be_right() -> None:
    chosen = new_loop(has_epoll=False)

    assert isinstance(chosen, PollLoop)
    with pytest.raises(CannotListen, match='"auto" is right everywhere'):
        new_loop("epoll", has_epoll=False)
