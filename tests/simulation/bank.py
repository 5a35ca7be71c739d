"""A small bank of actors, for the tests of the simulator: what goes wrong in it is known."""

from __future__ import annotations

from typing import TypeAlias, assert_never

import pykka

from alex_actors.actor import PooledActor
from alex_actors.messages import Ask, Promise, Tell, tell
from alex_actors.values import Context

HERE = Context("trace-1")


class Deposit(Ask["Account", int], frozen=True, kw_only=True):
    """Answered with the balance."""

    amount: int


class Write(Tell["Account"], frozen=True, kw_only=True):
    """Set the balance."""

    balance: int


class Read(Ask["Account", int], frozen=True, kw_only=True):
    """Answered with the balance."""


class Hold(Ask["Account", int], frozen=True, kw_only=True):
    """Answered when it is let go."""


class LetGo(Tell["Account"], frozen=True, kw_only=True):
    """Answer all that hold."""


class Again(Tell["Account"], frozen=True, kw_only=True):
    """Tell yourself this again."""


class Break(Tell["Account"], frozen=True, kw_only=True):
    """Crash."""


class Close(Ask["Account", int], frozen=True, kw_only=True):
    """Crash, with somebody waiting."""


AccountMessage: TypeAlias = Deposit | Write | Read | Hold | LetGo | Again | Break | Close


class Account(PooledActor):
    """A balance."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = 0
        self._holding: list[Promise[int]] = []

    def on_receive(self, message: AccountMessage) -> object:
        match message:
            case Deposit():
                self.balance += message.amount
                return message.reply(self.balance)
            case Write():
                self.balance = message.balance
            case Read():
                return message.reply(self.balance)
            case Hold():
                promise = message.later()
                self._holding.append(promise)
                return promise
            case LetGo():
                for promise in self._holding:
                    promise.fulfil(self.balance)
                self._holding = []
            case Again():
                tell(self.actor_ref, Again(context=HERE))
            case Break() | Close():
                raise ValueError("The account is broken.")
            case _:
                assert_never(message)
        return None


class Pay(Ask["Teller", int], frozen=True, kw_only=True):
    """Deposit, in the slow and wrong way: read the balance, then write it."""

    amount: int


class Teller(PooledActor):
    """Asks an account, which no actor of ours does: in Pykka's way, waiting for the answer in its handler."""

    def __init__(self, account: pykka.ActorRef[Account] | None = None) -> None:
        super().__init__()
        self.account = account
        self.paid = 0

    def on_receive(self, message: Pay) -> object:
        assert self.account is not None
        balance = self.account.ask(Read(context=HERE), block=True)
        tell(self.account, Write(context=HERE, balance=balance + message.amount))
        self.paid += 1
        return message.reply(balance + message.amount)
