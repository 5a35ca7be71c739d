"""The base of all actors: a Pykka actor that any dispatcher can run, with failures handled in one way.

Pykka lets a failing ``ask`` pass (the asker gets the exception, the actor lives on, no hook is called)
and kills an actor for a failing ``tell``. Here an exception in a handler of a typed message is a crash in
both cases: the actor is restarted in place, or its supervisor is told (``alex_actors.supervision``). Calls
through Pykka's proxies keep Pykka's way. Whatever is raised, also by a hook and also what is no ``Exception``,
stays within the actor.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import pykka

from alex_actors.mailbox import Mailbox, PauseActor
from alex_actors.messages import Message, Promise, ReplyFuture

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._envelope import Envelope  # private, and pinned: what a mailbox holds


class HandlerExit(Exception):
    """A handler raised what is no ``Exception`` (SystemExit, KeyboardInterrupt): a crash like any other."""


class PooledActor(pykka.Actor):
    """A ``pykka.Actor`` that has no thread of its own. Started by a dispatcher's ``spawn``."""

    actor_inbox: Mailbox

    def __init__(self) -> None:
        super().__init__()
        self.replaced = False
        """Whether it crashed, and another took its place."""
        self._begun = False
        self._promises: dict[Promise[Any], None] = {}  # in order. Any: of whatever answers are owed

    @property
    def label(self) -> str:
        """What traces call it. Of a class with many actors: say in it which one this is."""
        return type(self).__name__

    @classmethod
    def _create_actor_inbox(cls) -> Mailbox:
        return Mailbox(cls.__name__)

    @staticmethod
    def _create_future() -> pykka.Future[Any]:  # Any: as Pykka declares it
        return ReplyFuture()

    def _start_actor_loop(self) -> None:
        msg = f"{type(self).__name__} has no thread of its own: start it with a dispatcher's spawn()."
        raise RuntimeError(msg)

    def take_over(self, crashed: PooledActor) -> None:
        """Be the actor behind the ref and the mailbox of one that crashed. For who runs that one."""
        ref = crashed.actor_ref
        for early in self.actor_inbox.take_all():  # what it told itself while it was made
            crashed.actor_inbox.put(early)
        self._actor_ref = ref
        self.actor_urn, self.actor_stopped = ref.actor_urn, ref.actor_stopped
        self.actor_inbox = crashed.actor_inbox
        ref._actor_weakref = weakref.ref(self)  # noqa: SLF001 - pinned: what Pykka's proxies look at
        crashed.replaced = True
        crashed.actor_stopped = threading.Event()  # its own: it stops, and the ref lives on
        crashed.actor_stopped.set()
        self.actor_inbox.hand_over(self)

    def run_until_pause(self) -> bool:
        """Handle messages until there is a pause. Returns whether the actor is still alive."""
        if not self._begun:
            self._begun = True
            self._guard(self.on_start)
        try:
            self._actor_loop_running()
        except PauseActor:
            return True
        self._actor_loop_teardown()
        return False

    def _actor_loop_running(self) -> None:
        while not self.actor_stopped.is_set():
            envelope = self.actor_inbox.get()
            try:
                answer = self._handle_receive(envelope.message)
                if envelope.reply_to is not None:
                    envelope.reply_to.set(answer)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is this actor's failure alone
                self._fail(envelope, error)

    def _handle_receive(self, message: Any) -> Any:  # Any: as Pykka declares it
        if not isinstance(message, Message):
            return super()._handle_receive(message)
        self.actor_inbox.dispatcher.handling(self, message)
        answer = self.on_receive(message)
        if isinstance(answer, Promise) and not answer.settled:
            self._promises[answer] = None
            answer.kept_by(lambda promise: self._promises.pop(promise, None))
        return answer

    def _fail(self, envelope: Envelope[Any], error: BaseException) -> None:  # Any: of whatever message
        """Crash on a failing message, and pass the failure on to who asked."""
        failure = error
        if not isinstance(error, Exception):
            failure = HandlerExit(f"{self} raised {error!r} on {type(envelope.message).__name__}")
            failure.__cause__ = error
        comes_again = False
        if envelope.reply_to is None or isinstance(envelope.message, Message):
            comes_again = self._crash(failure, envelope)
            self._guard(lambda: self.on_failure(type(failure), failure, failure.__traceback__))
        if envelope.reply_to is not None and not comes_again:
            envelope.reply_to.set_exception((type(failure), failure, failure.__traceback__))

    def _crash(self, error: BaseException, envelope: Envelope[Any] | None = None) -> bool:  # Any: as above
        return self.actor_inbox.dispatcher.supervision.crashed(self, error, envelope)

    def _guard(self, hook: Callable[[], None]) -> None:
        """Run a hook. One that raises is a crash: of an actor that has crashed already, the log tells of both."""
        try:
            hook()
        except BaseException as error:  # noqa: BLE001 - as in the loop
            self._crash(error)

    def _stop(self) -> None:
        # Pykka would look for the ref in its registry, a list: 10,000 stops are 10,000 searches. Ours is a
        # dictionary of the dispatcher's.
        self.actor_stopped.set()
        self._guard(self.on_stop)  # first: who supervises the actor is to hear of a failure in it
        self.actor_inbox.dispatcher.supervision.stopped(self)

    def _actor_loop_teardown(self) -> None:
        self.fail_promises()
        if not self.replaced:
            self.actor_inbox.drain()

    def fail_promises(self) -> None:
        """Fail who waits for an answer that this actor has promised, now that it will not come from it."""
        for promise in tuple(self._promises):
            promise.fail(pykka.ActorDeadError(f"{self.actor_ref} stopped before it answered"))
