"""The server's wiring with actors that tell of each message that they have handled: to crash before the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from alex_actors.actor import PooledActor
from alex_actors.core import Core

P = TypeVar("P", bound=PooledActor)


def telling(core: type[Core], handled: Callable[[PooledActor], None]) -> type[Core]:
    """Return ``core`` with ``handled`` called after each message of the actors of which there is only one.

    Of what it raises, the actor crashes with the message handled, and not answered.
    """

    def told(actor_class: type[P]) -> type[P]:
        def on_receive(self: P, message: Any) -> object:  # Any: of whatever protocol
            answer: object = actor_class.on_receive(self, message)
            handled(self)
            return answer

        made = type(actor_class.__name__, (actor_class,), {"on_receive": on_receive})
        return cast("type[P]", made)  # the type of what type() makes is not known any closer

    classes = {
        "session_class": told(core.session_class),
        "store_class": told(core.store_class),
        "broadcaster_class": told(core.broadcaster_class),
    }
    return cast("type[Core]", type(core.__name__, (core,), classes))  # as above
