"""Requests that are not answered at once: a hold in every order of what may happen to it, and its reminders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement, product
from typing import Literal, TypeAlias

import pytest

from alex_http.transport.feed import Reason
from alex_http.transport.holds import TICK, Hold, Reminders

Act: TypeAlias = Literal["news", "time", "gone", "stop"]
"""What happens on other threads: somebody wakes, the time is over, the client goes, the server stops."""

INSTANTS = 10
"""Moments within a call and its parking at which something else can happen; what happens later is after both."""


class Connection:
    """What a hold has of a connection. ``meanwhile`` is called wherever another thread may come between."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.queued = 0
        self.stopping = False
        self.room = True
        self.reminders: dict[Hold, float] = {}
        self.failures: list[Exception] = []

    @property
    def ending(self) -> bool:
        self.meanwhile()
        ending = self.stopping
        self.meanwhile()
        return ending

    def again(self) -> None:
        self.queued += 1
        assert self.queued == 1, "It is queued twice: two workers would answer."

    def remind(self, hold: Hold, seconds: float) -> None:
        self.meanwhile()
        self.reminders[hold] = seconds
        self.meanwhile()

    def forget(self, hold: Hold) -> None:
        self.meanwhile()
        self.reminders.pop(hold, None)

    def room_for_stream(self) -> bool:
        return self.room

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


class Play:
    """A request that waits for news, and what happens to it at given instants."""

    def __init__(self, acts: tuple[Act, ...], instants: tuple[int, ...]) -> None:
        self._coming = list(zip(instants, acts, strict=True))
        self._instant = 0
        self._busy = False  # what happens at an instant is not come between in its turn
        self._parked = False
        self._news = False
        self.answered = self.gone = self.woken = False
        self.ends = 0
        self.connection = Connection()
        self.connection.meanwhile = self._meanwhile
        self.hold = Hold(self.connection)

    def run(self) -> None:
        """Serve it as a channel does, until nobody has anything to do."""
        self.connection.queued = 1
        while self.connection.queued or self._coming:
            if self.connection.queued:
                self.connection.queued = 0
                self._serve()
            else:
                self._instant = INSTANTS
                self._meanwhile()

    def _serve(self) -> None:
        hold = self.hold
        self._parked = False
        self._meanwhile()
        if self.gone:
            hold.over()  # waitress does not call the application
            return
        hold.called()
        self._meanwhile()
        assert not self.answered
        if self._news or hold.overdue or hold.ending:
            self.answered = True
            self._meanwhile()
            hold.over()
            return
        self._meanwhile()
        hold.at_the_end = self._end
        hold.wait(30.0)
        self._meanwhile()
        self._parked = True
        hold.park()
        self._meanwhile()

    def _meanwhile(self) -> None:
        if self._busy:
            return
        self._busy = True
        while self._coming and self._coming[0][0] <= self._instant:
            self._happen(self._coming.pop(0)[1])
        self._instant += 1
        self._busy = False

    def _happen(self, act: Act) -> None:
        match act:
            case "news":
                self._news = True
                self.hold.wake()
            case "time":
                if self.connection.reminders.pop(self.hold, None) is None:
                    return  # there is no such time yet
                self.hold.time_is_over()
            case "gone":
                self.gone = True
                self.hold.over()
            case "stop":
                self.connection.stopping = True
                if self._parked:  # Channel.answer_now
                    self.hold.wake()
        self.woken = True

    def _end(self) -> None:
        self.ends += 1


def plays() -> Iterator[tuple[tuple[Act, ...], tuple[int, ...]]]:
    """Yield up to three acts, in every order, at every instant."""
    acts: tuple[Act, ...] = ("news", "time", "gone", "stop")
    for count in (1, 2, 3):
        for instants in combinations_with_replacement(range(INSTANTS + 1), count):
            for chosen in product(acts, repeat=count):
                yield chosen, instants


def test_whatever_happens_when_a_request_is_answered_once_or_its_client_is_gone() -> None:
    for acts, instants in plays():
        play = Play(acts, instants)

        play.run()

        assert play.answered or play.gone or not play.woken, (acts, instants)


def test_whatever_happens_when_the_end_is_told_once_to_who_waited_for_it_and_leaves_no_reminder() -> None:
    for acts, instants in plays():
        play = Play(acts, instants)

        play.run()

        waited = play.connection.reminders or play.ends
        over = play.answered or play.gone
        assert play.ends <= 1, (acts, instants)
        assert play.ends == 1 or not (waited and over), (acts, instants)
        assert not (over and play.connection.reminders), (acts, instants)


def test_a_wake_while_the_application_is_called_has_it_called_again() -> None:
    connection, hold = waiting(park=False)

    hold.wake()
    hold.park()

    assert connection.queued == 1


def test_a_wake_before_the_call_is_not_for_after_it() -> None:
    connection, hold = waiting(park=False)
    hold.wake()

    hold.called()
    hold.wait(1.0)
    hold.park()

    assert connection.queued == 0


def test_many_wakes_have_the_application_called_once() -> None:
    connection, hold = waiting()

    for _ in range(3):
        hold.wake()

    assert connection.queued == 1


