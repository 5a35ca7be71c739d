"""What Pykka promises of an actor, kept by ours: ask, tell, proxies, hooks, stop, and what comes after it."""

from __future__ import annotations

import gc
import queue
import threading
import weakref
from collections.abc import Iterator

import pykka
import pytest

from alex_actors.dispatchers import PoolDispatcher
from alex_actors.mailbox import mailbox_of
from alex_actors.messages import ask, tell
from tests.unit.actor_fakes import WAIT, Call, Cast, Kept, Scripted, System, answered, gone, noting


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.close()


@pytest.fixture
def pool(system: System) -> PoolDispatcher:
    return system.pool()


# Messages.


def test_an_ask_is_answered_with_what_the_handler_returns(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)

    answer = ask(actor, Call(do=lambda _actor, message: message.context.task_id), timeout=WAIT)

    assert answer == "task-1"


def test_an_ask_that_is_not_answered_in_time_raises_a_timeout(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)
    kept = Kept()

    with pytest.raises(pykka.Timeout):
        ask(actor, Call(do=kept.keep), timeout=0)


def test_messages_are_handled_first_in_first_out(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)
    handled: list[int] = []

    for number in range(1_000):
        tell(actor, noting(handled, number))

    answered(actor)
    assert handled == list(range(1_000))


