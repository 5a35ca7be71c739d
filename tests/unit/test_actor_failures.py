"""How actors fail, and how they answer later: what is ours where Pykka leaves off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pykka
import pytest

from alex_actors.actor import HandlerExit
from alex_actors.dispatchers import PoolDispatcher
from alex_actors.messages import ask, tell
from tests.unit.actor_fakes import WAIT, Call, Cast, Kept, Scripted, System, answered, gone, noting


class Mishap(Exception):
    """What a handler raises in these tests."""


class Exit(BaseException):
    """What is raised in these tests, and is no Exception."""


def raising(error: BaseException) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.close()


@pytest.fixture
def pool(system: System) -> PoolDispatcher:
    return system.pool(threads=1)


# A handler that raises.


def test_a_failing_ask_crashes_the_actor_and_fails_its_asker(system: System, pool: PoolDispatcher) -> None:
    notes: list[str] = []
    actor = system.spawn(pool, lambda: Scripted(notes=notes))
    mishap = Mishap("ask")

    with pytest.raises(Mishap) as raised:
        ask(actor, Call(do=raising(mishap)), timeout=WAIT)

    assert raised.value is mishap
    assert system.crashes.errors == [mishap]
    assert notes == ["start", "failure"]
    assert not actor.is_alive()
    assert pool.actors == 0


def test_a_failing_tell_crashes_the_actor(system: System, pool: PoolDispatcher) -> None:
    notes: list[str] = []
    actor = system.spawn(pool, lambda: Scripted(notes=notes))
    mishap = Mishap("tell")

    tell(actor, Cast(do=raising(mishap)))

    assert gone(actor)
    assert system.crashes.errors == [mishap]
    assert notes == ["start", "failure"]
    assert not actor.is_alive()
    assert pool.actors == 0


def test_a_crash_is_logged_with_its_exception(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)
    mishap = Mishap()

    with pytest.raises(Mishap):
        ask(actor, Call(do=raising(mishap)), timeout=WAIT)

    (line,) = system.log.named("actor.crashed")
    assert line == {"event": "actor.crashed", "actor": "Scripted", "exc_info": mishap, "log_level": "error"}


def test_what_waits_behind_a_crash_is_turned_away(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(system.pool())
    gate = system.gate()
    gate.hold(actor)
    tell(actor, Cast(do=raising(Mishap())))
    behind = actor.ask(Call(do=lambda *_: "late"), block=False)

    gate.open()

    with pytest.raises(pykka.ActorDeadError):
        behind.get(timeout=WAIT)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), Exit()])
def test_a_handler_that_raises_no_exception_kills_no_worker(
    system: System, pool: PoolDispatcher, error: BaseException
) -> None:
    told, asked, other = (system.spawn(pool) for _ in range(3))

    tell(told, Cast(do=raising(error)))
    assert gone(told)
    with pytest.raises(HandlerExit, match=r"Scripted .* raised .* on Call") as raised:
        ask(asked, Call(do=raising(error)), timeout=WAIT)

    assert answered(other) == "answer"
    assert [type(crash) for crash in system.crashes.errors] == [HandlerExit, HandlerExit]
    assert system.crashes.errors[1] is raised.value
    assert raised.value.__cause__ is error


def test_a_call_through_a_proxy_that_raises_no_exception_fails_its_caller(
    system: System, pool: PoolDispatcher
) -> None:
    class Leaving(Scripted):
        def leave(self) -> None:
            raise SystemExit

    actor = system.spawn(pool, Leaving)

    with pytest.raises(HandlerExit, match="on ProxyCall"):
        actor.proxy().leave().get(timeout=WAIT)

    assert answered(actor) == "answer"


# A hook that raises.


@pytest.mark.parametrize("error", [Mishap(), Exit()])
def test_an_actor_whose_on_start_raises_crashes_and_fails_who_asks(
    system: System, pool: PoolDispatcher, error: BaseException
) -> None:
    actor = system.spawn(pool, lambda: Scripted(on_start=raising(error)))

    with pytest.raises(pykka.ActorDeadError):
        answered(actor)

    assert system.crashes.errors == [error]
    assert pool.actors == 0


@pytest.mark.parametrize("error", [Mishap(), Exit()])
def test_an_actor_whose_on_stop_raises_is_stopped_all_the_same(
    system: System, pool: PoolDispatcher, error: BaseException
) -> None:
    actor = system.spawn(pool, lambda: Scripted(on_stop=raising(error)))

    assert actor.stop(timeout=WAIT)

    (line,) = system.log.named("actor.crashed")
    assert line["exc_info"] is error
    assert system.crashes.errors == [error]  # a last commit that fails must not look like a stop in good order


@pytest.mark.parametrize("error", [Mishap(), Exit()])
def test_an_actor_whose_on_failure_raises_is_reported_once(
    system: System, pool: PoolDispatcher, error: BaseException
) -> None:
    first = Mishap("the first")
    actor = system.spawn(pool, lambda: Scripted(on_failure=raising(error)))

    with pytest.raises(Mishap, match="the first"):
        ask(actor, Call(do=raising(first)), timeout=WAIT)

    assert system.crashes.errors == [first]
    assert [line["exc_info"] for line in system.log.named("actor.crashed")] == [first, error]


def test_a_supervisor_that_fails_hides_no_crash_from_who_asks(system: System, pool: PoolDispatcher) -> None:
    actor = pool.spawn(Scripted, supervisor=raising_supervisor)

    with pytest.raises(Mishap, match="in the actor"):
        ask(actor, Call(do=raising(Mishap("in the actor"))), timeout=WAIT)

    (line,) = system.log.named("supervisor.failed")
    assert str(line["exc_info"]) == "in the supervisor"


def raising_supervisor(_error: BaseException) -> None:
    msg = "in the supervisor"
    raise Mishap(msg)


# Answers that come later.


def ask_later(actor: pykka.ActorRef[Scripted], kept: Kept) -> pykka.Future[object]:
    """Ask for what is answered later, and return when the handler has returned its promise."""
    future: pykka.Future[object] = actor.ask(Call(do=kept.keep), block=False)
    answered(actor)
    return future


def test_a_promise_is_answered_when_it_is_fulfilled(system: System, pool: PoolDispatcher) -> None:
    actor, kept = system.spawn(pool), Kept()
    later = ask_later(actor, kept)
    with pytest.raises(pykka.Timeout):
        later.get(timeout=0)

    tell(actor, Cast(do=lambda _: kept.fulfil("at last")))

    assert later.get(timeout=WAIT) == "at last"


def test_a_promise_may_be_fulfilled_before_it_is_returned(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)

    def at_once(_: Scripted, message: Call) -> object:
        promise = message.later()
        promise.fulfil("at once")
        return promise

    assert ask(actor, Call(do=at_once), timeout=WAIT) == "at once"


def test_a_promise_that_fails_raises_where_it_is_awaited(system: System, pool: PoolDispatcher) -> None:
    actor, kept = system.spawn(pool), Kept()
    later = ask_later(actor, kept)
    assert kept.promise is not None

    promise = kept.promise
    tell(actor, Cast(do=lambda _: promise.fail(Mishap("no answer"))))

    with pytest.raises(Mishap, match="no answer"):
        later.get(timeout=WAIT)
    assert answered(actor) == "answer"
    assert system.crashes.errors == []


def test_a_promise_is_settled_once(system: System, pool: PoolDispatcher) -> None:
    actor, kept = system.spawn(pool), Kept()
    later = ask_later(actor, kept)
    kept.fulfil("first")

    with pytest.raises(RuntimeError, match="settled already: an ask has one answer"):
        kept.fulfil("second")

    assert later.get(timeout=WAIT) == "first"


def test_a_promise_dies_with_an_actor_that_stops(system: System, pool: PoolDispatcher) -> None:
    actor, kept = system.spawn(pool), Kept()
    later = ask_later(actor, kept)

    actor.stop(timeout=WAIT)

    with pytest.raises(pykka.ActorDeadError, match="stopped before it answered"):
        later.get(timeout=WAIT)


def test_a_promise_dies_with_an_actor_that_crashes(system: System, pool: PoolDispatcher) -> None:
    actor, kept = system.spawn(pool), Kept()
    later = ask_later(actor, kept)

    tell(actor, Cast(do=raising(Mishap())))

    with pytest.raises(pykka.ActorDeadError, match="stopped before it answered"):
        later.get(timeout=WAIT)


def test_an_actor_may_still_keep_its_promises_while_it_stops(system: System, pool: PoolDispatcher) -> None:
    kept = Kept()
    actor = system.spawn(pool, lambda: Scripted(on_stop=lambda: kept.fulfil("in the end")))
    later = ask_later(actor, kept)

    actor.stop(timeout=WAIT)

    assert later.get(timeout=WAIT) == "in the end"


def test_an_actor_remembers_no_promise_that_is_settled(system: System, pool: PoolDispatcher) -> None:
    actor = system.spawn(pool)
    promises = [Kept() for _ in range(10)]
    for kept in promises:
        ask_later(actor, kept)
    owed = ask(actor, Call(do=lambda actor, _: len(actor._promises)), timeout=WAIT)

    for kept in promises:
        tell(actor, Cast(do=lambda _, kept=kept: kept.fulfil(None)))  # type: ignore[misc] # mypy: no defaults

    assert owed == 10
    assert ask(actor, Call(do=lambda actor, _: len(actor._promises)), timeout=WAIT) == 0


def test_an_asker_that_has_given_up_is_answered_in_vain(system: System, pool: PoolDispatcher) -> None:
    actor, kept, notes = system.spawn(pool), Kept(), list[str]()
    with pytest.raises(pykka.Timeout):
        ask(actor, Call(do=kept.keep), timeout=0)
    answered(actor)

    tell(actor, Cast(do=lambda _: kept.fulfil("too late")))
    tell(actor, noting(notes, "alive"))

    answered(actor)
    assert notes == ["alive"]
