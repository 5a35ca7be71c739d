"""Those who take steps in a simulation, and what they wait for."""

from __future__ import annotations

import asyncio
import sys
from asyncio import _get_running_loop, _set_running_loop  # made for event loops, as its documentation says
from collections.abc import Callable, Mapping

from greenlet import greenlet

from alex_actors.diagrams.trace import NO_CAUSE
from alex_actors.mailbox import act_as


class Wait:
    """Something that can be waited for, by any number of strands."""

    __slots__ = ("cause", "of", "over", "reason", "resource", "waiting")

    def __init__(self, reason: str, *, of: str = "") -> None:
        self.reason = reason
        """In words: "the answer of Ledger to Submit"."""
        self.of = of
        """The name of the strand that is to end it, if that is known."""
        self.resource = reason
        """What it is called by the search for all orders. Two of one name are taken to depend on each other."""
        self.over = False
        self.cause = NO_CAUSE
        """The index of the trace's entry that ended it."""
        self.waiting: list[Strand] = []


class Strand:
    """Someone who takes steps: ``body`` is called for each, unless it stands in the middle of one."""

    __slots__ = ("able", "body", "cause", "enabled_in", "name", "rank", "standing")

    def __init__(self, name: str, body: Callable[[], object]) -> None:
        self.name = name
        self.body = body
        self.able = False
        """Whether it can take a step."""
        self.enabled_in = 0
        """The step in which it became able to."""
        self.rank = -1
        """Among those who can go on, the one with the lowest is offered first. Below 0: it never could yet."""
        self.standing: greenlet | None = None
        """Where it stands, if it is in the middle of a step."""
        self.cause = NO_CAUSE
        """The index of the trace's entry that let it go on, until it sends something."""

    def know(self, cause: int) -> None:
        """Take note that an entry of the trace came before what it does next."""
        self.cause = max(self.cause, cause)


def stops_the_run(error: BaseException) -> bool:
    """Return whether an exception is for who runs the simulation, and no failure of what is simulated.

    An interrupt from the keyboard, a test's time limit, the end of a strand that is dropped: raised wherever the
    run happens to be, so that whoever contains the failures of others must let them through.
    """
    return not isinstance(error, Exception | SystemExit | GeneratorExit | asyncio.CancelledError)


class SetAside:
    """Has others run as if this strand were not there: who acts and which event loop runs is one per thread.

    A class with slots, since it is used at each wait: as a generator it takes three times as long.
    """

    __slots__ = ("_acting", "_hooks", "_loop")

    def __enter__(self) -> None:
        """Put away what this strand is in the middle of."""
        self._acting = act_as(None)
        self._loop = _get_running_loop()
        if self._loop is not None:
            self._hooks = sys.get_asyncgen_hooks()
            _set_running_loop(None)
            sys.set_asyncgen_hooks(None, None)

    def __exit__(self, *_error: object) -> None:
        """Take it up again."""
        act_as(self._acting)
        if self._loop is not None:
            _set_running_loop(self._loop)
            sys.set_asyncgen_hooks(*self._hooks)


def who_waits(waiting: Mapping[Strand, Wait]) -> list[str]:
    """Return a line for each strand that waits, and for what; for those that wait in a circle, one more."""
    lines: list[str] = []
    awaited = {strand.name: wait.of for strand, wait in waiting.items()}
    for strand, wait in waiting.items():
        lines.append(f"{strand.name} waits for {wait.reason}.")
    idle = dict.fromkeys(name for name in awaited.values() if name and name not in awaited)
    lines += (f"{name} has nothing to do." for name in idle)
    circle = _circle(awaited)
    if circle:
        lines.append(f"They wait in a circle: {' -> '.join(circle)}.")
    return lines


def _circle(awaited: Mapping[str, str]) -> list[str]:
    """Return names each of which waits for the next, the last being the first again; nothing if there are none."""
    for start in awaited:
        path = [start]
        while path[-1] in awaited and path[-1] not in path[:-1]:
            path.append(awaited[path[-1]])
        if path[-1] in path[:-1]:
            return path[path.index(path[-1]) :]
    return []
