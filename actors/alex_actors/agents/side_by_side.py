"""Runs several pieces of work side by side, and leaves none behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

from alex_actors.tools.tool import to_its_end

R = TypeVar("R")


async def side_by_side(work: Sequence[Callable[[], Awaitable[R]]], *, most: int) -> AsyncGenerator[R, None]:
    """Do ``most`` pieces at once, the next when one has ended, and yield what each returns as it does.

    What is begun is begun in order, each time in a task that may have done other pieces before.

    Raises what the first raises that raises. Then, and if it is closed or cancelled, all others are cancelled; it
    ends when they have.
    """
    results: deque[R | _Raised] = deque()
    news = asyncio.Event()
    waiting = deque(work)
    tasks = [asyncio.create_task(_work_off(waiting, results, news)) for _ in range(min(most, len(work)))]
    try:
        for _ in work:
            while not results:
                news.clear()
                await news.wait()
            result = results.popleft()
            if isinstance(result, _Raised):
                raise result.error
            yield result
    finally:
        waiting.clear()  # first: what catches its cancel, and ends, is followed by no other
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await to_its_end(asyncio.ensure_future(asyncio.wait(left)))


class _Raised:
    """What a piece of work raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _work_off(
    waiting: deque[Callable[[], Awaitable[R]]], results: deque[R | _Raised], news: asyncio.Event
) -> None:
    """Do one piece after the other. What one raises is kept, and the last: a task would let a SystemExit out."""
    try:
        while waiting:
            results.append(await waiting.popleft()())
            news.set()
    except BaseException as error:  # noqa: BLE001 - see above
        results.append(_Raised(error))
        news.set()