def test_it_is_reminded_once_of_the_time_that_it_asked_for_first() -> None:
    connection, hold = waiting(seconds=2.5)
    reminders = dict(connection.reminders)
    hold.wake()
    connection.queued = 0

    hold.called()
    hold.wait(60.0)
    hold.park()

    assert reminders == connection.reminders == {hold: 2.5}


def test_one_that_was_reminded_while_it_is_being_parked_is_called_again() -> None:
    connection, hold = waiting(park=False)
    connection.meanwhile = hold.time_is_over

    hold.park()

    assert hold.overdue
    assert connection.queued == 1


def test_a_stop_that_the_call_did_not_see_has_the_application_called_again() -> None:
    connection, hold = waiting(park=False)
    connection.stopping = True

    hold.park()

    assert connection.queued == 1


def test_a_stop_that_the_call_saw_is_no_reason_to_call_again() -> None:
    connection = Connection()
    connection.stopping = True
    hold = Hold(connection)
    hold.called()
    hold.wait(1.0)

    hold.park()

    assert connection.queued == 0


def test_what_is_to_be_done_at_the_end_is_done_though_the_client_went_before_it_was_said() -> None:
    _, hold = waiting(park=False)
    ends: list[str] = []
    hold.over()

    hold.at_the_end = lambda: ends.append("end")
    hold.park()

    assert ends == ["end"]


def test_what_is_raised_at_the_end_is_told_to_the_connection_alone() -> None:
    connection, hold = waiting()
    error = ZeroDivisionError()

    def fail() -> None:
        raise error

    hold.at_the_end = fail
    hold.over()

    assert connection.failures == [error]


def test_one_that_is_over_is_not_called_again() -> None:
    connection, hold = waiting()

    hold.over()
    hold.wake()
    hold.time_is_over()

    assert connection.queued == 0


class NoFeed:
    """Gives nothing."""

    blocking = ended = False

    def begin(self, wake: Callable[[], None]) -> None:
        pass

    def take(self) -> bytes:
        return b""

    def heartbeat(self) -> bytes:
        return b""

    def closed(self, reason: Reason) -> None:
        pass


def test_a_stream_is_one_if_there_is_room_for_it() -> None:
    connection, feed = Connection(), NoFeed()
    connection.room = False
    full, free = Hold(connection), Hold(Connection())

    assert (full.stream(feed), full.feed) == (False, None)
    assert (free.stream(feed), free.feed) == (True, feed)


def test_a_feed_is_taken_once() -> None:
    hold, feed = Hold(Connection()), NoFeed()
    hold.stream(feed)

    taken = [hold.take_feed(), hold.take_feed()]

    assert taken == [feed, None]


def test_a_reply_is_a_stream_once_or_waits() -> None:
    streaming, waits = Hold(Connection()), Hold(Connection())
    streaming.stream(NoFeed())
    waits.wait(1.0)

    for wrong in (
        lambda: streaming.stream(NoFeed()),
        lambda: streaming.wait(1.0),
        lambda: waits.stream(NoFeed()),
    ):
        with pytest.raises(RuntimeError, match="stream"):
            wrong()


def test_reminders_come_in_order_within_a_tick_of_their_time_and_not_before() -> None:
    reminders: Reminders[Hold] = Reminders()
    holds = [Hold(Connection()) for _ in range(300)]
    times = [1000.0 + (number * 7 % 300) * 0.013 for number in range(300)]
    for hold, at in zip(holds, times, strict=True):
        reminders.add(hold, at)
    told: dict[Hold, float] = {}

    now = 999.0
    while (at := reminders.next()) < math.inf:
        assert at > now
        now = at
        assert reminders.due(now - TICK / 100) == []
        told |= dict.fromkeys(reminders.due(now), now)

    assert len(told) == 300
    assert all(-1e-9 <= told[hold] - at <= TICK + 1e-9 for hold, at in zip(holds, times, strict=True))


def test_a_reminder_that_is_dropped_does_not_come_and_is_not_kept() -> None:
    reminders: Reminders[Hold] = Reminders()
    first, second, never = (Hold(Connection()) for _ in range(3))
    reminders.add(first, 5.0)
    reminders.add(second, 5.0)

    for _ in range(2):  # dropping twice is no failure
        reminders.drop(first)
    reminders.drop(never)

    assert len(reminders) == 1
    assert reminders.due(6.0) == [second]
    assert (len(reminders), reminders.next()) == (0, math.inf)
    reminders.drop(second)  # nor is dropping one that came


def test_no_reminder_is_due_before_there_is_one() -> None:
    reminders: Reminders[Hold] = Reminders()

    assert (reminders.next(), reminders.due(1e9), len(reminders)) == (math.inf, [], 0)


def waiting(*, seconds: float = 30.0, park: bool = True) -> tuple[Connection, Hold]:
    """Return a hold whose application asked to wait, and its connection."""
    connection = Connection()
    hold = Hold(connection)
    hold.called()
    hold.wait(seconds)
    if park:
        hold.park()
    return connection, hold
