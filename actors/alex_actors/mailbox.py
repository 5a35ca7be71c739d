"""A mailbox: what waits for an actor, and whether the actor is scheduled."""

from __future__ import annotations

import threading
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import pykka
from pykka import messages as pykka_messages
from pykka._envelope import Envelope  # private, and pinned: what Pykka's receive loop takes

if TYPE_CHECKING:
    from alex_actors.actor import PooledActor
    from alex_actors.supervision import Supervision


class PauseActor(BaseException):
    """Leaves Pykka's receive loop with the actor alive: ``Mailbox.get`` stands outside of the loop's try."""


class Dispatcher(Protocol):
    """What runs actors."""

    supervision: Supervision
    """What becomes of those that crash."""
    timed: bool
    """Whether it wants to know how long each message waited, and took."""

    def ready(self, mailbox: Mailbox, /) -> None:
        """Have ``mailbox.run`` called soon, by one thread."""

    def future(self) -> pykka.Future[Any]:  # Any: Pykka's futures carry any answer
        """Return a future that can be waited for under this dispatcher."""

    def handling(self, actor: PooledActor, message: object, /) -> None:
        """Take notice that an actor is about to handle a message."""

    def handled(self, actor: PooledActor, message: object, /, *, waited: float, took: float) -> None:
        """Take notice that it has, or crashed: how many seconds that took, after how many. If ``timed``."""

    def undelivered(self, actor: str, message: object, /) -> None:
        """Take notice of a message to an actor that has stopped."""


_here = threading.local()  # which actor this thread runs, if it runs one


def acting() -> PooledActor | None:
    """Return the actor that the calling thread runs."""
    actor: PooledActor | None = getattr(_here, "actor", None)
    return actor


def act_as(actor: PooledActor | None) -> PooledActor | None:
    """Say which actor the calling thread runs; return which it was.

    For a dispatcher that leaves one in the middle of a message and runs another meanwhile.
    """
    before = acting()
    _here.actor = actor
    return before


class _TimedEnvelope(Envelope[Any]):  # Any: Pykka's envelopes carry any message
    """An envelope that knows when it was put in."""

    __slots__ = ("put_at",)

    def __init__(self, envelope: Envelope[Any]) -> None:  # Any: as above
        super().__init__(envelope.message, envelope.reply_to)
        self.put_at = perf_counter()


class Mailbox:
    """First in, first out. What bounds it is what bounds its senders (docs/architecture.md, "Bounds").

    The token is held while the actor is scheduled or runs, so that it runs on one thread at a time. It is a
    lock only because that is Python's cheapest atomic test-and-set; nobody ever waits for it.
    """

    __slots__ = ("_actor", "_budget", "_envelopes", "_handling", "_timed", "_token", "dispatcher", "name")

    dispatcher: Dispatcher

    def __init__(self, name: str) -> None:
        self.name = name
        self._envelopes: deque[Envelope[Any]] = deque()  # Any: Pykka's envelopes carry any message
        self._token = threading.Lock()
        self._token.acquire()  # held until the actor is started
        self._actor: PooledActor | None = None
        self._budget = 0
        self._timed = False
        self._handling: tuple[PooledActor, object, float, float] | None = None  # seconds it waited; its beginning

    def start(self, actor: PooledActor, dispatcher: Dispatcher) -> None:
        """Have ``actor`` run by ``dispatcher`` from now on."""
        self._actor = actor
        self.dispatcher = dispatcher
        self._timed = dispatcher.timed
        dispatcher.ready(self)

    @property
    def actor(self) -> PooledActor | None:
        """Who handles what is put in; None once it has stopped. Not for other actors: they send messages."""
        return self._actor

    def hand_over(self, successor: PooledActor) -> None:
        """Have another actor go on from the next message. For who runs the one that crashed."""
        self._actor = successor

    def put(self, envelope: Envelope[Any], /) -> None:  # Any: as above
        """Add an envelope, and schedule the actor if it is idle. Also a stopped one: to answer who asks."""
        self._envelopes.append(_TimedEnvelope(envelope) if self._timed else envelope)
        if self._token.acquire(False):  # noqa: FBT003 - by name it costs 130 ns instead of 70, every time
            self.dispatcher.ready(self)

    def put_back(self, envelope: Envelope[Any], /) -> None:  # Any: as above
        """Have an envelope handled once more, before all others. For who runs the actor."""
        self._envelopes.appendleft(envelope)

    def get(self) -> Envelope[Any]:  # Any: as above
        """Take the next envelope; leave the receive loop if there is none, or it is another actor's turn."""
        if self._handling is not None:
            self._tell_handled()
        if not self._envelopes or self._budget == 0:
            raise PauseActor
        self._budget -= 1
        envelope = self._envelopes.popleft()
        if self._timed and self._actor is not None:
            began = perf_counter()
            put_at = envelope.put_at if isinstance(envelope, _TimedEnvelope) else began  # before it was started
            self._handling = self._actor, envelope.message, began - put_at, began
        return envelope

    def take_all(self) -> list[Envelope[Any]]:  # Any: as above
        """Take everything that waits. For who holds the token."""
        taken = list(self._envelopes)
        self._envelopes.clear()
        return taken

    def empty(self) -> bool:
        """Return whether nothing waits."""
        return not self._envelopes

    def __len__(self) -> int:
        """Return how many envelopes wait."""
        return len(self._envelopes)

    def run(self, budget: int) -> int:
        """Let the actor handle up to ``budget`` messages; return how many it did. For the dispatcher's threads."""
        self._budget = budget
        actor = self._actor
        if actor is None:
            self.drain()
        else:
            _here.actor = actor
            try:
                alive = actor.run_until_pause()
            finally:
                _here.actor = None
                if self._handling is not None:  # the last one, after which it stopped or was replaced
                    self._tell_handled()
            if self._actor is not actor:  # it crashed, and another took its place, which is still to start
                self.dispatcher.ready(self)
                return budget - self._budget
            if not alive:
                self._actor = None  # breaks the cycle: a stopped actor is freed at once, not by the collector
        handled = budget - self._budget
        # Release first, then look again: a put in between finds the token free, or is found here.
        self._token.release()
        if self._envelopes and self._token.acquire(blocking=False):
            self.dispatcher.ready(self)
        return handled

    def _tell_handled(self) -> None:
        if self._handling is not None:
            actor, message, waited, began = self._handling
            self._handling = None
            self.dispatcher.handled(actor, message, waited=waited, took=perf_counter() - began)

    def close(self) -> None:
        """Turn away everything, now that there is no thread any more. For who holds the token."""
        if self._actor is not None:
            self._actor.fail_promises()
            self._actor = None
        self.run(0)

    def drain(self) -> None:
        """Answer everything that waits for an actor that has stopped."""
        while self._envelopes:
            envelope = self._envelopes.popleft()
            if envelope.reply_to is None:
                self.dispatcher.undelivered(self.name, envelope.message)
            elif isinstance(envelope.message, pykka_messages._ActorStop):  # noqa: SLF001 - pinned
                envelope.reply_to.set(None)
            else:
                error = pykka.ActorDeadError(f"{self.name} stopped before handling the message")
                envelope.reply_to.set_exception((type(error), error, None))


def mailbox_of(ref: pykka.ActorRef[Any]) -> Mailbox:  # Any: of whatever actor
    """Return the mailbox behind a ref. Raises TypeError for an actor that is not ours."""
    inbox = ref.actor_inbox
    if not isinstance(inbox, Mailbox):
        msg = f"{ref} is no PooledActor: it cannot be sent typed messages."
        raise TypeError(msg)
    return inbox