def test_messages_of_each_of_many_senders_are_handled_in_their_order(system: System) -> None:
    actor = system.spawn(system.pool(threads=4))
    handled: list[tuple[int, int]] = []

    def send_all(sender: int) -> None:
        for number in range(200):
            tell(actor, noting(handled, (sender, number)))

    senders = [threading.Thread(target=send_all, args=(sender,)) for sender in range(8)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join(WAIT)

    answered(actor)
    for sender in range(8):
        assert [number for who, number in handled if who == sender] == list(range(200))


def test_an_actor_runs_on_one_thread_at_a_time(system: System) -> None:
    actor = system.spawn(system.pool(threads=4))
    inside = threading.Lock()
    overlaps: list[int] = []

    def enter(_: Scripted) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(threading.get_ident())
            return
        for _turn in range(50):  # long enough for the interpreter to switch threads now and then
            pass
        inside.release()

    def send_all() -> None:
        for _turn in range(500):
            tell(actor, Cast(do=enter))

    senders = [threading.Thread(target=send_all) for _ in range(8)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join(WAIT)

    answered(actor)
    assert overlaps == []


def test_a_blocked_handler_holds_up_no_other_actor(system: System, pool: PoolDispatcher) -> None:
    blocked, other = system.spawn(pool), system.spawn(pool)
    gate = system.gate()
    gate.hold(blocked)

    answer = answered(other)

    assert answer == "answer"


def test_an_actor_may_tell_itself_before_it_is_started(system: System, pool: PoolDispatcher) -> None:
    def make() -> Scripted:
        actor = Scripted()
        tell(actor.actor_ref, noting(actor.notes, "told"))
        return actor

    actor = system.spawn(pool, make)

    notes = ask(actor, Call(do=lambda actor, _: list(actor.notes)), timeout=WAIT)

    assert notes == ["start", "told"]


def test_an_actor_that_asks_is_refused(system: System, pool: PoolDispatcher) -> None:
    asker, other = system.spawn(pool), system.spawn(pool)

    with pytest.raises(RuntimeError, match=r"Scripted .* asks Scripted .* actors never block"):
        ask(asker, Call(do=lambda *_: answered(other)), timeout=WAIT)


def test_a_thread_may_ask_again_after_it_ran_an_actor() -> None:
    ran: queue.SimpleQueue[object] = queue.SimpleQueue()

    class InlineDispatcher(PoolDispatcher):
        def ready(self, mailbox: object, /) -> None:
            del mailbox

    system = System()
    inline = InlineDispatcher(name="inline", threads=0, log=system.log.logger)
    pool = system.pool()
    by_hand, other = system.spawn(inline), system.spawn(pool)
    tell(by_hand, Cast(do=lambda actor: ran.put(actor.name)))
    mailbox_of(by_hand).run(1)

    answer = answered(other)

    assert ran.get(timeout=WAIT) == ""
    assert answer == "answer"
    system.close()


def test_a_typed_message_to_an_actor_of_pykka_is_refused() -> None:
    class Threaded(pykka.ThreadingActor):
        pass

    actor = Threaded.start()

    with pytest.raises(TypeError, match="is no PooledActor"):
        mailbox_of(actor)
    actor.stop(timeout=WAIT)


def test_an_actor_is_only_started_by_a_dispatcher() -> None:
    with pytest.raises(RuntimeError, match=r"start it with a dispatcher's spawn\(\)"):
        Scripted.start()
    pykka.ActorRegistry.unregister(pykka.ActorRegistry.get_all()[-1])


# Pykka's own ways to send.


def test_pykkas_ask_and_tell_carry_any_message(system: System, pool: PoolDispatcher) -> None:
    class Echo(Scripted):
        def on_receive(self, message: object) -> object:
            self.notes.append(str(message))
            return message

    actor = system.spawn(pool, Echo)

    actor.tell("one")
    answer = actor.ask("two", timeout=WAIT)

    assert answer == "two"
    assert actor.proxy().notes.get(timeout=WAIT) == ["start", "one", "two"]


def test_a_proxy_calls_reads_and_writes(system: System, pool: PoolDispatcher) -> None:
    proxy = system.spawn(pool).proxy()

    doubled = proxy.double(21).get(timeout=WAIT)
    proxy.colour = "blue"
    colour = proxy.colour.get(timeout=WAIT)

    assert doubled == 42
    assert colour == "blue"


def test_a_failing_call_through_a_proxy_leaves_the_actor_alive(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)

    with pytest.raises(TypeError):
        actor.proxy().double(None).get(timeout=WAIT)

    assert answered(actor) == "answer"
    assert system.crashes.errors == []


# Hooks and stop.


def test_on_start_comes_before_the_first_message_and_on_stop_after_the_last(
    system: System, pool: PoolDispatcher
) -> None:
    notes: list[str] = []
    actor = system.spawn(pool, lambda: Scripted(notes=notes))

    tell(actor, Cast(do=lambda _: notes.append("message")))
    stopped = actor.stop(timeout=WAIT)

    assert stopped
    assert notes == ["start", "message", "stop"]
    assert system.crashes.errors == []


def test_stop_answers_twice_and_the_second_time_says_that_there_was_nothing_to_stop(
    system: System, pool: PoolDispatcher
) -> None:
    actor = system.spawn(pool)

    first = actor.stop(timeout=WAIT)
    second = actor.stop(timeout=WAIT)

    assert (first, second) == (True, False)
    assert not actor.is_alive()


def test_a_stop_that_waits_behind_a_stop_is_answered_too(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)
    gate = system.gate()
    gate.hold(actor)
    stops = [actor.stop(block=False) for _ in range(3)]

    gate.open()

    assert [stop.get(timeout=WAIT) for stop in stops] == [True, True, True]


def test_an_actor_may_stop_itself(system: System, pool: PoolDispatcher) -> None:
    notes: list[str] = []
    actor = system.spawn(pool, lambda: Scripted(notes=notes))

    ask(actor, Call(do=lambda actor, _: actor.stop()), timeout=WAIT)

    assert gone(actor)
    assert notes == ["start", "stop"]


# After a stop.


def test_an_ask_after_a_stop_fails_at_once(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)
    actor.stop(timeout=WAIT)

    with pytest.raises(pykka.ActorDeadError, match="Scripted stopped before handling the message"):
        answered(actor)


def test_a_tell_after_a_stop_does_nothing_but_a_line_in_the_log(system: System) -> None:
    actor = system.spawn(system.pool())
    actor.stop(timeout=WAIT)

    tell(actor, Cast(do=lambda actor: actor.notes.append("never")))

    assert gone(actor)
    (line,) = system.log.named("message.undelivered")
    assert (line["receiver"], line["type"], line["log_level"]) == ("Scripted", "Cast", "debug")


def test_what_waits_behind_a_stop_is_turned_away(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)
    gate = system.gate()
    gate.hold(actor)
    actor.stop(block=False)
    behind = actor.ask("late", block=False)

    gate.open()

    with pytest.raises(pykka.ActorDeadError):
        behind.get(timeout=WAIT)


def test_an_ask_that_races_with_a_stop_is_answered_or_fails_but_never_waits(system: System) -> None:
    pool = system.pool(threads=4)
    outcomes: queue.SimpleQueue[str] = queue.SimpleQueue()

    def race(actor: pykka.ActorRef[Scripted], start: threading.Barrier) -> None:
        start.wait(WAIT)
        try:
            outcomes.put(str(answered(actor)))
        except pykka.ActorDeadError:
            outcomes.put("dead")

    for _round in range(50):
        actor, start = system.spawn(pool), threading.Barrier(5)
        racers = [threading.Thread(target=race, args=(actor, start)) for _ in range(4)]
        for racer in racers:
            racer.start()
        start.wait(WAIT)
        actor.stop(timeout=WAIT)

    seen = {outcomes.get(timeout=WAIT) for _ in range(50 * 4)}
    assert seen <= {"answer", "dead"}


# What an actor leaves behind.


def test_a_stopped_actor_is_freed_at_once_and_not_by_the_garbage_collector(system: System) -> None:
    pool = system.pool(threads=1)
    made: list[weakref.ref[Scripted]] = []

    def make() -> Scripted:
        actor = Scripted()
        made.append(weakref.ref(actor))
        return actor

    actors = [system.spawn(pool, make) for _ in range(10)]
    other = system.spawn(pool)
    gc.disable()
    try:
        for actor in actors:
            actor.stop(timeout=WAIT)
        answered(other)  # the one thread has come back from the last of them

        assert [actor() for actor in made] == [None] * 10
    finally:
        gc.enable()
    assert pool.actors == 1


def test_a_crashed_actor_is_freed_with_the_exception_that_tells_of_it(system: System) -> None:
    pool = system.pool(threads=1)
    made: list[weakref.ref[Scripted]] = []

    def make() -> Scripted:
        actor = Scripted()
        made.append(weakref.ref(actor))
        return actor

    actor, other = system.spawn(pool, make), system.spawn(pool)
    gc.disable()
    try:
        tell(actor, Cast(do=lambda _: 1 // 0))
        assert gone(actor)
        answered(other)  # the one thread has come back from it
        held_by_the_exception = made[0]() is not None
        system.crashes.errors.clear()
        system.log.clear()

        assert held_by_the_exception
        assert made[0]() is None
    finally:
        gc.enable()
    assert pool.actors == 1
