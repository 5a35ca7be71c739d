"""Messages that are sent later: by a clock that the test moves, and by the system's."""

from __future__ import annotations

import gc
import queue
import threading
import weakref
from collections.abc import Callable, Iterator

import pykka
import pytest
from structlog.typing import FilteringBoundLogger

from alex_actors.clock import SystemClock
from alex_actors.messages import tell
from alex_actors.ports import Clock
from alex_actors.timers import MOST_INCOMING, PendingMessage, ThreadTimers
from tests.unit.actor_fakes import WAIT, Cast, OwnedClock, Scripted, System

LONG = 1_000.0
"""Seconds that are over only when the test says so."""


class MeddledClock(OwnedClock):
    """A clock that lets something happen at the moment in which the timers' thread reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.when_read_by_the_timers: Callable[[], object] | None = None

    def monotonic(self) -> float:
        meddle = self.when_read_by_the_timers
        if meddle is not None and threading.current_thread().name == "timers":
            self.when_read_by_the_timers = None
            meddle()
        return self.seconds


class WatchedTimers(ThreadTimers):
    """Timers that tell when their thread has taken many messages into its heap."""

    def __init__(self, *, clock: Clock, log: FilteringBoundLogger) -> None:
        self.sorted_in = threading.Event()
        super().__init__(clock=clock, log=log)

    def _take_incoming(self) -> None:
        super()._take_incoming()
        if len(self._heap) > MOST_INCOMING:
            self.sorted_in.set()


class Stage:
    """Timers by an owned clock, and an actor that hands on what it is told."""

    def __init__(self, system: System) -> None:
        self.clock = MeddledClock()
        self.timers = WatchedTimers(clock=self.clock, log=system.log.logger)
        self.received: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._awake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.actor = system.spawn(system.pool(threads=1))

    def after(self, seconds: float, text: str) -> PendingMessage:
        return self.timers.after(seconds, self.actor, Cast(do=lambda _: self.received.put(text)))

    def wake(self) -> None:
        """Have the timers' thread send what is due, and return when it is received."""
        for _turn in range(2):  # the second is taken up after all that came due with the first
            self.timers.after(-LONG, self.actor, Cast(do=lambda _: self._awake.put(None)))
            self._awake.get(timeout=WAIT)

    def next(self) -> str:
        return self.received.get(timeout=WAIT)


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.close()


@pytest.fixture
def stage(system: System) -> Iterator[Stage]:
    stage = Stage(system)
    yield stage
    stage.timers.stop(timeout=WAIT)


def test_a_message_is_sent_when_it_is_due_and_not_before(stage: Stage) -> None:
    stage.after(LONG, "due")

    stage.clock.seconds = LONG - 0.001
    stage.wake()
    early = stage.received.empty()
    stage.clock.seconds = LONG
    stage.wake()

    assert early
    assert stage.next() == "due"


def test_messages_are_sent_in_the_order_in_which_they_are_due(stage: Stage) -> None:
    for seconds, text in [(LONG + 3, "third"), (LONG + 1, "first"), (LONG + 2, "second")]:
        stage.after(seconds, text)

    stage.clock.seconds = LONG + 10
    stage.wake()

    assert [stage.next() for _ in range(3)] == ["first", "second", "third"]


def test_messages_that_are_due_together_are_sent_in_the_order_in_which_they_were_set(stage: Stage) -> None:
    for number in range(100):
        stage.after(LONG, str(number))

    stage.clock.seconds = LONG
    stage.wake()

    assert [stage.next() for _ in range(100)] == [str(number) for number in range(100)]


def test_a_cancelled_message_is_not_sent(stage: Stage) -> None:
    cancelled = stage.after(LONG, "cancelled")
    stage.after(LONG, "sent")

    cancelled.cancel()

    stage.clock.seconds = LONG
    stage.wake()
    assert stage.next() == "sent"
    assert stage.received.empty()
    assert cancelled.cancelled


def test_a_message_that_was_sent_can_be_cancelled_to_no_effect(stage: Stage) -> None:
    sent = stage.after(0, "sent")
    text = stage.next()

    sent.cancel()

    assert text == "sent"


def test_a_message_is_sent_once(stage: Stage) -> None:
    stage.after(0, "once")

    stage.wake()
    stage.wake()

    assert stage.next() == "once"
    assert stage.received.empty()


