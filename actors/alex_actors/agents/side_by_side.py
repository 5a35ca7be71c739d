"""Runs several pieces of work side by side, and leaves none behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from alex_actors.tools.tool import to_its_end

R = TypeVar("R")


async def side_by_side(work: Sequence[Callable[[], Awaitable[R]]]) -> AsyncGenerator[R, None]:
    """Do all of it at once, and yield what each piece returns as it does.

    Raises what the first raises that raises. Then, and if it is closed or cancelled, all others are cancelled; it
    ends when they have.
    """
    results: deque[R | _Raised] = deque()
    news = asyncio.Event()
    tasks = [asyncio.create_task(_keep(one, results, news)) for one in work]
    try:
        for _ in tasks:
            while not results:
                news.clear()
                await news.wait()
            result = results.popleft()
            if isinstance(result, _Raised):
                raise result.error
            yield result
    finally:
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await to_its_end(asyncio.ensure_future(asyncio.wait(left)))


class _Raised:
    """What a piece of work raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _keep(work: Callable[[], Awaitable[R]], results: deque[R | _Raised], news: asyncio.Event) -> None:
    """Keep what a piece of work returns or raises: a task would let a SystemExit out to the event loop."""
    try:
        results.append(await work())
    except BaseException as error:  # noqa: BLE001 - see above
        results.append(_Raised(error))
    news.set()
