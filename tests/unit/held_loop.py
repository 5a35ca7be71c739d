"""An event loop whose time is the test's: a limit of time is reached when the test says so, and not before.

Otherwise it is asyncio's own, with real sockets and processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TURNS = 20_000
"""Of the loop, within which anything happens."""


class HeldLoop(asyncio.SelectorEventLoop):
    """Its time stands still until ``go_on`` is called."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0

    def time(self) -> float:
        """Return its time in seconds."""
        return self._seconds

    def go_on(self, seconds: float) -> None:
        """Let so much time pass: what was to happen in it happens at the next turn. For coroutines of the loop."""
        self._seconds += seconds


def go_on(seconds: float) -> None:
    """Let so much time pass in the loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HeldLoop)
    loop.go_on(seconds)


async def go_on_until(condition: Callable[[], object]) -> None:
    """Let a second pass at each turn of the loop that runs, until ``condition`` is true."""
    for _ in range(TURNS):
        if condition():
            return
        go_on(1)
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


def run_held(main: Coroutine[Any, Any, T]) -> T:  # Any: what no coroutine here is sent, or yields
    """Run a coroutine to its end in such a loop, as ``asyncio.run`` would."""
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        return runner.run(main)
