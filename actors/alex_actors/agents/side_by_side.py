"""Runs several pieces of work side by side, and leaves none behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from alex_actors.tools.tool import to_its_end

R = TypeVar("R")


async def side_by_side(work: Sequence[Callable[[], Awaitable[R]]]) -> AsyncGenerator[R, None]:
    """Do all of it at once, and yield what each piece returns as it does.

    Raises what the first raises that raises. Then, and if it is closed or cancelled, all others are cancelled; it
    ends when they have.
    """
    ended: asyncio.Queue[asyncio.Task[R | _Raised]] = asyncio.Queue()
    tasks = [asyncio.create_task(_kept(one)) for one in work]
    for task in tasks:
        task.add_done_callback(ended.put_nowait)
    try:
        for _ in tasks:
            result = (await ended.get()).result()
            if isinstance(result, _Raised):
                raise result.error
            yield result
    finally:
        for task in tasks:
            task.cancel()
        await to_its_end(asyncio.gather(*tasks, return_exceptions=True))


class _Raised:
    """What a piece of work raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _kept(work: Callable[[], Awaitable[R]]) -> R | _Raised:
    """Return what a piece of work returns or raises: a task would let a SystemExit out to the event loop."""
    try:
        return await work()
    except BaseException as error:  # noqa: BLE001 - see above
        return _Raised(error)