def test_what_a_cancelled_message_would_have_sent_is_freed_at_once(stage: Stage) -> None:
    class Parcel:
        pass

    parcel = Parcel()
    freed = weakref.ref(parcel)
    pending = stage.timers.after(LONG, stage.actor, Cast(do=lambda _, parcel=parcel: None))  # type: ignore[misc] # mypy: no defaults
    del parcel
    gc.disable()
    try:
        held = freed() is not None

        pending.cancel()

        assert held
        assert freed() is None
    finally:
        gc.enable()


def test_cancelled_messages_do_not_pile_up(stage: Stage) -> None:
    for _ in range(50):
        for pending in [stage.after(LONG, "never") for _ in range(200)]:
            pending.cancel()

        stage.wake()

        assert len(stage.timers._incoming) == 0
        assert len(stage.timers._heap) <= 2 * 200 + 64  # at most twice those that lived at the last sweep


def test_messages_that_are_cancelled_after_they_were_sorted_in_are_swept_out(stage: Stage) -> None:
    kept = stage.after(LONG, "kept")
    for _ in range(20):
        sorted_in = [stage.after(LONG, "never") for _ in range(100)]
        stage.wake()
        for pending in sorted_in:
            pending.cancel()

    stage.wake()

    assert kept in stage.timers._heap
    assert len(stage.timers._heap) < 20 * 100 / 4


def test_messages_that_are_due_after_others_do_not_pile_up_until_then(stage: Stage) -> None:
    stage.after(LONG, "first")
    stage.wake()

    for _ in range(MOST_INCOMING + 2):  # each due after the first, so none of them is reason enough to wake
        stage.after(2 * LONG, "never")

    assert stage.timers.sorted_in.wait(WAIT)


def test_a_message_that_is_set_while_the_thread_looks_at_the_clock_is_not_missed(stage: Stage) -> None:
    stage.clock.when_read_by_the_timers = lambda: stage.after(0, "meanwhile")

    stage.timers.after(-LONG, stage.actor, Cast(do=lambda _: None))

    assert stage.next() == "meanwhile"


def test_a_message_that_cannot_be_sent_stops_no_other(system: System, stage: Stage) -> None:
    class Threaded(pykka.ThreadingActor):
        pass

    foreign = Threaded.start()
    stage.timers.after(0, foreign, Cast(do=lambda _: None))  # type: ignore[misc] # the fault that this is about
    stage.after(0, "sent")

    text = stage.next()

    assert text == "sent"
    (line,) = system.log.named("timers.failed")
    assert isinstance(line["exc_info"], TypeError)
    foreign.stop(timeout=WAIT)


def test_a_message_to_an_actor_that_has_stopped_is_no_failure(system: System, stage: Stage) -> None:
    gone = system.spawn(system.pool(threads=1))
    gone.stop(timeout=WAIT)

    stage.timers.after(0, gone, Cast(do=lambda _: None))

    stage.wake()
    assert system.log.named("timers.failed") == []


def test_nothing_is_sent_after_a_stop(stage: Stage) -> None:
    stage.after(LONG, "never")
    stage.clock.seconds = LONG - 1

    stage.timers.stop(timeout=WAIT)

    stage.clock.seconds = LONG
    stage.after(0, "never either")
    assert not stage.timers._thread.is_alive()
    assert stage.received.empty()


def test_the_systems_clock_sends_what_is_due_in_time(system: System) -> None:
    timers = ThreadTimers(clock=SystemClock(), log=system.log.logger)
    received: queue.SimpleQueue[str] = queue.SimpleQueue()
    actor: pykka.ActorRef[Scripted] = system.spawn(system.pool(threads=1))

    timers.after(3600, actor, Cast(do=lambda _: received.put("in an hour")))
    timers.after(0.02, actor, Cast(do=lambda _: received.put("soon")))
    timers.after(0, actor, Cast(do=lambda _: received.put("now")))

    assert [received.get(timeout=WAIT) for _ in range(2)] == ["now", "soon"]
    assert received.empty()
    timers.stop(timeout=WAIT)


def test_a_message_may_set_the_next_one(stage: Stage) -> None:
    def again(actor: Scripted, left: int) -> None:
        stage.received.put(str(left))
        if left:
            stage.timers.after(0, actor.actor_ref, Cast(do=lambda actor: again(actor, left - 1)))

    tell(stage.actor, Cast(do=lambda actor: again(actor, 3)))

    assert [stage.next() for _ in range(4)] == ["3", "2", "1", "0"]
