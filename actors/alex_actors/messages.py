"""Typed messages between actors: a message names its addressee and its answer in its base class.

A wrong addressee, a missing timeout, a wrong answer and a forgotten case are type errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pykka
from pykka._envelope import Envelope  # private, and pinned: Pykka has no public way to put without a check

from alex_actors.mailbox import acting, mailbox_of
from alex_actors.values import Context, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._types import OptExcInfo  # private, and pinned: what a future takes

A = TypeVar("A", bound=pykka.Actor)
R = TypeVar("R")


class Message(Value, frozen=True, kw_only=True):
    """What actors exchange."""

    context: Context
    """Whose work this is, and who sent it."""


class Tell(Message, Generic[A], frozen=True, kw_only=True):
    """A message to actor A that has no answer."""


class Ask(Message, Generic[A, R], frozen=True, kw_only=True):
    """A message to actor A that is answered with an R."""

    def reply(self, answer: R) -> R:
        """Return ``answer``. Exists so that type checkers compare it with R."""
        return answer

    def later(self) -> Promise[R]:
        """Return a promise of the answer: the handler returns it, keeps it, and fulfils it later."""
        return Promise()


class Promise(Generic[R]):
    """An answer that comes later. Belongs to the actor that made it; dies with it, and fails its asker."""

    __slots__ = ("_future", "_outcome", "_when_settled")

    def __init__(self) -> None:
        self._future: pykka.Future[Any] | None = None  # Any: Pykka's futures carry any answer
        self._outcome: Callable[[pykka.Future[Any]], None] | None = None  # Any: as above
        self._when_settled: Callable[[Promise[R]], None] | None = None

    def fulfil(self, answer: R) -> None:
        """Answer the asker."""
        self._settle(lambda future: future.set(answer))

    def fail(self, error: BaseException) -> None:
        """Raise ``error`` where the answer is awaited."""
        self._settle(lambda future: future.set_exception((type(error), error, None)))

    @property
    def settled(self) -> bool:
        """Whether it was fulfilled or failed."""
        return self._outcome is not None

    def bind(self, future: pykka.Future[Any]) -> None:  # Any: as above
        """Say who awaits it. Called once, by the future that the handler's return value is set on."""
        self._future = future
        if self._outcome is not None:
            self._outcome(future)

    def kept_by(self, when_settled: Callable[[Promise[R]], None]) -> None:
        """Have its actor told when it is settled."""
        self._when_settled = when_settled

    def _settle(self, outcome: Callable[[pykka.Future[Any]], None]) -> None:  # Any: as above
        if self._outcome is not None:
            msg = "This promise is settled already: an ask has one answer."
            raise RuntimeError(msg)
        self._outcome = outcome
        if self._when_settled is not None:
            self._when_settled(self)
        if self._future is not None:
            outcome(self._future)


class ReplyFuture(pykka.ThreadingFuture[Any]):  # Any: as above
    """A future that waits for a promise if it is answered with one."""

    def set(self, value: Any | None = None) -> None:  # Any: as Pykka declares it
        """Set the answer, now or when the promise is fulfilled."""
        if isinstance(value, Promise):
            value.bind(self)
        else:
            super().set(value)


class AwaitedAnswer(ReplyFuture, Generic[R]):
    """The answer of an ask that no thread waits for: ``wake`` is called when it is there, on whatever thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def set(self, value: Any | None = None) -> None:  # Any: as Pykka declares it
        """Set the answer, now or when the promise is fulfilled."""
        super().set(value)
        if not isinstance(value, Promise):
            self._wake()

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Set why there is no answer."""
        super().set_exception(exc_info)
        self._wake()

    def poll(self) -> R | None:
        """Return the answer, None if it is not there yet. Raises as ``ask`` does."""
        try:
            answer: R = self.get(timeout=0)
        except pykka.Timeout:
            return None
        return answer


def ask_later(to: pykka.ActorRef[A], message: Ask[A, R], *, wake: Callable[[], None]) -> AwaitedAnswer[R]:
    """Send ``message`` and go on; ``wake`` is called, perhaps before this returns, when there is an answer.

    It is called on the answering actor's thread: it must not block, nor raise.
    """
    answer: AwaitedAnswer[R] = AwaitedAnswer(wake)
    mailbox_of(to).put(Envelope(message, reply_to=answer))
    return answer


def ask(to: pykka.ActorRef[A], message: Ask[A, R], *, timeout: float) -> R:
    """Send ``message`` and wait for its answer, at most ``timeout`` seconds.

    Raises pykka.Timeout; pykka.ActorDeadError if the actor is or gets stopped before it answers; what the
    handler raised, if it crashed on the message. For threads that may block: an actor that asks is a bug.
    """
    asker = acting()
    if asker is not None:
        msg = f"{asker} asks {to}: actors never block. Tell it, and handle its answer as a message."
        raise RuntimeError(msg)
    mailbox = mailbox_of(to)
    future = mailbox.dispatcher.future()
    mailbox.put(Envelope(message, reply_to=future))
    answer: R = future.get(timeout=timeout)
    return answer


def tell(to: pykka.ActorRef[A], message: Tell[A]) -> None:
    """Send ``message``. That the actor has stopped, and does not get it, is no error: it may always do so."""
    mailbox_of(to).put(Envelope(message))
