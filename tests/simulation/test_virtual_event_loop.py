"""The simulation's event loop: its time, its steps, what it says of faults, and its end."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import socket
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterator

import pytest
from greenlet import greenlet

from alex_actors.simulation.not_simulated import NotSimulated
from tests.simulation.loop_driver import LoopDriver, Odd, now, steps

HOUR = 3600.0


@pytest.fixture
def driver() -> Iterator[LoopDriver]:
    gc.freeze()  # a collection looks through what this test makes, and not through what the others left: 0.5 s
    driver = LoopDriver()
    yield driver
    driver.loop.close()
    gc.collect()  # what was left behind complains now, and filterwarnings makes that an error


# Time.


def test_a_sleep_takes_virtual_time_only(driver: LoopDriver) -> None:
    async def main() -> float:
        await asyncio.sleep(HOUR)
        return now()

    assert driver.run(main()) == HOUR


def test_sleepers_wake_in_the_order_of_their_time_and_then_of_their_start(driver: LoopDriver) -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, now()))

    async def main() -> None:
        await asyncio.gather(sleeper("a", 2), sleeper("b", 1), sleeper("c", 2), sleeper("d", 0), sleeper("e", -1))

    driver.run(main())

    assert woken == [("d", 0), ("e", 0), ("b", 1), ("a", 2), ("c", 2)]


def test_a_sleep_without_end_is_never_due(driver: LoopDriver) -> None:
    async def main() -> str:
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(math.inf)
        except TimeoutError:
            return f"timed out at {now()}"
        return "slept"

    task = driver.loop.create_task(main())
    driver.step_until_idle()
    due = driver.due
    driver.settle()

    assert due == [5]
    assert task.result() == "timed out at 5.0"


def test_a_timeout_that_is_not_needed_is_cancelled_at_the_scheduler(driver: LoopDriver) -> None:
    async def main() -> list[float]:
        async with asyncio.timeout(HOUR):
            return driver.due

    assert driver.run(main()) == [HOUR]
    assert driver.clock.seconds == 0


def test_wait_for_gives_up_in_time_and_cancels_what_it_waits_for(driver: LoopDriver) -> None:
    async def main() -> tuple[bool, float]:
        sleeping = asyncio.ensure_future(asyncio.sleep(HOUR))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sleeping, 1.5)
        return sleeping.cancelled(), now()

    assert driver.run(main()) == (True, 1.5)


def test_wait_for_returns_what_came_in_time(driver: LoopDriver) -> None:
    async def main() -> tuple[int, float]:
        return await asyncio.wait_for(asyncio.sleep(1, 7), 2), now()

    assert driver.run(main()) == (7, 1)


def test_a_callback_that_is_cancelled_is_not_called(driver: LoopDriver) -> None:
    called: list[str] = []
    driver.loop.call_soon(called.append, "soon").cancel()
    driver.loop.call_later(1, called.append, "later").cancel()
    driver.loop.call_at(2, called.append, "at")

    idle = driver.loop.idle
    driver.settle()

    assert idle
    assert called == ["at"]
    assert driver.clock.seconds == 2


def test_a_timer_may_be_cancelled_when_it_is_due_already(driver: LoopDriver) -> None:
    called: list[str] = []
    handle = driver.loop.call_later(1, called.append, "later")
    driver.timers.pop().call()

    handle.cancel()
    driver.settle()

    assert called == []


# Steps.


def test_a_step_is_one_callback_first_in_first_out(driver: LoopDriver) -> None:
    called: list[int] = []
    for number in range(3):
        driver.loop.call_soon(called.append, number)

    driver.loop.step()
    after_one = list(called)
    driver.settle()

    assert after_one == [0]
    assert called == [0, 1, 2]


def test_who_becomes_ready_says_so_once_and_not_within_a_step(driver: LoopDriver) -> None:
    announced = [driver.announced]
    driver.loop.call_soon(driver.loop.call_soon, lambda: None)
    announced.append(driver.announced)
    driver.step_until_idle()
    announced.append(driver.announced)

    driver.loop.call_soon(lambda: None)
    driver.loop.call_soon_threadsafe(lambda: None)

    assert announced == [0, 1, 1]
    assert driver.announced == 2


def test_a_timer_that_is_due_makes_it_ready(driver: LoopDriver) -> None:
    driver.loop.call_later(1, lambda: None)
    before = driver.announced, driver.loop.idle

    driver.timers.pop().call()

    assert before == (0, True)
    assert (driver.announced, driver.loop.idle) == (1, False)


def test_a_step_of_an_idle_loop_does_nothing(driver: LoopDriver) -> None:
    driver.loop.step()

    assert driver.loop.idle


def test_the_loop_is_the_running_one_in_its_steps_only(driver: LoopDriver) -> None:
    seen: list[object] = []
    driver.loop.call_soon(lambda: seen.extend([asyncio.get_running_loop(), driver.loop.is_running()]))
    hooks = sys.get_asyncgen_hooks()

    driver.loop.step()

    assert seen == [driver.loop, True]
    assert not driver.loop.is_running()
    assert sys.get_asyncgen_hooks() == hooks
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_a_step_within_a_step_is_refused(driver: LoopDriver) -> None:
    driver.loop.call_soon(driver.loop.step)
    driver.loop.call_soon(driver.loop.close)

    driver.settle()

    assert [str(error) for error in driver.errors] == [
        "This step of the event loop is not over yet: nothing that an agent calls may wait.",
        "Cannot close a running event loop",
    ]
    assert not driver.loop.is_closed()


def test_steps_may_be_taken_in_different_greenlets(driver: LoopDriver) -> None:
    async def main() -> list[object]:
        loops: list[object] = []
        for _ in range(3):
            await asyncio.sleep(0)
            loops.append(asyncio.get_running_loop())
        return loops

    task = driver.loop.create_task(main())
    while not driver.loop.idle:
        greenlet(driver.loop.step).switch()

    assert task.result() == [driver.loop] * 3


# What goes wrong.


def test_what_a_callback_raises_is_a_failure_and_the_loop_goes_on(driver: LoopDriver) -> None:
    def fail(error: BaseException) -> None:
        raise error

    called: list[int] = []
    errors = [ValueError("no"), SystemExit(3), Odd()]
    for error in errors:
        driver.loop.call_soon(fail, error)
    driver.loop.call_soon(called.append, 1)

    driver.settle()

    assert driver.errors == errors
    assert called == [1]


def test_a_keyboard_interrupt_leaves_the_loop_as_it_should_be(driver: LoopDriver) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    driver.loop.call_soon(interrupt)

    with pytest.raises(KeyboardInterrupt):
        driver.loop.step()

    assert not driver.loop.is_running()


def test_an_exception_that_nobody_looks_at_is_a_failure(driver: LoopDriver) -> None:
    error = ValueError("nobody looks")

    async def fail() -> None:
        raise error

    driver.loop.create_task(fail())
    driver.settle()
    gc.collect()

    assert driver.errors == [error]
    assert error.__notes__ == ["Task exception was never retrieved"]
    error.__traceback__ = None


def test_a_task_that_is_lost_while_it_waits_is_a_failure(driver: LoopDriver) -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    driver.loop.create_task(wait(), name="lost")
    driver.settle()
    gc.collect()

    assert [str(error) for error in driver.errors] == ["Task was destroyed but it is pending!"]
    assert driver.errors[0].__notes__ == ["It is lost."]


def test_a_program_may_handle_failures_itself(driver: LoopDriver) -> None:
    handled: list[object] = []
    driver.loop.set_exception_handler(lambda _loop, context: handled.append(context["message"]))

    driver.loop.call_exception_handler({"message": "mine"})

    assert handled == ["mine"]
    assert driver.errors == []
    assert driver.loop.get_exception_handler() is not None


def test_a_failure_of_the_handler_is_a_failure(driver: LoopDriver) -> None:
    driver.loop.set_exception_handler(lambda _loop, context: context["no such key"])

    driver.loop.call_exception_handler({"message": "mine"})

    assert [type(error) for error in driver.errors] == [KeyError]


async def open_connection() -> None:
    await asyncio.open_connection("localhost", 80)


async def resolve() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def receive() -> None:
    with socket.socket() as unused:
        await asyncio.get_running_loop().sock_recv(unused, 1)


async def run_command() -> None:
    await asyncio.create_subprocess_exec("true")


async def watch_file() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def watch_signal() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)


async def read_pipe() -> None:
    await asyncio.get_running_loop().connect_read_pipe(asyncio.Protocol, sys.stdin)


@pytest.mark.parametrize(
    ("use", "what"),
    [
        (open_connection, "network"),
        (resolve, "network"),
        (receive, "network"),
        (run_command, "subprocesses"),
        (watch_file, "file descriptors"),
        (watch_signal, "signals"),
        (read_pipe, "pipes"),
    ],
)
def test_the_world_outside_is_refused(driver: LoopDriver, use: Callable[[], Awaitable[None]], what: str) -> None:
    async def main() -> str:
        with pytest.raises(NotSimulated) as refused:
            await use()
        return str(refused.value)

    assert driver.run(main()) == f"A simulation has no {what}: give the agent a fake instead."


def test_nobody_else_runs_or_stops_the_loop(driver: LoopDriver) -> None:
    with pytest.raises(NotSimulated):
        driver.loop.run_forever()
    with pytest.raises(NotSimulated):
        driver.loop.stop()


# The end.


def test_a_closed_loop_takes_nothing_and_drops_what_it_had(driver: LoopDriver) -> None:
    called: list[int] = []
    driver.loop.call_soon(called.append, 1)
    driver.loop.call_later(1, called.append, 2)

    driver.loop.close()
    driver.loop.close()

    assert driver.loop.is_closed()
    assert (driver.loop.idle, driver.due) == (True, [])
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        driver.loop.call_soon(called.append, 3)
    driver.settle()
    assert called == []


def test_what_waits_when_the_loop_is_closed_is_freed_without_a_word(driver: LoopDriver) -> None:
    notes: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(HOUR)
        finally:
            notes.append("ends")
            await asyncio.sleep(HOUR)
            notes.append("never")

    async def read() -> None:
        async for _ in steps(notes):
            await asyncio.sleep(HOUR)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stubborn())
            tasks.create_task(read())

    task = weakref.ref(driver.loop.create_task(group()))
    driver.step_until_idle()
    driver.loop.create_task(stubborn())  # has not begun

    driver.loop.close()
    gc.collect()

    assert task() is None
    assert notes == ["ends"]
    assert driver.errors == []
