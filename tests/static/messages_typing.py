"""The types of messages, as tested API: mypy checks this file, and nothing runs it.

Each deliberate error carries the code of the error that a type checker must report. If one is reported no
more, its ``type: ignore`` is unused, and that is an error (``warn_unused_ignores``, part of ``--strict``).
"""

from __future__ import annotations

from typing import TypeAlias, assert_never, assert_type

import pykka

from alex_actors.actor import PooledActor
from alex_actors.dispatchers import PoolDispatcher
from alex_actors.messages import Ask, Promise, Tell, ask, tell
from alex_actors.timers import ThreadTimers
from alex_actors.values import Context, Value


class Accepted(Value, frozen=True):
    """There was room."""

    ahead: int


class Full(Value, frozen=True):
    """There was none."""


class Submit(Ask["Ledger", Accepted | Full], frozen=True, kw_only=True):
    """Queue something."""

    name: str


class Sweep(Tell["Ledger"], frozen=True, kw_only=True):
    """Drop what is overdue."""


class Lock(Ask["Door", bool], frozen=True, kw_only=True):
    """Lock the door."""


class Slam(Tell["Door"], frozen=True, kw_only=True):
    """Close the door with a bang."""


LedgerMessage: TypeAlias = Submit | Sweep
DoorMessage: TypeAlias = Lock | Slam


class Ledger(PooledActor):
    """An actor that handles all of its messages, and answers them with what they declare."""

    def on_receive(self, message: LedgerMessage) -> object:
        match message:
            case Submit(name="now"):
                return assert_type(message.reply(Accepted(ahead=0)), Accepted | Full)
            case Submit(name="later"):
                promise = assert_type(message.later(), Promise[Accepted | Full])
                promise.fulfil(Full())
                promise.fulfil(True)  # type: ignore[arg-type] # a wrong answer, later
                return promise
            case Submit():
                return message.reply("accepted")  # type: ignore[arg-type] # a wrong answer, now
            case Sweep():
                message.reply(None)  # type: ignore[attr-defined] # what has no answer cannot be answered
            case _:
                assert_never(message)
        return None


class Door(PooledActor):
    """An actor that forgets one of its messages."""

    def on_receive(self, message: DoorMessage) -> object:
        match message:
            case Lock():
                return message.reply(True)
            case _:
                assert_never(message)  # type: ignore[arg-type] # Slam was forgotten


def answers(ledger: pykka.ActorRef[Ledger], door: pykka.ActorRef[Door], context: Context) -> None:
    assert_type(ask(ledger, Submit(context=context, name="a"), timeout=1), Accepted | Full)
    assert_type(ask(door, Lock(context=context), timeout=0.5), bool)
    match ask(ledger, Submit(context=context, name="a"), timeout=1):
        case Accepted(ahead=ahead):
            assert_type(ahead, int)
        case Full():
            pass
        case other:
            assert_never(other)


def asking_wrongly(ledger: pykka.ActorRef[Ledger], door: pykka.ActorRef[Door], context: Context) -> None:
    ask(door, Submit(context=context, name="a"), timeout=1)  # type: ignore[misc] # the wrong addressee
    ask(ledger, Submit(context=context, name="a"))  # type: ignore[call-arg] # no timeout
    ask(ledger, Submit(context=context, name="a"), 1)  # type: ignore[call-arg] # a timeout without its name
    ask(ledger, Submit(context=context, name="a"), timeout=None)  # type: ignore[arg-type] # no end to the wait
    ask(ledger, Sweep(context=context), timeout=1)  # type: ignore[arg-type] # it has no answer
    answer: bool = ask(ledger, Submit(context=context, name="a"), timeout=1)  # type: ignore[assignment] # another's
    del answer


def telling_wrongly(ledger: pykka.ActorRef[Ledger], door: pykka.ActorRef[Door], context: Context) -> None:
    tell(ledger, Sweep(context=context))
    tell(door, Sweep(context=context))  # type: ignore[misc] # the wrong addressee
    tell(ledger, Submit(context=context, name="a"))  # type: ignore[arg-type] # it would never hear the answer
    tell(ledger, "sweep")  # type: ignore[arg-type] # no message
    tell(ledger, Sweep())  # type: ignore[call-arg] # nobody knows whose work it is


def messages_are_frozen(message: Submit) -> None:
    message.name = "another"  # type: ignore[misc] # it may be on another thread by now


def spawning(pool: PoolDispatcher) -> None:
    assert_type(pool.spawn(Ledger, supervisor=lambda _: None), pykka.ActorRef[Ledger])
    pool.spawn(Ledger)  # type: ignore[call-arg] # every actor has a supervisor
    pool.spawn(object, supervisor=lambda _: None)  # type: ignore[type-var] # no actor


def timing(timers: ThreadTimers, ledger: pykka.ActorRef[Ledger], context: Context) -> None:
    timers.after(1, ledger, Sweep(context=context)).cancel()
    timers.after(1, ledger, Slam(context=context))  # type: ignore[misc] # the wrong addressee
    timers.after(1, ledger, Submit(context=context, name="a"))  # type: ignore[arg-type] # nobody waits for its answer
