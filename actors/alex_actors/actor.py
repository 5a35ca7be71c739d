"""The base of all actors: a Pykka actor that any dispatcher can run, with failures handled in one way.

Pykka lets a failing ``ask`` pass (the asker gets the exception, the actor lives on, no hook is called)
and kills an actor for a failing ``tell``. Here an exception in a handler of a typed message is a crash in
both cases, and the actor's supervisor is told. Calls through Pykka's proxies keep Pykka's way.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pykka

from alex_actors.mailbox import Mailbox, PauseActor
from alex_actors.messages import Ask, Message, Promise, ReplyFuture

if TYPE_CHECKING:
    from types import TracebackType


class HandlerExit(Exception):
    """A handler raised what is no ``Exception`` (SystemExit, KeyboardInterrupt): a crash like any other."""


class PooledActor(pykka.Actor):
    """A ``pykka.Actor`` that has no thread of its own. Started by a dispatcher's ``spawn``."""

    actor_inbox: Mailbox

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._promises: set[Promise[Any]] = set()  # Any: of whatever answers are owed

    @classmethod
    def _create_actor_inbox(cls) -> Mailbox:
        return Mailbox(cls.__name__)

    @staticmethod
    def _create_future() -> pykka.Future[Any]:  # Any: as Pykka declares it
        return ReplyFuture()

    def _start_actor_loop(self) -> None:
        msg = f"{type(self).__name__} has no thread of its own: start it with a dispatcher's spawn()."
        raise RuntimeError(msg)

    def run_until_pause(self) -> bool:
        """Handle messages until there is a pause. Returns whether the actor is still alive."""
        if not self._begun:
            self._begun = True
            self._actor_loop_setup()
        try:
            self._actor_loop_running()
        except PauseActor:
            return True
        self._actor_loop_teardown()
        return False

    def _handle_receive(self, message: Any) -> Any:  # Any: as Pykka declares it
        if not isinstance(message, Message):
            return super()._handle_receive(message)
        self.actor_inbox.dispatcher.handling(self, message)
        try:
            answer = self.on_receive(message)
        except Exception:
            if isinstance(message, Ask):
                self._crash()
            raise
        except BaseException as error:
            failure = HandlerExit(f"{self} raised {error!r} on {type(message).__name__}")
            if isinstance(message, Ask):
                self._crash()
            raise failure from error
        if isinstance(answer, Promise) and not answer.settled:
            self._promises.add(answer)
            answer.kept_by(self._promises.discard)
        return answer

    def _crash(self) -> None:
        """Do on a failing ask what Pykka does on a failing tell."""
        self._handle_failure(*sys.exc_info())
        try:
            self.on_failure(*sys.exc_info())
        except Exception:  # noqa: BLE001 - a hook that fails must not hide the failure
            self._handle_failure(*sys.exc_info())

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del exception_type, traceback  # both are in the exception
        self.actor_stopped.set()
        self.actor_inbox.dispatcher.crashed(self, exception_value or RuntimeError("unknown failure"))

    def _stop(self) -> None:
        # Pykka would look for the ref in its registry, a list: 10,000 stops are 10,000 searches. Ours is a
        # dictionary of the dispatcher's.
        self.actor_stopped.set()
        self.actor_inbox.dispatcher.stopped(self)
        try:
            self.on_stop()
        except Exception:  # noqa: BLE001 - a failure like any other
            self._handle_failure(*sys.exc_info())

    def _actor_loop_teardown(self) -> None:
        for promise in tuple(self._promises):
            promise.fail(pykka.ActorDeadError(f"{self.actor_ref} stopped before it answered"))
        self.actor_inbox.drain()
