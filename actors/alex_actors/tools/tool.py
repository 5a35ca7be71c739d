"""What the built-in tools are made of: a specification, and a function that does the work."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from alex_actors.ports import ToolContext, ToolError, ToolSpec
from alex_actors.tools.arguments import check_arguments

R = TypeVar("R")


class FunctionTool:
    """A tool whose work is a coroutine function: it gets checked arguments, with defaults filled in."""

    def __init__(
        self,
        *,
        spec: ToolSpec,
        run: Callable[[Mapping[str, Any], ToolContext], Awaitable[str]],  # JSON, checked against the schema
    ) -> None:
        self._spec = spec
        self._run = run
        self._defaults = {
            name: schema["default"]
            for name, schema in spec.parameters["properties"].items()
            if "default" in schema
        }

    @property
    def spec(self) -> ToolSpec:
        """Return what a model is told of it."""
        return self._spec

    async def __call__(
        self,
        arguments: Mapping[str, Any],  # JSON, as the model wrote it
        context: ToolContext,
    ) -> str:
        """Run it. Raises ToolError for arguments that do not fit, and for what the function cannot do."""
        check_arguments(self._spec, arguments)
        return await self._run({**self._defaults, **arguments}, context)


def parameters(
    properties: Mapping[str, Mapping[str, Any]],  # JSON Schemas by name
    *,
    required: tuple[str, ...] = (),
) -> dict[str, Any]:  # a JSON Schema
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in properties.items()},
        "required": list(required),
        "additionalProperties": False,
    }


async def in_thread(
    work: Callable[[], R],
    *,
    on_cancel: Callable[[], None] | None = None,
    threads: Executor | None = None,
    begun_within: float | None = None,
) -> R:
    """Run blocking work on a thread: one of ``threads``, or of the event loop's own.

    A cancel calls ``on_cancel``, so that long work can end early, and waits for the work: a tool that has
    stopped does nothing more. Work that still waits for a thread is not begun; nor is work for which none was
    free within so many seconds: ToolError is raised then.
    """
    loop = asyncio.get_running_loop()
    place: Future[None] = Future()  # it is cancelled or it is set running, never both, whatever the threads do

    def begin() -> R:
        if not place.set_running_or_notify_cancel():
            raise asyncio.CancelledError
        try:
            return work()
        except StopIteration as error:  # asyncio has no future for it: whoever awaits it would wait for ever
            raise RuntimeError("It raised StopIteration.") from error

    running = loop.run_in_executor(threads, contextvars.copy_context().run, begin)
    too_late = cancelled = False

    def give_up() -> None:
        nonlocal too_late
        if place.cancel():
            too_late = True
            running.cancel()

    def cancel() -> None:
        nonlocal cancelled
        cancelled = True
        if place.cancel():
            running.cancel()
        elif on_cancel is not None:
            on_cancel()

    timer = None if begun_within is None else loop.call_later(begun_within, give_up)
    try:
        return await to_its_end(running, on_cancel=cancel)
    except asyncio.CancelledError:
        if too_late and not cancelled:
            raise ToolError(f"No thread was free within {begun_within:g} seconds: try again later.") from None
        raise
    finally:
        if timer is not None:
            timer.cancel()


async def to_its_end(running: asyncio.Future[R], *, on_cancel: Callable[[], None] | None = None) -> R:
    """Wait for what runs, even if cancelled, however often; then be cancelled.

    The first cancel calls ``on_cancel``.
    """
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError as error:
            if cancelled is None and on_cancel is not None:
                on_cancel()
            cancelled = error
    if cancelled is None:
        return running.result()
    if not running.cancelled():
        running.exception()  # asked for, so that asyncio does not log it: it is of no interest any more
    raise cancelled
