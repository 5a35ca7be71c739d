"""Streams: how they end, and feeds that block or fail."""

from __future__ import annotations

import pytest

from alex_http.transport.streams import HEARTBEAT, LINGER
from tests.unit.streams_under_test import FakeSocket, ScriptedFeed, Sending


@pytest.fixture
def sending() -> Sending:
    return Sending()


# The end.


def test_the_end_is_said_lets_the_reader_close_and_counts_it_out(sending: Sending) -> None:
    feed = ScriptedFeed(b"a")
    sock = sending.open(feed)
    feed.bring(b"b")
    sending.turn()

    feed.end()
    sending.turn()
    said = (sock.is_shut_down, sock.is_closed, feed.reasons)
    feed.wake()
    sock.incoming += [b"bye", b""]
    sending.turn()
    sending.turn()

    assert said == (True, False, ["ended"])
    assert sock.text() == "ab"
    assert sock.is_closed
    assert feed.reasons == ["ended"]
    sending.pass_time(HEARTBEAT)
    assert sending.leftovers() == {}


@pytest.mark.parametrize("age", [0.0, 3.0, 9.9])
def test_a_reader_who_does_not_close_at_the_end_is_closed_after_five_seconds(sending: Sending, age: float) -> None:
    feed = ScriptedFeed()
    sock = sending.open(feed)
    sending.pass_time(age)
    feed.end()
    sending.turn()

    sending.pass_time(LINGER - 0.1)
    before = sock.is_closed
    sending.pass_time(0.2)

    assert (before, sock.is_closed) == (False, True)
    sending.pass_time(HEARTBEAT)
    assert sending.leftovers() == {}


def test_the_end_comes_after_what_a_slow_reader_has_not_taken(sending: Sending) -> None:
    feed = ScriptedFeed(b"abc")
    sock = sending.open(feed, room=1)

    feed.end()
    sending.turn()
    before = sock.is_shut_down
    sock.room = 9
    sending.turn()

    assert (before, sock.is_shut_down, sock.text()) == (False, True, "abc")


def test_a_reader_who_is_gone_at_the_end_is_closed_at_once(sending: Sending) -> None:
    feed, sock = ScriptedFeed(), FakeSocket()
    sock.shutdown_fails = OSError(107, "Transport endpoint is not connected")
    feed.is_ended = True

    sending.streams.admit("there")
    sending.adopt(sock, feed)
    sending.turn()

    assert sock.is_closed
    assert feed.reasons == ["ended"]


def test_at_a_stop_all_end_with_the_frame_that_is_being_sent(sending: Sending) -> None:
    idle, slow = ScriptedFeed(b"a"), ScriptedFeed(b"abc", b"def")
    idle_sock, slow_sock = sending.open(idle), sending.open(slow, room=1)

    sending.streams.end_all()
    sending.turn()
    before = (idle_sock.is_shut_down, slow_sock.is_shut_down)
    slow_sock.room = 100
    sending.turn()

    assert before == (True, False)
    assert (slow_sock.text(), slow_sock.is_shut_down) == ("abc", True)
    assert (idle.reasons, slow.reasons) == (["stopping"], ["stopping"])


def test_a_stream_that_comes_after_the_stop_ends_at_once_and_is_not_begun(sending: Sending) -> None:
    feed = ScriptedFeed(b"a")
    sending.streams.end_all()

    sock = sending.open(feed)

    assert sock.is_shut_down
    assert (sock.text(), feed.reasons) == ("", ["stopping"])
    assert "begin" not in feed.calls


def test_closing_closes_what_is_open_what_is_being_sent_and_what_is_still_to_come(sending: Sending) -> None:
    feeds = [ScriptedFeed(b"abc"), ScriptedFeed(b"abc"), ScriptedFeed(b"abc")]
    socks = [sending.open(feeds[0]), sending.open(feeds[1], room=1), FakeSocket()]
    sending.streams.admit("there")
    sending.adopt(socks[2], feeds[2])

    sending.streams.close()
    sending.streams.run()

    assert all(sock.is_closed for sock in socks)
    assert [feed.reasons for feed in feeds] == [["stopping"]] * 3
    assert sending.poller.is_closed
    assert len(sending.streams) == 0


