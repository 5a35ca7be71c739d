"""An actor that crashes is restarted in place: same ref, same mailbox, and a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pykka
import pytest

from alex_actors.dispatchers import PoolDispatcher
from alex_actors.mailbox import mailbox_of
from alex_actors.messages import ask, tell
from alex_actors.supervision import RESTARTS, WINDOW, RestartPolicy
from tests.unit.actor_fakes import WAIT, Call, Cast, Kept, OwnedClock, Scripted, System, answered, gone, noting


class Mishap(Exception):
    """What a handler raises in these tests."""


class Restarted:
    """An actor that is restarted, everything that its instances note, and how often one was made."""

    def __init__(self, system: System, *, policy: RestartPolicy | None = None) -> None:
        self.system = system
        self.clock = OwnedClock()
        self.policy = policy or RestartPolicy(clock=self.clock)
        self.notes: list[str] = []
        self.made = 0
        self.before_made: Callable[[int], object] = lambda _count: None
        self.on_start: Callable[[int], object] = lambda _count: None
        self.pool: PoolDispatcher = system.pool(threads=1)

    def spawn(self) -> pykka.ActorRef[Scripted]:
        return self.pool.spawn(self._make, supervisor=self.system.crashes, restart=self.policy)

    def _make(self) -> Scripted:
        self.made += 1
        number = self.made
        self.before_made(number)
        return Scripted(notes=self.notes, name=f"{number} ", on_start=lambda: self.on_start(number))

    def logged(self, event: str) -> int:
        return len(self.system.log.named(event))


def crash(*_: object) -> object:
    raise Mishap


def crash_in(*names: str) -> Callable[..., object]:
    """Return what crashes the instances with these names, and gives the name of any other."""

    def handle(actor: Scripted, *_: object) -> object:
        if actor.name.strip() in names:
            raise Mishap
        return actor.name.strip()

    return handle


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.close()


@pytest.fixture
def restarted(system: System) -> Restarted:
    return Restarted(system)


def test_another_actor_goes_on_under_the_same_ref_and_mailbox(restarted: Restarted) -> None:
    actor = restarted.spawn()
    mailbox, urn = mailbox_of(actor), actor.actor_urn

    tell(actor, Cast(do=crash_in("1")))

    assert answered(actor) == "answer"
    assert actor.is_alive()
    assert restarted.notes == ["1 start", "1 failure", "2 start"]
    assert mailbox.actor is not None
    assert (mailbox.actor.actor_ref, mailbox.actor.actor_urn) == (actor, urn)
    assert mailbox_of(mailbox.actor.actor_ref) is mailbox
    assert restarted.system.crashes.errors == []
    assert restarted.pool.actors == 1


def test_a_proxy_reaches_the_actor_that_there_is_now(restarted: Restarted) -> None:
    actor = restarted.spawn()
    tell(actor, Cast(do=crash_in("1")))
    answered(actor)

    name = actor.proxy().name.get(timeout=WAIT)

    assert name == "2 "


def test_the_message_is_handled_again_before_all_others(restarted: Restarted) -> None:
    actor, handled = restarted.spawn(), list[str]()
    gate = restarted.system.gate()
    gate.hold(actor)

    def first(one: Scripted) -> None:
        handled.append(f"first by {one.name}".strip())
        crash_in("1")(one)

    tell(actor, Cast(do=first))
    for name in ("second", "third"):
        tell(actor, noting(handled, name))
    gate.open()

    answered(actor)
    assert handled == ["first by 1", "first by 2", "second", "third"]


def test_who_asked_is_answered_by_the_next_actor(restarted: Restarted) -> None:
    actor = restarted.spawn()

    answer = ask(actor, Call(do=crash_in("1")), timeout=WAIT)

    assert answer == "2"


def test_a_message_that_crashes_two_actors_is_dropped_and_its_asker_told(restarted: Restarted) -> None:
    actor = restarted.spawn()

    with pytest.raises(Mishap):
        ask(actor, Call(do=crash), timeout=WAIT)

    assert answered(actor) == "answer"
    assert restarted.made == 3
    (line,) = restarted.system.log.named("message.dropped")
    assert (line["log_level"], line["type"], line["receiver"]) == ("error", "Call", "Scripted")
    assert (line["task_id"], line["session_id"]) == ("task-1", "session-1")


def test_a_message_that_is_told_and_crashes_two_actors_is_dropped_too(restarted: Restarted) -> None:
    actor = restarted.spawn()

    tell(actor, Cast(do=crash))

    assert answered(actor) == "answer"
    assert (restarted.made, restarted.logged("message.dropped")) == (3, 1)


def test_each_message_is_handled_again_once(restarted: Restarted) -> None:
    actor = restarted.spawn()

    first = ask(actor, Call(do=crash_in("1")), timeout=WAIT)
    second = ask(actor, Call(do=crash_in("2")), timeout=WAIT)

    assert (first, second) == ("2", "3")
    assert restarted.logged("message.dropped") == 0


def test_restarts_are_logged_and_counted(restarted: Restarted) -> None:
    actor = restarted.spawn()

    ask(actor, Call(do=crash_in("1")), timeout=WAIT)
    ask(actor, Call(do=crash_in("2")), timeout=WAIT)

    assert restarted.logged("actor.crashed") == 2
    lines = restarted.system.log.named("actor.restarted")
    assert [(line["actor"], line["restarts"]) for line in lines] == [("Scripted", 1), ("Scripted", 2)]
    assert restarted.policy.recent == 2


def test_one_crash_more_than_the_limit_is_the_end(restarted: Restarted) -> None:
    actor, behind = restarted.spawn(), Kept()
    gate = restarted.system.gate()
    gate.hold(actor)
    everyone = crash_in(*(str(number) for number in range(1, 20)))
    asked = [actor.ask(Call(do=everyone), block=False) for _ in range(RESTARTS)]
    waits = actor.ask(Call(do=behind.keep), block=False)

    gate.open()

    with pytest.raises(pykka.ActorDeadError):
        waits.get(timeout=WAIT)
    assert gone(actor)
    assert not actor.is_alive()
    assert restarted.made == 1 + RESTARTS
    assert [type(error) for error in restarted.system.crashes.errors] == [Mishap]
    assert restarted.pool.actors == 0
    with pytest.raises(Mishap):
        asked[0].get(timeout=WAIT)


def test_crashes_that_lie_further_apart_than_the_window_do_not_add_up(restarted: Restarted) -> None:
    actor = restarted.spawn()

    for number in range(1, 3 * RESTARTS):
        ask(actor, Call(do=crash_in(str(number))), timeout=WAIT)
        restarted.clock.seconds += WINDOW / RESTARTS

    assert answered(actor) == "answer"
    assert restarted.system.crashes.errors == []
    assert restarted.policy.recent <= RESTARTS


def test_a_policy_forgets_what_is_longer_ago_than_its_window() -> None:
    clock = OwnedClock()
    policy = RestartPolicy(clock=clock, limit=2, window=10.0)

    taken = [policy.take(), policy.take(), policy.take()]
    clock.seconds = 10.0

    assert taken == [True, True, False]
    assert policy.recent == 0
    assert policy.take()


def test_a_crash_in_on_start_is_another_crash_and_loses_no_message(restarted: Restarted) -> None:
    restarted.on_start = lambda number: crash() if number in {2, 3} else None
    actor = restarted.spawn()

    answer = ask(actor, Call(do=crash_in("1")), timeout=WAIT)

    assert answer == "4"
    assert restarted.policy.recent == 3
    assert restarted.logged("message.dropped") == 0


def test_an_actor_that_only_crashes_when_it_starts_is_given_up(restarted: Restarted) -> None:
    restarted.on_start = crash

    actor = restarted.spawn()

    assert gone(actor)
    assert restarted.made == 1 + RESTARTS
    assert [type(error) for error in restarted.system.crashes.errors] == [Mishap]


def test_an_actor_that_cannot_be_made_again_is_tried_again_and_then_given_up(restarted: Restarted) -> None:
    restarted.before_made = lambda number: crash() if number in {2, 4, 5} else None
    actor = restarted.spawn()

    answer = ask(actor, Call(do=crash_in("1")), timeout=WAIT)
    with pytest.raises(Mishap):
        ask(actor, Call(do=crash_in("3")), timeout=WAIT)

    assert answer == "3"
    assert gone(actor)
    assert len(restarted.system.crashes.errors) == 1


def test_promises_of_the_actor_that_crashed_fail_their_askers(restarted: Restarted) -> None:
    actor, kept = restarted.spawn(), Kept()
    waits = actor.ask(Call(do=kept.keep), block=False)
    answered(actor)

    tell(actor, Cast(do=crash_in("1")))

    with pytest.raises(pykka.ActorDeadError, match="stopped before it answered"):
        waits.get(timeout=WAIT)
    assert answered(actor) == "answer"


def test_a_crash_in_on_failure_costs_no_further_restart(system: System) -> None:
    policy = RestartPolicy(clock=OwnedClock())
    actor = system.pool().spawn(lambda: Scripted(on_failure=crash), supervisor=system.crashes, restart=policy)
    crashes = iter([True])

    def once(*_: object) -> None:
        if next(crashes, False):
            raise Mishap

    tell(actor, Cast(do=once))

    assert answered(actor) == "answer"
    assert policy.recent == 1
    assert len(system.log.named("actor.crashed")) == 2


def test_an_actor_whose_on_stop_raises_is_not_restarted(system: System) -> None:
    policy = RestartPolicy(clock=OwnedClock())
    actor = system.pool().spawn(lambda: Scripted(on_stop=crash), supervisor=system.crashes, restart=policy)

    actor.stop(timeout=WAIT)

    assert gone(actor)
    assert policy.recent == 0
    assert len(system.crashes.errors) == 1


def test_a_pinned_actor_is_restarted_on_its_thread(system: System) -> None:
    pinned, policy = system.pinned(), RestartPolicy(clock=OwnedClock())
    crashes = iter([True])
    actor = pinned.spawn(Scripted, supervisor=system.crashes, restart=policy)

    def once(*_: object) -> object:
        if next(crashes, False):
            raise Mishap
        return "second"

    answer = ask(actor, Call(do=once), timeout=WAIT)

    assert answer == "second"
    assert pinned.actors == 1


def test_a_dispatcher_stops_the_actor_that_there_is_now(restarted: Restarted) -> None:
    actor = restarted.spawn()
    tell(actor, Cast(do=crash_in("1")))

    in_time = restarted.pool.stop(timeout=WAIT)

    assert in_time
    assert not actor.is_alive()
    assert restarted.notes == ["1 start", "1 failure", "2 start", "2 stop"]


def test_what_an_actor_tells_itself_while_it_is_made_again_arrives(system: System) -> None:
    handled: list[str] = []
    policy = RestartPolicy(clock=OwnedClock())

    def eager() -> Scripted:
        actor = Scripted()
        ref: pykka.ActorRef[Scripted] = actor.actor_ref
        tell(ref, noting(handled, "told itself"))
        return actor

    crashes = iter([True])

    def once(*_: object) -> None:
        if next(crashes, False):
            raise Mishap

    actor = system.pool().spawn(eager, supervisor=system.crashes, restart=policy)
    answered(actor)

    tell(actor, Cast(do=once))

    answered(actor)
    assert handled == ["told itself", "told itself"]
