"""A deterministic asyncio event loop on virtual time: a scheduler has it do one thing at a time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import sys
import warnings
import weakref
from asyncio import _get_running_loop, _set_running_loop  # made for event loops, as its documentation says
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextvars import Context
from typing import Any, TypeAlias, TypeVar, TypeVarTuple, Unpack

from alex_actors.ports import Timer
from alex_actors.simulation import numbered
from alex_actors.simulation.not_simulated import UnconnectedEventLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ErrorContext: TypeAlias = dict[str, Any]  # Any: asyncio's, whose values depend on the key
ExceptionHandler: TypeAlias = Callable[[asyncio.AbstractEventLoop, ErrorContext], object]
TaskFactory: TypeAlias = Callable[..., Any]  # Any: a task of any result; ...: it gets more with a later Python

MOST_AWAITS = 100
"""How often a coroutine may await while it is thrown away, before it is left as it is."""


class _TimerHandle(asyncio.TimerHandle):
    """A call in the future, its number among those of the loop, and the scheduler's timer for it."""

    __slots__ = ("number", "timer")

    number: int
    timer: Timer


class VirtualEventLoop(UnconnectedEventLoop):
    """Runs coroutines without a thread and without waiting: its owner calls ``step`` while it is not ``idle``.

    The same program does the same in the same order, in every process. What is ready runs first in, first out, as
    in asyncio. ``asyncio.to_thread`` and ``run_in_executor`` run their function at a step of its own, in one go:
    it cannot wait for the loop, and a cancel comes before it or after it, never meanwhile. There is no network, no
    subprocess and no signal (NotSimulated). Out of its hands is what blocks, such as ``time.sleep``, and a thread
    that an agent makes itself: that takes real time, and comes in an order that is not the simulation's.

    ``asyncio.as_completed`` puts what it gets into a set: give it tasks, because it would start coroutines in the
    order of their addresses. A task or a generator that is lost in a reference cycle is noticed when Python's
    collector runs: a scheduler that wants it at the same step each time has the collector run when it says so.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        after: Callable[[float, Callable[[], None]], Timer],
        ready: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Take what the scheduler does for the loop.

        ``now()`` is the virtual time in seconds; ``after(seconds, call)`` calls ``call`` when that much of it has
        passed, unless the timer that it returns is cancelled. ``ready()`` is called when the loop is not idle any
        more, except within a step: look at ``idle`` after each. ``failed(error)`` is told what a callback raised,
        and what asyncio complains of: a task whose exception nobody looked at, or that was lost while it waited.
        """
        self._now = now
        self._after = after
        self._announce = ready
        self._failed = failed
        self._ready: deque[asyncio.Handle] = deque()
        self._numbers = itertools.count(1)
        self._task_numbers = itertools.count(1)
        self._timers: dict[int, _TimerHandle] = {}
        # In order of their first use. Any: generators of whatever.
        self._generators: weakref.WeakValueDictionary[int, AsyncGenerator[Any, Any]] = (
            weakref.WeakValueDictionary()
        )
        self._task_factory: TaskFactory | None = None
        self._exception_handler: ExceptionHandler | None = None
        self._running = False
        self._closed = False
        self._debug = False

    # For the scheduler.

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do until something is called or a timer is due."""
        while self._ready and self._ready[0].cancelled():
            self._ready.popleft()
        return not self._ready

    def step(self) -> None:
        """Do the next thing that is ready: one callback, or a task up to its next ``await``. Nothing if idle.

        Raises RuntimeError in the middle of a step.
        """
        if self._running:
            msg = "This step of the event loop is not over yet: nothing that an agent calls may wait."
            raise RuntimeError(msg)
        if self.idle:
            return
        with self._as_running():
            try:
                # Without a name for it: an exception's traceback would keep this frame, and so the task, alive.
                self._ready.popleft()._run()  # noqa: SLF001 - it has no public name, and event loops call it
            except SystemExit as error:  # asyncio lets it out of any task
                self._failed(error)

    def close(self) -> None:
        """Drop everything that is ready, waits or is due: of it, nothing is heard any more.

        What waits is ended as by garbage collection, but now: its ``finally`` blocks run, and what they ask of the
        loop is refused. A scheduler that simulates the kill of a process cuts it off from all else before.
        Raises RuntimeError in the middle of a step.
        """
        if self._running:
            msg = "Cannot close a running event loop"
            raise RuntimeError(msg)
        if self._closed:
            return
        self._closed = True
        for handle in tuple(self._timers.values()):
            handle.cancel()
        with self._as_running(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of what is begun in a ``finally``
            for task in sorted(
                asyncio.all_tasks(self), key=hash
            ):  # by number: in the order in which they were made
                _throw_away(task)
        self._ready.clear()  # last: Python complains of a coroutine that is freed before it has begun

    @contextlib.contextmanager
    def _as_running(self) -> Iterator[None]:
        outer, hooks = _get_running_loop(), sys.get_asyncgen_hooks()
        self._running = True
        _set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=self._generator_began, finalizer=self._generator_lost)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            _set_running_loop(outer)
            self._running = False

    # What is called, and when.

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Have ``callback`` called at a step of its own, after all that is ready now."""
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        self._append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Do what ``call_soon`` does: there are no threads here."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have ``callback`` called in ``delay`` seconds of virtual time."""
        return self.call_at(self._now() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have ``callback`` called at ``when``, in virtual seconds; never if that is infinite."""
        self._check_open()
        handle = _TimerHandle(when, callback, args, self, context)
        handle.number = next(self._numbers)
        if when < math.inf:
            self._timers[handle.number] = handle
            handle.timer = self._after(max(0.0, when - self._now()), lambda: self._due(handle))
        return handle

    def _due(self, handle: _TimerHandle) -> None:
        del self._timers[handle.number]
        self._append(handle)

    def _append(self, handle: asyncio.Handle) -> None:
        was_idle = not self._ready and not self._running
        self._ready.append(handle)
        if was_idle:
            self._announce()

    def _timer_handle_cancelled(self, handle: _TimerHandle) -> None:
        if self._timers.pop(handle.number, None) is not None:
            handle.timer.cancel()

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now()

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - none is used
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Have ``func`` called at a step of its own, unless the future is cancelled before."""
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(self._run_job, future, lambda: func(*args))
        return future

    def _run_job(self, future: asyncio.Future[T], job: Callable[[], T]) -> None:
        if future.done():
            return
        _set_running_loop(None)  # as on a thread of the executor
        try:
            result = job()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it raises is for whoever awaits it
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            _set_running_loop(self)

    def set_default_executor(self, executor: object) -> None:
        """Do nothing: no executor is used."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: no executor is used."""

    # Futures and tasks.

    def create_future(self) -> asyncio.Future[Any]:  # Any: as asyncio has it
        """Return a future of this loop."""
        return numbered.Future(next(self._numbers), loop=self)

    def create_task(
        self,
        coro: numbered.Awaitables[T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,  # Any: a later Python's
    ) -> asyncio.Task[T]:
        """Return a task. Without a name it is called ``Task-1``, ``Task-2``, … on each loop."""
        if self._closed:
            coro.close()  # or Python complains that it was never awaited
        self._check_open()
        number = next(self._task_numbers)
        name = f"Task-{number}" if name is None else name
        if self._task_factory is None:
            return numbered.Task(number, coro, loop=self, name=name, context=context, **options)
        if context is not None:
            options["context"] = context
        task: asyncio.Task[T] = self._task_factory(self, coro, **options)
        task.set_name(name)
        return task

    def set_task_factory(self, factory: TaskFactory | None) -> None:
        """Have tasks made by ``factory(loop, coro)``; by the loop with None."""
        self._task_factory = factory

    def get_task_factory(self) -> TaskFactory | None:
        """Return what makes tasks; None if the loop does."""
        return self._task_factory

    # Asynchronous generators that are not read to their end.

    def _generator_began(self, generator: AsyncGenerator[Any, Any]) -> None:  # Any: as above
        self._generators[next(self._numbers)] = generator

    def _generator_lost(self, generator: AsyncGenerator[Any, Any]) -> None:  # Any: as above
        if not self._closed:
            self.call_soon(self._close_generator, generator)

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:  # Any: as above
        self.create_task(_closing(generator))

    async def shutdown_asyncgens(self) -> None:
        """Close all asynchronous generators that were begun and not ended."""
        generators = list(self._generators.values())
        for result in await asyncio.gather(*map(_closing, generators), return_exceptions=True):
            if isinstance(result, BaseException):
                self._failed(result)

    # What goes wrong.

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        """Have ``handler(loop, context)`` told what goes wrong, in place of the scheduler."""
        self._exception_handler = handler

    def get_exception_handler(self) -> ExceptionHandler | None:
        """Return who is told what goes wrong; None if the scheduler is."""
        return self._exception_handler

    def default_exception_handler(self, context: ErrorContext) -> None:
        """Tell the scheduler what went wrong."""
        error = context.get("exception")
        if not isinstance(error, BaseException):
            task = context.get("task")
            error = RuntimeError(context["message"])
            if isinstance(task, asyncio.Task):
                error.add_note(f"It is {task.get_name()}.")
        elif "handle" not in context:  # its text has addresses in it
            error.add_note(context["message"])
        self._failed(error)

    def call_exception_handler(self, context: ErrorContext) -> None:
        """Tell whoever is to be told what went wrong; nobody once the loop is closed."""
        if self._closed:
            return
        if self._exception_handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._exception_handler(self, context)
        except Exception as error:  # noqa: BLE001 - a handler that fails is a fault like any other
            self._failed(error)

    # What it is.

    def is_running(self) -> bool:
        """Return whether it is in the middle of a step."""
        return self._running

    def is_closed(self) -> bool:
        """Return whether it was closed."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            msg = "Event loop is closed"
            raise RuntimeError(msg)

    def get_debug(self) -> bool:
        """Return whether asyncio's objects note where they were made."""
        return self._debug

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's signature
        """Have asyncio's objects note where they were made."""
        self._debug = enabled


async def _closing(generator: AsyncGenerator[Any, Any]) -> None:  # Any: as above
    await generator.aclose()


def _throw_away(task: asyncio.Task[Any]) -> None:  # Any: of all results
    """End a coroutine that waits, however often it waits again while it ends."""
    coroutine = task.get_coro()
    for _ in range(MOST_AWAITS):
        try:
            if coroutine is not None:
                coroutine.close()
        except BaseException:  # noqa: BLE001, S112 - it awaits something, or fails: nobody hears of it
            continue
        return
