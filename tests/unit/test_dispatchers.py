"""What runs actors: turns, threads, and the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pykka
import pytest
from pykka._envelope import Envelope

from alex_actors.actor import PooledActor
from alex_actors.dispatchers import BUDGET
from alex_actors.mailbox import Mailbox, mailbox_of
from alex_actors.messages import Message, ask, tell
from tests.live.process import until
from tests.unit.actor_fakes import WAIT, Call, Cast, Kept, Scripted, System, answered, noting


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.close()


def test_an_actor_with_a_full_mailbox_gives_way_after_its_budget(system: System) -> None:
    pool = system.pool(threads=1)
    holder, busy, other = (system.spawn(pool) for _ in range(3))
    handled: list[str] = []
    gate = system.gate()
    gate.hold(holder)
    for _message in range(3 * BUDGET):
        tell(busy, noting(handled, "busy"))
    tell(other, noting(handled, "other"))

    gate.open()

    answered(busy)
    answered(other)
    assert handled.index("other") == BUDGET
    assert handled.count("busy") == 3 * BUDGET


def test_actors_cost_no_threads(system: System) -> None:
    pool = system.pool(threads=2)
    before = set(threading.enumerate())

    actors = [system.spawn(pool) for _ in range(500)]

    assert [answered(actor) for actor in actors] == ["answer"] * 500
    assert set(threading.enumerate()) <= before
    assert pool.actors == 500


def test_a_dispatcher_counts_what_its_actors_have_done_by_class(system: System) -> None:
    pool = system.pool()
    actors = [system.spawn(pool) for _ in range(3)]

    for actor in actors:
        answered(actor)
    system.close()  # a turn counts when it is over

    done = pool.handled_so_far()
    assert done.keys() == {"Scripted"}
    assert done["Scripted"].messages == 3 + 3  # and the stops
    assert done["Scripted"].seconds > 0


def test_a_journal_hears_how_long_each_message_waited_and_took_also_of_one_that_crashed(system: System) -> None:
    notes: list[tuple[str, float, float]] = []

    class Notes:
        def handled(self, actor: PooledActor, message: Message, *, waited: float, took: float) -> None:
            assert isinstance(actor, Scripted)
            notes.append((type(message).__name__, waited, took))

    def fail(*_: object) -> None:
        raise ValueError

    actor = system.spawn(system.pool(threads=1, journal=Notes()))
    gate = system.gate()
    gate.hold(actor)
    tell(actor, noting([], 1))
    tell(actor, Cast(do=fail))
    gate.open()

    actor.stop(timeout=WAIT)

    assert [name for name, _, _ in notes[-2:]] == ["Cast", "Cast"]
    assert all(waited > 0 and took > 0 for _, waited, took in notes)


def test_a_mailbox_says_how_many_messages_wait(system: System) -> None:
    actor = system.spawn(system.pool())
    gate = system.gate()
    gate.hold(actor)

    tell(actor, noting([], 1))
    tell(actor, noting([], 2))

    assert len(mailbox_of(actor)) == 2
    assert not mailbox_of(actor).empty()


class LateToken:
    """A mailbox's token that lets a message come in just before it is given back."""

    def __init__(self, put: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._put: Callable[[], object] | None = put

    def acquire(self, blocking: bool = True) -> bool:
        return self._lock.acquire(blocking)

    def release(self) -> None:
        put, self._put = self._put, None
        if put is not None:
            put()
        self._lock.release()


@pytest.mark.parametrize("end", [lambda mailbox: mailbox.run(BUDGET), lambda mailbox: mailbox.close()])
def test_a_message_that_comes_while_the_actor_gives_way_is_not_lost(
    system: System, end: Callable[[Mailbox], object]
) -> None:
    mailbox = Mailbox("of an actor that has stopped")
    mailbox.dispatcher = system.pool()
    late: list[pykka.Future[object]] = []
    mailbox._token = LateToken(lambda: late.append(put(mailbox)))  # type: ignore[assignment] # acts as a lock

    end(mailbox)

    with pytest.raises(pykka.ActorDeadError):
        late[0].get(timeout=WAIT)


def put(mailbox: Mailbox) -> pykka.Future[object]:
    """Put a message that wants an answer."""
    future = mailbox.dispatcher.future()
    mailbox.put(Envelope(Call(do=lambda *_: None), reply_to=future))
    return future


# A thread for one actor.


def test_a_pinned_dispatcher_refuses_a_second_actor(system: System) -> None:
    pinned = system.pinned()
    first = system.spawn(pinned)

    with pytest.raises(RuntimeError, match="runs one actor"):
        system.spawn(pinned)

    assert answered(first) == "answer"


def test_a_pinned_dispatcher_takes_another_actor_after_the_first(system: System) -> None:
    pinned = system.pinned()
    system.spawn(pinned).stop(timeout=WAIT)

    second = system.spawn(pinned)

    assert answered(second) == "answer"


def test_a_supervisor_may_replace_its_actor_on_the_same_thread(system: System) -> None:
    pinned = system.pinned()
    replaced: list[pykka.ActorRef[Scripted]] = []
    actor = pinned.spawn(Scripted, supervisor=lambda _: replaced.append(system.spawn(pinned)))

    with pytest.raises(ZeroDivisionError):
        ask(actor, Call(do=lambda *_: 1 // 0), timeout=WAIT)

    assert answered(replaced[0]) == "answer"


# The end.


def test_stop_stops_the_last_started_first(system: System) -> None:
    pool = system.pool(threads=1)
    notes: list[str] = []
    names = ("first ", "second ", "third ")
    actors = [system.spawn(pool, partial(Scripted, notes=notes, name=name)) for name in names]
    for actor in (*actors, actors[0]):  # the first once more: then the one thread has come back from the others
        answered(actor)

    in_time = pool.stop(timeout=WAIT)

    assert in_time
    assert notes[3:] == ["third stop", "second stop", "first stop"]
    assert pool.actors == 0


def test_stop_ends_the_threads(system: System) -> None:
    before = set(threading.enumerate())
    pool = system.pool(threads=4)
    actors = [system.spawn(pool) for _ in range(10)]
    assert len(set(threading.enumerate()) - before) == 4

    pool.stop(timeout=WAIT)

    assert set(threading.enumerate()) <= before
    assert not any(actor.is_alive() for actor in actors)


def test_what_was_sent_before_the_stop_is_handled(system: System) -> None:
    pool = system.pool()
    actor, handled = system.spawn(pool), list[int]()
    for number in range(10 * BUDGET):
        tell(actor, noting(handled, number))

    pool.stop(timeout=WAIT)

    assert handled == list(range(10 * BUDGET))


def test_stop_with_a_blocked_actor_stops_the_others_at_once(system: System) -> None:
    pool = system.pool()
    notes: list[str] = []
    gate = system.gate()
    other = system.spawn(pool, lambda: Scripted(notes=notes))
    blocked = system.spawn(pool)
    gate.hold(blocked)

    with ThreadPoolExecutor(1) as stopping:
        in_time = stopping.submit(pool.stop, timeout=WAIT)
        until(lambda: pool.actors == 1, "the other has stopped")
        assert not other.is_alive()
        assert notes == ["start", "stop"]
        gate.open()

    assert in_time.result()


def test_stop_with_a_blocked_actor_says_so_in_time(system: System) -> None:
    pool = system.pool()
    blocked = system.spawn(pool)
    gate = system.gate()
    gate.hold(blocked)

    in_time = pool.stop(timeout=0.1)

    assert not in_time
    assert pool.actors == 1


def test_an_ask_after_the_stop_fails_at_once(system: System) -> None:
    pool = system.pool()
    actor = system.spawn(pool)
    pool.stop(timeout=WAIT)

    with pytest.raises(pykka.ActorDeadError):
        answered(actor)


def test_an_actor_that_is_spawned_after_the_stop_is_dead(system: System) -> None:
    pool = system.pool()
    pool.stop(timeout=WAIT)

    actor = system.spawn(pool)

    with pytest.raises(pykka.ActorDeadError):
        answered(actor)


def test_what_waits_for_a_blocked_thread_is_turned_away_by_the_stop(system: System) -> None:
    pool = system.pool(threads=1)
    blocked, waiting = system.spawn(pool), system.spawn(pool)
    answered(waiting)
    gate = system.gate()
    gate.hold(blocked)
    waits = waiting.ask(Call(do=lambda *_: "never"), block=False)

    in_time = pool.stop(timeout=0.1)

    assert not in_time
    with pytest.raises(pykka.ActorDeadError):
        waits.get(timeout=WAIT)


def test_who_waits_for_a_promise_is_told_when_its_actor_is_turned_away(system: System) -> None:
    pool, kept = system.pool(threads=1), Kept()
    blocked, promising = system.spawn(pool), system.spawn(pool)
    waits = promising.ask(Call(do=kept.keep), block=False)
    answered(promising)
    gate = system.gate()
    gate.hold(blocked)

    pool.stop(timeout=0.1)

    with pytest.raises(pykka.ActorDeadError):
        waits.get(timeout=WAIT)


def test_a_blocked_actor_that_comes_back_after_the_stop_ends_its_thread(system: System) -> None:
    before = set(threading.enumerate())
    pool = system.pool(threads=1)
    blocked = system.spawn(pool)
    gate = system.gate()
    gate.hold(blocked)
    assert not pool.stop(timeout=0.1)

    gate.open()

    assert pool.stop(timeout=WAIT)
    assert set(threading.enumerate()) <= before
    assert pool.actors == 0


def test_asks_that_race_with_the_stop_are_answered_or_fail_but_never_wait(system: System) -> None:
    outcomes: list[str] = []

    def ask_until_dead(actor: pykka.ActorRef[Scripted], start: threading.Barrier) -> None:
        start.wait(WAIT)
        try:
            while True:
                answered(actor)
        except pykka.ActorDeadError:
            outcomes.append("dead")

    for _round in range(10):
        pool, start = system.pool(threads=3), threading.Barrier(5)
        askers = [threading.Thread(target=ask_until_dead, args=(system.spawn(pool), start)) for _ in range(4)]
        for asker in askers:
            asker.start()
        start.wait(WAIT)
        assert pool.stop(timeout=WAIT)
        for asker in askers:
            asker.join(WAIT)

    assert outcomes == ["dead"] * 40


def test_a_dispatcher_that_is_stopped_twice_stays_stopped(system: System) -> None:
    pool = system.pool()
    system.spawn(pool)

    assert pool.stop(timeout=WAIT)
    assert pool.stop(timeout=WAIT)


def test_a_message_that_comes_too_late_is_logged_also_without_threads(system: System) -> None:
    pool = system.pool()
    actor = system.spawn(pool)
    pool.stop(timeout=WAIT)

    tell(actor, Cast(do=lambda _: None))

    (line,) = system.log.named("message.undelivered")
    assert line["type"] == "Cast"