def test_closing_begins_nothing_more(sending: Sending) -> None:
    feed = ScriptedFeed(b"a")
    feed.is_blocking = True
    sending.streams.admit("there")
    sending.adopt(FakeSocket(), feed)

    sending.streams.close()
    sending.streams.run()

    assert not {"begin", "take"} & set(feed.calls)
    assert feed.reasons == ["stopping"]


# Feeds that block.


def test_a_feed_that_blocks_is_read_elsewhere_and_by_one_at_a_time(sending: Sending) -> None:
    feed = ScriptedFeed(b"a", b"b")
    feed.is_blocking = True

    sock = sending.open(feed)
    before = (sock.text(), len(sending.reads))
    feed.wake()
    sending.turn()
    once = len(sending.reads)
    sending.read()

    assert (before, once) == (("", 1), 1)
    assert sock.text() == "ab"


def test_a_wake_while_a_feed_is_read_has_it_read_again(sending: Sending) -> None:
    feed = ScriptedFeed()
    feed.is_blocking = True
    sock = sending.open(feed)

    feed.wake()  # for what came after the read below looked
    sending.turn()
    sending.reads.popleft()()
    feed.given.append(b"a")
    sending.read()

    assert sock.text() == "a"


def test_a_wake_that_is_seen_after_a_read_that_brought_nothing_has_it_read_again(sending: Sending) -> None:
    feed = ScriptedFeed()
    feed.is_blocking = True
    sock = sending.open(feed)

    sending.reads.popleft()()
    feed.bring(b"a")
    sending.turn()
    sending.read()

    assert sock.text() == "a"


def test_a_feed_that_brought_nothing_is_not_read_again_before_it_wakes_or_a_heartbeat(sending: Sending) -> None:
    feed = ScriptedFeed()
    feed.is_blocking = True
    sending.open(feed)

    sending.read()
    after_a_read = len(sending.reads)
    sending.pass_time(HEARTBEAT)

    assert (after_a_read, len(sending.reads)) == (0, 1)


def test_heartbeats_go_on_while_a_feed_is_read_and_spoil_no_frame(sending: Sending) -> None:
    feed = ScriptedFeed(b"abc")
    feed.is_blocking = True
    sock = sending.open(feed, room=2)

    sending.pass_time(HEARTBEAT)
    feed.is_blocking = False
    sending.read()
    sock.room = 100
    sending.turn()

    assert sock.text() == "<beat>abc"


@pytest.mark.parametrize("reads_first", [True, False])
def test_one_that_is_closed_while_its_feed_is_read_is_told_after_that(sending: Sending, reads_first: bool) -> None:
    feed = ScriptedFeed(b"a")
    feed.is_blocking = True
    sock = sending.open(feed)
    sock.incoming.append(b"")
    if reads_first:  # its thread is in the middle of it, and calls only later
        sending.reads.popleft()()
        calls = list(sending.streams._calls)
        sending.streams._calls.clear()
        sending.turn()
        before = list(feed.reasons)
        sending.streams._calls += calls
    else:
        sending.turn()
        before = list(feed.reasons)
    sending.read()

    assert before == []
    assert feed.reasons == ["gone"]
    assert feed.calls.count("take") == reads_first
    sending.pass_time(HEARTBEAT)
    assert sending.leftovers() == {}


def test_a_stop_comes_after_what_is_being_read(sending: Sending) -> None:
    feed = ScriptedFeed(b"a")
    feed.is_blocking = True
    sock = sending.open(feed)

    sending.streams.end_all()
    sending.turn()
    before = sock.is_shut_down
    sending.read()

    assert (before, sock.text(), sock.is_shut_down) == (False, "a", True)


def test_a_stop_comes_after_a_read_that_brings_nothing(sending: Sending) -> None:
    feed = ScriptedFeed()
    feed.is_blocking = True
    sock = sending.open(feed)

    sending.streams.end_all()
    sending.turn()
    sending.read()

    assert (sock.is_shut_down, feed.reasons) == (True, ["stopping"])


