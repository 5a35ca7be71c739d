"""Tasks and futures whose place in a set is the same in every process.

The hash of an object is its address otherwise, and asyncio keeps tasks in sets: those of a TaskGroup, for one, are
cancelled in the order of their set. The hash of these is a number that they are given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Awaitables: TypeAlias = Generator[Any, None, T] | Coroutine[Any, Any, T]  # Any: what passes to the loop and back


class Task(asyncio.Task[T]):
    """A task with its number."""

    def __init__(
        self,
        number: int,
        coro: Awaitables[T],
        *,
        loop: asyncio.AbstractEventLoop,
        name: str,
        context: Context | None,
        **options: Any,  # Any: a later Python's
    ) -> None:
        self._number = number  # first: asyncio puts the task into a set while it is made
        super().__init__(coro, loop=loop, name=name, context=context, **options)

    def __hash__(self) -> int:
        """Return its number."""
        return self._number


class Future(asyncio.Future[T]):
    """A future with its number."""

    def __init__(self, number: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        """Return its number."""
        return self._number
