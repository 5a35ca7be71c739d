"""Streams: what is sent when, to readers who are slow, gone or silent; and how many there may be."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest

from alex_http.transport.poller import Poller
from alex_http.transport.streams import HEARTBEAT, LAST_CALL, STALL, TURN, Streams
from tests.unit.fake_runtime import Log
from tests.unit.streams_under_test import FakeSocket, ScriptedFeed, Sending


@pytest.fixture
def sending() -> Sending:
    return Sending()


def test_what_is_there_is_sent_and_then_what_comes(sending: Sending) -> None:
    feed = ScriptedFeed(b"a", b"b")
    sock = sending.open(feed)

    first = sock.text()
    feed.bring(b"c", b"d")
    sending.turn()

    assert (first, sock.text()) == ("ab", "cd")


def test_what_was_woken_for_before_the_stream_began_is_sent(sending: Sending) -> None:
    feed = ScriptedFeed()
    sock = sending.open(feed)

    feed.wake()
    feed.wake()
    feed.given.append(b"a")
    sending.turn()

    assert sock.text() == "a"


def test_a_slow_reader_is_sent_each_byte_once_and_asks_for_no_more_meanwhile(sending: Sending) -> None:
    feed = ScriptedFeed(b"abcdef", b"ghij")
    sock = sending.open(feed, room=0)
    for _ in range(12):
        sock.room = 1
        sending.turn()
        assert feed.calls.count("take") == (1 if len(sock.taken) < 6 else 2 if len(sock.taken) < 10 else 3)

    assert sock.text() == "abcdefghij"
    assert not sending.poller.wanting_room


def test_a_reader_with_enough_room_is_not_watched_for_it(sending: Sending) -> None:
    sending.open(ScriptedFeed(b"a"))

    assert not sending.poller.wanting_room


def test_a_slow_reader_does_not_hold_up_another(sending: Sending) -> None:
    slow, quick = ScriptedFeed(b"a"), ScriptedFeed(b"a")
    sending.open(slow, room=0)
    sock = sending.open(quick)

    slow.bring(b"b")
    quick.bring(b"b")
    sending.turn()

    assert sock.text() == "ab"


def test_a_feed_without_end_does_not_hold_up_another(sending: Sending) -> None:
    endless, other = ScriptedFeed(*[b"x"] * 1000), ScriptedFeed(b"a")
    first, second = FakeSocket(), FakeSocket()
    for sock, feed in ((first, endless), (second, other)):
        sending.streams.admit("there")
        sending.adopt(sock, feed)

    sending.streams.turn(60.0)

    assert TURN <= len(first.taken) <= 2 * TURN
    assert second.text() == "a"
    assert sending.streams._calls  # it goes on at the next turn, without a wait
    sending.turn()
    assert len(first.taken) == 1000
    assert set(sending.poller.waits[1:-1]) == {0.0}


def test_what_a_reader_sends_is_dropped(sending: Sending) -> None:
    feed = ScriptedFeed()
    sock = sending.open(feed)

    sock.incoming += [b"GET / HTTP/1.1\r\n", b"\r\n"]
    sending.turn()
    sending.turn()
    feed.bring(b"a")
    sending.turn()

    assert not sock.incoming
    assert sock.text() == "a"


GOING = [b"", ConnectionResetError(), TimeoutError(), BrokenPipeError(), OSError(113, "No route to host")]


@pytest.mark.parametrize("going", GOING, ids=repr)
def test_a_reader_who_goes_is_heard(sending: Sending, going: bytes | OSError) -> None:
    feed = ScriptedFeed(b"a")
    sock = sending.open(feed)

    sock.incoming.append(going)
    sending.turn()

    assert sock.is_closed
    assert feed.reasons == ["gone"]
    sending.pass_time(HEARTBEAT)
    assert sending.leftovers() == {}


@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_reader_who_is_gone_when_something_is_sent_is_closed(sending: Sending, room: int) -> None:
    feed = ScriptedFeed(b"abc")
    sock = sending.open(feed, room=room)

    sock.sending_fails = ConnectionResetError()
    feed.bring(b"d")
    sending.turn()

    assert sock.is_closed
    assert feed.reasons == ["gone"]
    sending.pass_time(HEARTBEAT)
    assert sending.leftovers() == {}


def test_a_reader_who_went_before_the_stream_began_is_closed(sending: Sending) -> None:
    feed, sock = ScriptedFeed(b"abc"), FakeSocket()
    sock.sending_fails = BrokenPipeError()

    sending.streams.admit("there")
    sending.adopt(sock, feed)
    sending.turn()

    assert feed.reasons == ["gone"]


def test_a_socket_that_can_be_read_and_written_when_its_reader_goes_is_closed_once(sending: Sending) -> None:
    feed = ScriptedFeed(b"abc")
    sock = sending.open(feed, room=1)

    sock.room = 10
    sock.incoming.append(b"")
    sending.turn()

    assert feed.reasons == ["gone"]
    assert sock.text() == "a"


def test_one_that_is_over_is_forgotten_when_it_was_to_be_looked_at(sending: Sending) -> None:
    feed = ScriptedFeed()
    sock = sending.open(feed)
    sending.pass_time(9.0)
    feed.bring(b"a")
    sending.turn()
    sock.incoming.append(b"")
    sending.turn()

    sending.pass_time(1.0)

    assert sending.leftovers() == {}


def test_a_wake_for_a_stream_that_is_over_is_for_nothing(sending: Sending) -> None:
    feed = ScriptedFeed()
    sock = sending.open(feed)
    sock.incoming.append(b"")

    feed.wake()  # before it is seen to be over
    sending.turn()
    feed.wake()
    sending.turn()

    assert feed.reasons == ["gone"]


# Heartbeats, and readers who read nothing.


def test_a_heartbeat_comes_after_ten_seconds_in_which_nothing_was_sent(sending: Sending) -> None:
    feed = ScriptedFeed(b"a")
    sock = sending.open(feed)

    sending.pass_time(9.9)
    feed.bring(b"b")
    sending.turn()
    sending.pass_time(9.9, steps=3)
    before = sock.text()
    sending.pass_time(0.2)

    assert (before, sock.text()) == ("ab", "<beat>")


def test_an_hour_of_silence_has_a_heartbeat_every_ten_seconds_and_nothing_grows(sending: Sending) -> None:
    feed = ScriptedFeed()
    sock = sending.open(feed)
    beats: list[float] = []

    for _ in range(7200):
        sending.pass_time(0.5)
        if sock.text():
            beats.append(sending.time)

    assert len(beats) == 360
    assert {after - before for before, after in pairwise(beats)} == {HEARTBEAT}
    assert sending.leftovers() == {"open": 1, "streams": 1, "addresses": 1, "due": 1, "watched": 1}


def test_the_thread_sleeps_until_the_next_heartbeat(sending: Sending) -> None:
    sending.open(ScriptedFeed())
    sending.pass_time(4.0)

    sending.streams.turn(60.0)

    assert sending.poller.waits[-1] == HEARTBEAT - 4.0


def test_no_heartbeat_comes_in_the_middle_of_a_frame(sending: Sending) -> None:
    sock = sending.open(ScriptedFeed(b"abcdef"), room=3)

    sending.pass_time(25.0, steps=50)
    sock.room = 100
    sending.turn()
    sending.pass_time(HEARTBEAT)

    assert sock.text() == "abcdef<beat>"


def test_a_reader_who_takes_nothing_for_thirty_seconds_is_cut_off(sending: Sending) -> None:
    feed = ScriptedFeed(b"abc")
    sock = sending.open(feed, room=1)

    sending.pass_time(STALL - 0.1, steps=7)
    before = sock.is_closed
    sending.pass_time(0.2)

    assert (before, sock.is_closed) == (False, True)
    assert feed.reasons == ["stalled"]
    sending.pass_time(STALL)
    assert sending.leftovers() == {}


def test_a_reader_who_takes_a_byte_now_and_then_is_not_cut_off(sending: Sending) -> None:
    feed = ScriptedFeed(b"x" * 100)
    sock = sending.open(feed, room=0)

    for _ in range(100):
        sending.pass_time(STALL - 0.1, steps=4)
        sock.room = 1
        sending.turn()

    assert len(sock.text()) == 100
    assert not feed.reasons


def test_a_heartbeat_that_is_not_taken_is_a_stall_as_well(sending: Sending) -> None:
    feed = ScriptedFeed()
    sock = sending.open(feed, room=2)

    sending.pass_time(HEARTBEAT)
    sending.pass_time(STALL)

    assert sock.text() == "<b"
    assert feed.reasons == ["stalled"]


@pytest.mark.parametrize("room", [1, 1_000_000], ids=["takes nothing", "does not close"])
def test_at_a_stop_nobody_is_waited_for_who_does_nothing(sending: Sending, room: int) -> None:
    feed = ScriptedFeed(b"abc")
    sock = sending.open(feed, room=room)

    sending.streams.end_all()
    sending.turn()
    before = sock.is_closed
    sending.pass_time(LAST_CALL)

    assert (before, sock.is_closed) == (False, True)
    assert feed.reasons == ["stopping"]
    sending.pass_time(HEARTBEAT)
    assert sending.leftovers() == {}


# How many there may be.


def test_there_is_room_for_so_many_in_all_and_from_one_address() -> None:
    sending = Sending(most=3, most_per_address=2)
    asked = [(address, sending.streams.admit(address)) for address in "aaabb"]

    for address, admitted in asked:
        if admitted:
            sending.streams.drop(ScriptedFeed(), address)

    assert asked == [("a", True), ("a", True), ("a", False), ("b", True), ("b", False)]
    assert sending.leftovers() == {}
    assert sending.streams.admit("a")


def test_one_that_did_not_come_to_be_is_told_so(sending: Sending) -> None:
    feed = ScriptedFeed()
    sending.streams.admit("there")

    sending.streams.drop(feed, "there")

    assert feed.reasons == ["gone"]
    assert len(sending.streams) == 0


# The system's own way to wait.


def test_a_ring_ends_a_wait_and_one_before_it_as_well() -> None:
    poller = Poller()

    for _ in range(10_000):  # more than its socket holds
        poller.ring()
    found = list(poller.wait(600.0))
    while poller._selector.select(0):
        list(poller.wait(0.0))
    poller.ring()
    found += poller.wait(600.0)
    poller.close()
    poller.ring()

    assert found == []


def test_real_sockets_are_found_ready_and_forgotten() -> None:
    poller = Poller()
    ours, theirs = socket.socketpair()
    streams = Streams(now=lambda: 0.0, read=id, log=Log().logger, most=1, most_per_address=1, poller=poller)
    streams.adopt(ours, ScriptedFeed(), "there")
    stream = streams._new[0]

    poller.watch(ours, stream)
    quiet = list(poller.wait(0.0))
    poller.watch_for_room(ours, stream, wanted=True)
    writable = list(poller.wait(0.0))
    poller.watch_for_room(ours, stream, wanted=False)
    theirs.close()
    readable = list(poller.wait(0.0))
    poller.forget(ours)
    poller.forget(ours)
    gone = list(poller.wait(0.0))
    ours.close()
    poller.close()

    assert quiet == gone == []
    assert writable == [(stream, False, True)]
    assert readable == [(stream, True, False)]