def test_at_a_stop_all_are_looked_at_once(sending: Sending) -> None:
    feeds = [ScriptedFeed(b"abc") for _ in range(100)]
    socks = [sending.open(feed, room=0) for feed in feeds]
    sending.streams.end_all()
    sending.turn()
    looks = sum(feed.calls.count("ended") for feed in feeds)

    for sock in socks:
        sock.room = 3
        sending.turn()

    assert all(sock.is_shut_down for sock in socks)
    assert sum(feed.calls.count("ended") for feed in feeds) - looks == 100


def test_closing_waits_for_those_who_read_to_tell_their_feeds(sending: Sending) -> None:
    feed = ScriptedFeed(b"a")
    feed.is_blocking = True
    sock = sending.open(feed)
    waits: list[list[str]] = []

    def finish() -> None:
        waits.append(list(feed.reasons))
        if sock.is_closed and sending.reads:
            sending.reads.popleft()()

    sending.poller.while_waiting = finish
    sending.streams.close()
    sending.streams.run()

    assert waits
    assert not any(waits)
    assert feed.reasons == ["stopping"]
    assert sending.poller.is_closed


# Feeds that fail.


@pytest.mark.parametrize("call", ["begin", "take", "blocking", "ended"])
def test_a_feed_that_fails_ends_its_stream_and_no_other(sending: Sending, call: str) -> None:
    feed, other = ScriptedFeed(b"a"), ScriptedFeed()
    feed.fails_in = {call}
    other_sock = sending.open(other)

    sock = sending.open(feed)
    other.bring(b"b")
    sending.turn()

    assert (sock.is_shut_down, feed.reasons) == (True, ["failed"])
    assert sending.log.only("stream.failed")["exc_info"] is feed.error
    assert other_sock.text() == "b"
    sending.pass_time(LINGER)
    assert sock.is_closed
    sending.pass_time(HEARTBEAT)
    assert len(sending.streams) == 1


def test_a_feed_that_fails_for_its_heartbeat_ends_its_stream(sending: Sending) -> None:
    feed = ScriptedFeed()
    feed.fails_in = {"heartbeat"}
    sock = sending.open(feed)

    sending.pass_time(HEARTBEAT)

    assert (sock.is_shut_down, feed.reasons) == (True, ["failed"])


def test_a_feed_that_fails_where_it_is_read_ends_its_stream(sending: Sending) -> None:
    feed = ScriptedFeed()
    feed.is_blocking = True
    feed.fails_in = {"take"}
    sock = sending.open(feed)

    sending.read()

    assert (sock.is_shut_down, feed.reasons) == (True, ["failed"])
    assert sending.log.only("stream.failed")["exc_info"] is feed.error


@pytest.mark.parametrize("ending", ["gone", "ended", "dropped"])
def test_a_feed_that_fails_when_it_is_closed_is_logged(sending: Sending, ending: str) -> None:
    feed = ScriptedFeed()
    feed.fails_in = {"closed"}
    if ending == "dropped":
        sending.streams.admit("there")
        sending.streams.drop(feed, "there")
    else:
        sock = sending.open(feed)
        feed.is_ended = ending == "ended"
        feed.wake()
        sock.incoming.append(b"")
        sending.turn()
        sending.pass_time(HEARTBEAT)

    assert sending.log.only("stream.failed")["exc_info"] is feed.error
    assert len(feed.reasons) == 1
    assert sending.leftovers() == {}


def test_a_feed_that_gives_what_is_not_bytes_ends_its_stream(sending: Sending) -> None:
    feed = ScriptedFeed()
    feed.given.append("text")  # type: ignore[arg-type]  # that is what is tried

    sock = sending.open(feed)

    assert (sock.is_shut_down, feed.reasons) == (True, ["failed"])


def test_a_socket_that_the_system_has_no_room_to_watch_is_closed(sending: Sending) -> None:
    feed = ScriptedFeed()
    sending.poller.has_room_for_more = False

    sock = sending.open(feed)
    sending.pass_time(HEARTBEAT)

    assert (sock.is_closed, feed.reasons) == (True, ["failed"])
    sending.pass_time(HEARTBEAT)
    assert sending.leftovers() == {}
